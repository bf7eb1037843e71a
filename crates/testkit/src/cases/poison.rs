//! Rows of crashes: what ends a row, what does not, and how far apart the jobs of a row come back.

use std::time::Duration;

use gristmill_core::{
    DISCARD_AFTER_CRASHES, Decision, Ending, FinishItem, Finished, JobId, JobState, RetryPolicy, Verdict,
};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "poison":
    poison_is_the_fifth_crash_in_a_row,
    poison_is_said_by_the_run_and_the_job,
    poison_row_ends_with_a_success,
    poison_row_ends_with_a_failure,
    poison_row_ends_with_a_snooze,
    poison_row_goes_on_through_a_give_back,
    poison_row_goes_on_through_a_retirement,
    poison_spares_the_jobs_of_other_workers,
    poison_delays_are_spread_over_the_whole_delay,
    poison_delay_is_measured_from_the_rescue,
    poison_without_retention_deletes_the_job,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Crashes the next run of the queue's first job, and brings it back.
fn crash(t: &Fixture) {
    t.take(t.worker());
    t.crash();
    t.advance(DAY);
    t.promote();
}

/// A job one crash away from being poison, available again.
fn at_the_brink(t: &Fixture) -> JobId {
    let id = t.put(t.job().attempts(100));
    for _ in 1..DISCARD_AFTER_CRASHES {
        crash(t);
    }
    assert_eq!((t.state(id), t.look(id).crashes), (JobState::Available, DISCARD_AFTER_CRASHES - 1));
    id
}

fn poison_is_the_fifth_crash_in_a_row(t: &Fixture) {
    let id = at_the_brink(t);

    crash(t);

    let job = t.look(id);
    assert_eq!((job.state, job.attempt, job.crashes), (JobState::Discarded, 5, 5));
    assert!(t.fetch(t.worker(), 1).is_empty());
}

fn poison_is_said_by_the_run_and_the_job(t: &Fixture) {
    let id = at_the_brink(t);
    crash(t);

    let runs = t.runs(id);
    assert!(runs.iter().all(|run| run.ending == Ending::Crashed));
    let states: Vec<_> = runs.iter().map(|run| run.state).collect();
    let again = [JobState::Retryable; 3];
    assert_eq!((states[0], &states[1..4], states[4]), (JobState::Available, &again[..], JobState::Discarded));
    let said = [t.look(id).reason, runs[4].reason.clone()];
    assert_eq!(said.each_ref().map(Option::as_deref), [Some("poison"); 2]);
}

fn poison_row_ends_with_a_success(t: &Fixture) {
    let id = at_the_brink(t);
    t.complete(&t.take(t.worker()).lease);
    assert_eq!(t.look(id).crashes, 0);
    assert_eq!(t.retry(id), Verdict::Done);

    crash(t);

    assert_eq!((t.state(id), t.look(id).crashes), (JobState::Available, 1));
}

fn poison_row_ends_with_a_failure(t: &Fixture) {
    let id = at_the_brink(t);
    t.fail(&t.take(t.worker()).lease, Duration::ZERO);
    t.promote();

    crash(t);

    assert_eq!((t.state(id), t.look(id).crashes), (JobState::Available, 1));
}

fn poison_row_ends_with_a_snooze(t: &Fixture) {
    let id = at_the_brink(t);
    let lease = t.take(t.worker()).lease;
    t.finish(FinishItem::new(lease, Decision::SnoozeAfter(Duration::ZERO), Ending::Snoozed));

    crash(t);

    assert_eq!((t.state(id), t.look(id).crashes), (JobState::Available, 1));
}

/// A job that was never run says nothing about what happens when it is.
fn poison_row_goes_on_through_a_give_back(t: &Fixture) {
    let id = at_the_brink(t);
    t.give_back(&t.take(t.worker()).lease);

    crash(t);

    assert_eq!(t.state(id), JobState::Discarded);
}

fn poison_row_goes_on_through_a_retirement(t: &Fixture) {
    let id = at_the_brink(t);
    let worker = t.worker();
    t.take(worker);
    t.retire(worker);

    crash(t);

    assert_eq!(t.state(id), JobState::Discarded);
}

/// The job that kills its process takes its neighbours with it only once: from the second crash on they part.
fn poison_spares_the_jobs_of_other_workers(t: &Fixture) {
    let culprit = t.put(t.job().attempts(100));
    let bystander = t.put(t.job().attempts(100));
    t.fetch(t.worker(), 2);
    t.crash();
    assert_eq!((t.state(culprit), t.state(bystander)), (JobState::Available, JobState::Available));

    t.take(t.worker());
    let other = t.worker();
    assert_eq!(t.complete(&t.take(other).lease), Finished::Accepted { state: JobState::Completed });
    t.crash();

    assert_eq!((t.look(culprit).crashes, t.state(bystander)), (2, JobState::Completed));
}

fn poison_delays_are_spread_over_the_whole_delay(t: &Fixture) {
    const JOBS: usize = 60;
    let delay = Duration::from_secs(1_000);
    let ids: Vec<_> = (0..JOBS).map(|_| t.put(t.job().retried(RetryPolicy::fixed(delay)))).collect();
    for _ in 0..2 {
        assert_eq!(t.fetch(t.worker(), JOBS).len(), JOBS);
        t.crash();
    }

    let after: Vec<Duration> = ids.iter().map(|id| t.look(*id).run_at.since(t.now())).collect();

    assert!(after.iter().all(|after| *after <= delay), "{after:?}");
    // By chance none of sixty falls into one half once in 2^60 times.
    let early = after.iter().filter(|after| **after < delay / 2).count();
    assert!(early > 0 && early < JOBS, "the delays are not spread: {after:?}");
}

fn poison_delay_is_measured_from_the_rescue(t: &Fixture) {
    let delay = Duration::from_secs(100);
    let id = t.put(t.job().retried(RetryPolicy::fixed(delay)));
    t.take(t.worker());
    t.crash();
    t.take(t.worker());
    t.advance(10 * DAY);

    t.rescue();

    let run_at = t.look(id).run_at;
    assert!(run_at >= t.now() && run_at <= t.now() + delay, "{run_at}");
}

fn poison_without_retention_deletes_the_job(t: &Fixture) {
    let id = t.put(t.job().attempts(1).key("k").kept(Duration::ZERO));
    t.take(t.worker());

    let rescued = t.crash().jobs;

    assert_eq!(rescued.iter().map(|job| job.state).collect::<Vec<_>>(), [JobState::Discarded]);
    assert_eq!(t.find(id), None);
    t.put(t.job().key("k"));
}
