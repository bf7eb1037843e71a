//! Makes histories, runs them, and shrinks the one that fails.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::drive::Drive;
use super::op::{Op, any_op};
use crate::caught::caught;
use crate::{Fixture, Store};

/// The environment variable with the seed of a run that is to be seen again.
const SEED: &str = "GRISTMILL_MODEL_SEED";

/// So many histories share a store before it is replaced: opening one costs a database more than a history
/// does. Each history leaves the store without jobs, workers and pauses, and checks that it does.
const HISTORIES_A_STORE: u32 = 100;

/// Runs random histories of at most `max_steps` operations against stores of a backend and against the model,
/// and compares after each operation. The exit code of a test program without a harness.
///
/// On success it prints one line: `model histories: NAME: N histories, M steps compared`. A history that
/// fails is shrunk, on fresh stores, and printed step by step with the seed; `GRISTMILL_MODEL_SEED` repeats
/// it.
pub fn model_histories<S, F>(name: &str, count: u32, max_steps: usize, fresh: F) -> ExitCode
where
    S: Into<Store>,
    F: Fn() -> S,
{
    let seed = match std::env::var(SEED).map(|text| u64::from_str_radix(&text, 16)) {
        Ok(Ok(seed)) => seed,
        Ok(Err(_)) => {
            let _ = writeln!(std::io::stdout(), "{SEED} is no hexadecimal number of at most 16 digits");
            return ExitCode::FAILURE;
        }
        Err(_) => fastrand::u64(..),
    };
    let (text, code) = match try_histories(seed, count, max_steps, fresh) {
        Ok(steps) => {
            (format!("model histories: {name}: {count} histories, {steps} steps compared"), ExitCode::SUCCESS)
        }
        Err(failure) => (format!("{name} differs from the model\n{failure}"), ExitCode::FAILURE),
    };
    // A closed stdout is the reader's wish; the exit code tells the rest.
    let _ = writeln!(std::io::stdout(), "{text}");
    code
}

/// Runs histories and gives how many steps were compared.
///
/// # Errors
/// The shortest history found that fails, step by step, with the seed.
pub fn try_histories<S, F>(seed: u64, count: u32, max_steps: usize, fresh: F) -> Result<u64, String>
where
    S: Into<Store>,
    F: Fn() -> S,
{
    let config = Config {
        cases: count,
        failure_persistence: None,
        max_shrink_iters: 4_096,
        max_shrink_time: 120_000,
        ..Config::default()
    };
    // Not the default generator: without optimisation ChaCha takes three quarters of a run's time.
    let source = TestRng::from_seed(RngAlgorithm::XorShift, &seed.to_le_bytes().repeat(2));
    let mut runner = TestRunner::new_with_rng(config, source);
    let bench = RefCell::new(Bench { fresh, open: None, failed: false, steps: 0 });
    let result = runner
        .run(&vec(any_op(), 1..=max_steps), |ops| bench.borrow_mut().run(&ops).map_err(TestCaseError::fail));
    match result {
        Ok(()) => Ok(bench.into_inner().steps),
        Err(TestError::Fail(reason, ops)) => Err(story(seed, reason.message(), &ops)),
        Err(TestError::Abort(reason)) => Err(format!("no history could be made: {reason}")),
    }
}

/// Longer than any history goes back.
const BETWEEN_HISTORIES: Duration = Duration::from_secs(200 * 3_600);

/// The store histories run on.
struct Bench<F> {
    fresh: F,
    open: Option<(Fixture, u32)>,
    /// A history has failed: from now on each runs on a store of its own.
    failed: bool,
    steps: u64,
}

impl<S: Into<Store>, F: Fn() -> S> Bench<F> {
    fn run(&mut self, ops: &[Op]) -> Result<(), String> {
        let reusable = self.open.take().filter(|(_, used)| *used < HISTORIES_A_STORE && !self.failed);
        let (fixture, used) = reusable.unwrap_or_else(|| (Fixture::new((self.fresh)().into()), 0));
        // Whatever the last history left waiting lies in the past.
        fixture.advance(BETWEEN_HISTORIES);
        let mut step = 0;
        let result = caught(|| {
            let mut drive = Drive::new(&fixture);
            for op in ops {
                step += 1;
                drive.step(op);
            }
            drive.end();
        });
        self.steps += step;
        match result {
            Ok(()) => {
                self.open = Some((fixture, used + 1));
                Ok(())
            }
            Err(said) => {
                self.failed = true;
                Err(format!("at step {step}: {said}"))
            }
        }
    }
}

fn story(seed: u64, reason: &str, ops: &[Op]) -> String {
    let mut story =
        format!("{reason}\nthe shortest history found, with a worker in slot 0 from the beginning:\n");
    for (at, op) in ops.iter().enumerate() {
        writeln!(story, "{:>4}. {op:?}", at + 1).expect("a string takes everything");
    }
    story + "seen again with " + SEED + &format!("={seed:x}")
}
