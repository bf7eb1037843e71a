//! Held jobs and their release.

use std::time::Duration;

use gristmill_core::{JobFilter, JobState, Verdict};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "hold":
    hold_keeps_a_job_from_every_fetch,
    release_hold_makes_a_job_available_now,
    release_hold_of_any_other_job_is_refused,
    release_hold_of_no_job_is_not_found,
    release_hold_twice_is_refused_the_second_time,
    release_hold_is_noted,
    release_hold_everywhere_reaches_every_match,
}

const MINUTE: Duration = Duration::from_secs(60);

fn hold_keeps_a_job_from_every_fetch(t: &Fixture) {
    t.put(t.job().suspended());
    t.advance(1_000 * MINUTE);
    t.promote();

    assert!(t.fetch(t.worker(), 1).is_empty());
}

fn release_hold_makes_a_job_available_now(t: &Fixture) {
    let id = t.put(t.job().suspended());
    t.advance(MINUTE);

    assert_eq!(t.release_hold(id), Verdict::Done);

    assert_eq!((t.state(id), t.look(id).run_at), (JobState::Available, t.now()));
    assert_eq!(t.take(t.worker()).attempt, 1);
}

fn release_hold_of_any_other_job_is_refused(t: &Fixture) {
    let running = t.put(t.job());
    t.take(t.worker());
    let cancelled = t.put(t.job());
    t.cancel(cancelled);
    let ids = [running, cancelled, t.put(t.job().due_in(MINUTE)), t.put(t.job())];

    for id in ids {
        let before = t.look(id);
        assert_eq!(t.release_hold(id), Verdict::Refused(before.state));
        assert_eq!(t.look(id), before);
    }
}

fn release_hold_of_no_job_is_not_found(t: &Fixture) {
    assert_eq!(t.release_hold(t.next_id()), Verdict::NotFound);
}

fn release_hold_twice_is_refused_the_second_time(t: &Fixture) {
    let id = t.put(t.job().suspended());
    t.release_hold(id);

    assert_eq!(t.release_hold(id), Verdict::Refused(JobState::Available));
}

fn release_hold_is_noted(t: &Fixture) {
    let id = t.put(t.job().suspended());

    t.release_hold(id);

    assert!(t.events(id).iter().any(|event| event.what == "release_hold"));
}

fn release_hold_everywhere_reaches_every_match(t: &Fixture) {
    let ids: Vec<_> = (0..12).map(|_| t.put(t.job().suspended())).collect();
    let filter = JobFilter::new().state(JobState::Suspended);

    t.everywhere(&filter, 5, |t, request| t.must(|backend, call| backend.release_hold(call, request)));

    t.assert_states(&ids, JobState::Available);
}
