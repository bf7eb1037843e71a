//! Retention: what disappears, and when.

use std::time::Duration;

use gristmill_core::{FinishItem, JobId, JobState, Retention};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "prune":
    prune_deletes_ended_jobs_past_their_retention,
    prune_keeps_ended_jobs_within_their_retention,
    prune_follows_each_jobs_own_retention,
    prune_keeps_for_ever_what_is_kept_for_ever,
    prune_follows_the_default_retention,
    prune_follows_the_retention_of_each_end,
    prune_never_touches_a_job_that_has_not_ended,
    prune_and_all_maintenance_leave_ended_jobs_as_they_are,
    prune_deletes_runs_and_events_with_the_job,
    prune_takes_at_most_its_limit,
    prune_says_whether_more_is_past_its_retention,
    prune_of_nothing_does_nothing,
    prune_frees_the_id,
    prune_never_caps_discarded_jobs,
    prune_never_misses_the_next_due_time,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MOMENT: Duration = Duration::from_millis(1);

fn prune_deletes_ended_jobs_past_their_retention(t: &Fixture) {
    let worker = t.worker();
    let completed = t.put(t.job().kept(HOUR));
    t.complete(&t.take(worker).lease);
    let cancelled = t.put(t.job().kept(HOUR));
    t.cancel(cancelled);
    let discarded = t.put(t.job().kept(HOUR).attempts(1));
    t.fail(&t.take(worker).lease, HOUR);
    t.advance(HOUR + MOMENT);

    assert_eq!(t.prune().done, 3);

    assert_eq!(t.find_all(&[completed, cancelled, discarded]), [None, None, None]);
}

fn prune_keeps_ended_jobs_within_their_retention(t: &Fixture) {
    let id = t.put(t.job().kept(HOUR));
    t.cancel(id);
    t.advance_just_below(HOUR);

    assert_eq!(t.prune().done, 0);

    assert_eq!(t.state(id), JobState::Cancelled);
}

fn prune_follows_each_jobs_own_retention(t: &Fixture) {
    let long = t.put(t.job().kept(10 * HOUR));
    let short = t.put(t.job().kept(HOUR));
    t.cancel(long);
    t.cancel(short);
    t.advance(2 * HOUR);

    t.prune();

    assert_eq!((t.find(short), t.state(long)), (None, JobState::Cancelled));
}

fn prune_keeps_for_ever_what_is_kept_for_ever(t: &Fixture) {
    let worker = t.worker();
    let completed = t.put(t.job().kept(Duration::MAX));
    t.complete(&t.take(worker).lease);
    let cancelled = t.put(t.job().kept(Duration::MAX));
    t.cancel(cancelled);
    let discarded = t.put(t.job().kept(Duration::MAX).attempts(1));
    t.fail(&t.take(worker).lease, HOUR);
    t.advance(1_000 * 365 * DAY);

    t.prune();

    let ends = [JobState::Completed, JobState::Cancelled, JobState::Discarded];
    assert_eq!([completed, cancelled, discarded].map(|id| t.state(id)), ends);
}

fn prune_follows_the_default_retention(t: &Fixture) {
    let worker = t.worker();
    let completed = t.put(t.job());
    t.complete(&t.take(worker).lease);
    let cancelled = t.put(t.job());
    t.cancel(cancelled);
    let discarded = t.put(t.job().attempts(1));
    t.fail(&t.take(worker).lease, HOUR);
    let ids = [completed, cancelled, discarded];
    let left = |t: &Fixture| t.find_all(&ids).iter().map(Option::is_some).collect::<Vec<_>>();

    t.advance(DAY + MOMENT);
    t.prune();
    assert_eq!(left(t), [false, true, true]);
    t.advance(6 * DAY);
    t.prune();
    assert_eq!(left(t), [false, false, true]);
    t.advance(23 * DAY);
    t.prune();
    assert_eq!(left(t), [false, false, false]);
}

fn prune_never_touches_a_job_that_has_not_ended(t: &Fixture) {
    let worker = t.worker();
    let retryable = t.put(t.job().kept(HOUR));
    t.fail(&t.take(worker).lease, HOUR);
    let running = t.put(t.job().kept(HOUR));
    t.take(worker);
    let scheduled = t.put(t.job().kept(HOUR).due_in(HOUR));
    let suspended = t.put(t.job().kept(HOUR).suspended());
    let ids = [retryable, running, scheduled, suspended, t.put(t.job().kept(HOUR))];
    let before = t.find_all(&ids);
    t.advance(1_000 * DAY);

    assert_eq!(t.prune().done, 0);

    assert_eq!(t.find_all(&ids), before);
}

