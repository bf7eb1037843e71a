//! The suite is tested by defects: a sound backend is given one, and a case or the model must notice.
//!
//! A defect that no case and no model run notices fails here, because a backend could then have it unnoticed.

mod defect;
mod defective;
mod register;

use std::sync::Arc;

use defect::Defect;
use defective::Defective;
use gristmill_core::Backend;
use gristmill_memory::Memory;
use gristmill_testkit::{Store, all_cases, run_case, try_histories};

const SEED: u64 = 7;
const HISTORIES: u32 = 2_000;
const STEPS: usize = 40;

fn store(defect: Option<Defect>) -> Store {
    let sound = Memory::new();
    let backend: Arc<dyn Backend> = match defect {
        None => Arc::new(sound),
        Some(defect) => Arc::new(Defective::new(sound, defect)),
    };
    Store::new(backend)
}

/// The first case a backend with this defect breaks.
fn broken_case(defect: Option<Defect>) -> Option<String> {
    let capabilities = Memory::new().capabilities();
    let mut applies = all_cases().filter(|case| case.missing(capabilities).is_none());
    applies.find(|case| run_case(case, store(defect)).is_err()).map(|case| case.path())
}

/// How the model noticed, if it did.
fn model_notices(defect: Option<Defect>) -> Option<String> {
    try_histories(SEED, HISTORIES, STEPS, || store(defect)).err()
}

#[test]
fn the_sound_backend_breaks_nothing() {
    assert_eq!((broken_case(None), model_notices(None)), (None, None));
}

#[test]
fn every_defect_breaks_a_case() {
    let survivors: Vec<Defect> =
        Defect::ALL.iter().copied().filter(|defect| broken_case(Some(*defect)).is_none()).collect();
    assert!(survivors.is_empty(), "no case notices {survivors:?}");
}

#[test]
fn every_defect_that_one_thread_can_see_differs_from_the_model() {
    let survivors: Vec<Defect> = Defect::ALL
        .iter()
        .copied()
        .filter(|defect| !defect.needs_threads() && model_notices(Some(*defect)).is_none())
        .collect();
    assert!(survivors.is_empty(), "the model does not notice {survivors:?}");
}

#[test]
fn a_failing_history_is_told_step_by_step_with_its_seed() {
    let story = model_notices(Some(Defect::IgnoresPause)).expect("the model notices");
    assert!(story.contains("   1. ") && story.contains("GRISTMILL_MODEL_SEED=7"), "{story}");
    let steps = story.lines().filter(|line| line.trim_start().starts_with(char::is_numeric)).count();
    assert!(steps <= 6, "the history was not shrunk: {story}");
}
