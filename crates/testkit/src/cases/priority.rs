//! In which order jobs leave a queue.

use std::time::Duration;

use gristmill_core::{FetchedJob, JobId, JobPatch, Priority, QueueWant, When};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "priority":
    priority_smaller_runs_first,
    priority_equals_run_in_the_order_of_enqueueing,
    priority_equals_of_several_calls_run_in_the_order_of_enqueueing,
    priority_equals_run_by_due_time,
    priority_beats_due_time,
    priority_of_promoted_jobs_counts,
    priority_of_an_updated_job_counts,
    priority_of_retried_jobs_counts,
    priority_range_limits_a_fetch,
    priority_range_includes_both_ends,
    priority_range_is_exhausted_for_itself,
    priority_ranges_are_lanes_of_one_fetch,
    priority_order_survives_reopening needs Durable,
}

fn ids(jobs: &[FetchedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.lease.job).collect()
}

fn priority_smaller_runs_first(t: &Fixture) {
    let [low, high, normal] = [10, -10, 0].map(|priority| t.put(t.job().priority(priority)));

    assert_eq!(ids(&t.fetch(t.worker(), 3)), [high, normal, low]);
}

fn priority_equals_run_in_the_order_of_enqueueing(t: &Fixture) {
    let expected = t.put_many(50);
    let worker = t.worker();

    let mut fetched = ids(&t.fetch(worker, 7));
    fetched.extend(ids(&t.fetch(worker, 50)));

    assert_eq!(fetched, expected);
}

fn priority_equals_of_several_calls_run_in_the_order_of_enqueueing(t: &Fixture) {
    let mut expected = t.put_many(3);
    expected.push(t.put(t.job()));
    expected.extend(t.put_many(2));

    assert_eq!(ids(&t.fetch(t.worker(), 10)), expected);
}

fn priority_equals_run_by_due_time(t: &Fixture) {
    let late = t.put(t.job());
    let early = t.put(t.job().when(When::At(t.now() - Duration::from_secs(9))));
    let earlier = t.put(t.job().when(When::At(t.now() - Duration::from_secs(10))));

    assert_eq!(ids(&t.fetch(t.worker(), 3)), [earlier, early, late]);
}

fn priority_beats_due_time(t: &Fixture) {
    let old = t.put(t.job().when(When::At(t.now() - Duration::from_secs(9))));
    let urgent = t.put(t.job().priority(-1));

    assert_eq!(ids(&t.fetch(t.worker(), 2)), [urgent, old]);
}

fn priority_of_promoted_jobs_counts(t: &Fixture) {
    let urgent = t.put(t.job().priority(-1).due_in(Duration::from_secs(1)));
    let early = t.put(t.job().due_in(Duration::from_millis(500)));
    t.advance(Duration::from_secs(1));
    let fresh = t.put(t.job());
    t.promote();

    assert_eq!(ids(&t.fetch(t.worker(), 3)), [urgent, early, fresh]);
}

fn priority_of_an_updated_job_counts(t: &Fixture) {
    let first = t.put(t.job());
    let last = t.put(t.job());
    let mut patch = JobPatch::default();
    patch.priority = Some(Priority::FIRST);

    t.update(last, patch);

    assert_eq!(ids(&t.fetch(t.worker(), 2)), [last, first]);
}

fn priority_of_retried_jobs_counts(t: &Fixture) {
    let urgent = t.put(t.job().priority(-5));
    t.cancel(urgent);
    let normal = t.put(t.job());
    t.advance(Duration::from_secs(1));

    t.retry(urgent);

    assert_eq!(ids(&t.fetch(t.worker(), 2)), [urgent, normal]);
}

fn fetch_range(t: &Fixture, first: i64, last: i64) -> Vec<JobId> {
    let bound = |priority: i64| Priority::new(priority).unwrap_or_else(|error| panic!("{error}"));
    let mut want = QueueWant::new(name(Fixture::QUEUE), 10);
    want.priorities = Some((bound(first), bound(last)));
    ids(&t.fetch_wants(t.worker(), t.next_claim(), vec![want]).jobs)
}

fn priority_range_limits_a_fetch(t: &Fixture) {
    let [urgent, _normal] = [-5, 0].map(|priority| t.put(t.job().priority(priority)));

    assert_eq!(fetch_range(t, -10, -1), [urgent]);
}

fn priority_range_includes_both_ends(t: &Fixture) {
    let [_, first, last, _] = [-4, -3, 2, 3].map(|priority| t.put(t.job().priority(priority)));

    assert_eq!(fetch_range(t, -3, 2), [first, last]);
}

fn priority_range_is_exhausted_for_itself(t: &Fixture) {
    t.put_many(3);
    let [urgent, _] = [-5, -4].map(|priority| t.put(t.job().priority(priority)));
    let mut want = QueueWant::new(name(Fixture::QUEUE), 2);
    want.priorities = Some((Priority::FIRST, Priority::new(-5).unwrap_or_default()));

    let reply = t.fetch_wants(t.worker(), t.next_claim(), vec![want]);

    assert_eq!((ids(&reply.jobs), reply.queues[0].exhausted), (vec![urgent], true));
}

/// Slots that are kept for urgent jobs, and slots for all jobs, in one request.
fn priority_ranges_are_lanes_of_one_fetch(t: &Fixture) {
    let usual = t.put_many(3);
    let urgent = [-5, -5, -5].map(|priority| t.put(t.job().priority(priority)));
    let mut lane = QueueWant::new(name(Fixture::QUEUE), 1);
    lane.priorities = Some((Priority::FIRST, Priority::new(-1).unwrap_or_default()));
    let everybody = QueueWant::new(name(Fixture::QUEUE), 3);

    let reply = t.fetch_wants(t.worker(), t.next_claim(), vec![lane, everybody]);

    assert_eq!(ids(&reply.jobs), [urgent[0], urgent[1], urgent[2], usual[0]]);
    assert_eq!(reply.queues.iter().map(|queue| queue.exhausted).collect::<Vec<_>>(), [false, false]);
}

fn priority_order_survives_reopening(t: &Fixture) {
    let [low, high, normal] = [3, -3, 0].map(|priority| t.put(t.job().priority(priority)));

    t.reopen();

    assert_eq!(ids(&t.fetch(t.worker(), 3)), [high, normal, low]);
}