/// A completed, a cancelled and a discarded job.
fn ended(t: &Fixture, retention: Retention) -> [JobId; 3] {
    let worker = t.worker();
    let job = |attempts: u16| {
        let mut job = t.job().attempts(attempts);
        job.spec.retention = Some(Box::new(retention));
        t.put(job)
    };
    let completed = job(2);
    t.complete(&t.take(worker).lease);
    let discarded = job(1);
    t.fail(&t.take(worker).lease, HOUR);
    let cancelled = job(2);
    t.cancel(cancelled);
    [completed, cancelled, discarded]
}

fn prune_follows_the_retention_of_each_end(t: &Fixture) {
    let mut retention = Retention::all(3 * HOUR);
    (retention.completed, retention.cancelled) = (2 * HOUR, HOUR);
    let ids = ended(t, retention);
    let left = |t: &Fixture| t.find_all(&ids).iter().map(Option::is_some).collect::<Vec<_>>();

    let after = [[true, false, true], [false, false, true], [false, false, false]];
    for expected in after {
        t.advance(HOUR + MOMENT);
        assert_eq!(t.prune().done, 1);
        assert_eq!(left(t), expected);
    }
}

/// One source design's rescue touched ended rows each time it ran, so their retention never passed.
fn prune_and_all_maintenance_leave_ended_jobs_as_they_are(t: &Fixture) {
    let ids = ended(t, Retention::default());
    let histories = |t: &Fixture| ids.map(|id| (t.look(id), t.runs(id), t.events(id)));
    let before = histories(t);

    for _ in 0..3 {
        t.crash();
        t.promote();
        t.prune();
        t.must(|backend, call| backend.audit(call, None, 100));
        t.worker();
    }

    assert_eq!(histories(t), before);
}

fn prune_deletes_runs_and_events_with_the_job(t: &Fixture) {
    let id = t.put(t.job().kept(HOUR));
    t.give_back(&t.take(t.worker()).lease);
    t.cancel(id);
    t.advance(2 * HOUR);

    t.prune();

    assert!(t.runs(id).is_empty() && t.events(id).is_empty());
}

fn prune_takes_at_most_its_limit(t: &Fixture) {
    for _ in 0..5 {
        t.cancel(t.put(t.job().kept(HOUR)));
    }
    t.advance(2 * HOUR);

    assert_eq!(t.must(|backend, call| backend.prune(call, 3)).done, 3);
    assert_eq!(t.must(|backend, call| backend.prune(call, 3)).done, 2);
}

fn prune_says_whether_more_is_past_its_retention(t: &Fixture) {
    for _ in 0..3 {
        t.cancel(t.put(t.job().kept(HOUR)));
    }
    t.cancel(t.put(t.job().kept(10 * HOUR)));
    t.advance(2 * HOUR);

    assert!(t.must(|backend, call| backend.prune(call, 2)).more);
    assert!(!t.must(|backend, call| backend.prune(call, 2)).more);
}

fn prune_of_nothing_does_nothing(t: &Fixture) {
    let round = t.prune();

    assert_eq!((round.done, round.more), (0, false));
}

fn prune_frees_the_id(t: &Fixture) {
    let job = t.job().kept(HOUR);
    let id = t.put(job.clone());
    t.cancel(id);
    t.advance(2 * HOUR);
    t.prune();

    t.put(job);

    assert_eq!((t.state(id), t.runs(id).len(), t.events(id).len()), (JobState::Available, 0, 0));
}

/// One source design kept the newest thousand of its dead jobs and dropped the others without a word.
fn prune_never_caps_discarded_jobs(t: &Fixture) {
    let worker = t.worker();
    let jobs = (0..1_000).map(|_| t.job().attempts(1)).collect();
    t.enqueue(jobs);
    let more = (0..200).map(|_| t.job().attempts(1)).collect();
    t.enqueue(more);
    for _ in 0..6 {
        let ends = t
            .fetch(worker, 200)
            .into_iter()
            .map(|job| FinishItem::fail(job.lease, Duration::ZERO, gristmill_core::RunError::new("no")));
        t.finish_all(ends.collect());
    }

    t.advance_just_below(Retention::default().discarded);
    t.prune();

    assert_eq!(t.count(gristmill_core::JobFilter::new().state(JobState::Discarded)), 1_200);
}

fn prune_never_misses_the_next_due_time(t: &Fixture) {
    t.cancel(t.put(t.job().kept(5 * HOUR)));
    t.cancel(t.put(t.job().kept(2 * HOUR)));

    let next = t.prune().next_due;

    assert!(next.is_none_or(|next| next <= t.now() + 2 * HOUR), "{next:?}");
}
