//! What becomes of parked jobs otherwise: they are seen, changed and ended as other waiting jobs.

use gristmill_core::{JobFilter, JobPatch, JobState, Order, Verdict, When};

use super::kinds::{HOUR, assert_parked, fetch_all, ids, parked, priority, worker_for};
use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "parked":
    parked_jobs_wait_while_their_queue_is_paused,
    parked_jobs_are_counted_and_listed,
    parked_jobs_can_be_cancelled,
    parked_jobs_can_be_retried,
    parked_jobs_can_be_deleted,
    parked_jobs_go_back_in_line_when_updated,
    parked_jobs_keep_their_unique_key,
    parked_jobs_are_in_place,
    parked_jobs_and_leased_are_rescued_as_any_job,
    parked_jobs_and_given_back_are_available,
}

fn parked_jobs_wait_while_their_queue_is_paused(t: &Fixture) {
    let id = parked(t);
    let worker = worker_for(t, &["late"]);
    t.pause(Fixture::QUEUE);

    assert!(t.fetch(worker, 5).is_empty());

    assert_parked(t, id);
    let other = t.put(t.job().kind("early"));
    t.fetch(worker, 5);
    assert_eq!(t.state(other), JobState::Available);
    t.resume(Fixture::QUEUE);
    assert_eq!(ids(&fetch_all(t, worker, 5)), [id]);
}

fn parked_jobs_are_counted_and_listed(t: &Fixture) {
    let put = |kind: &str| t.put(t.job().kind(kind));
    let all = [put("x"), put("y"), put("x")];
    t.advance(HOUR);
    let urgent = t.put(t.job().kind("y").priority(-9));
    let later = t.put(t.job().kind("x").due_in(HOUR));
    fetch_all(t, worker_for(t, &["other"]), 5);
    t.advance(HOUR / 2);

    let stats = t.queue_stats(Fixture::QUEUE);
    let found: Vec<_> = stats.parked.iter().map(|it| (it.kind.as_str(), it.count.value, it.oldest)).collect();
    assert_eq!(found, [("x", 2, HOUR * 3 / 2), ("y", 2, HOUR * 3 / 2)]);
    assert_eq!((stats.count(JobState::Scheduled).value, stats.oldest_available), (5, None));
    let scheduled = JobFilter::new().state(JobState::Scheduled);
    assert_eq!(t.list(&scheduled, Order::OldestFirst, 2), [all[0], all[1], all[2], urgent, later]);
    assert_eq!((t.count(scheduled.clone().kind(name("y"))), t.count(scheduled)), (2, 5));
    let capped = t.must(|backend, call| backend.stats(call, gristmill_core::StatsRequest::new(Some(1))));
    let count = capped.queues[0].parked[0].count;
    assert_eq!((count.value, count.capped), (1, true));
}

fn parked_jobs_can_be_cancelled(t: &Fixture) {
    let id = parked(t);

    assert_eq!(t.cancel(id), Verdict::Done);

    assert_eq!(t.state(id), JobState::Cancelled);
    assert!(fetch_all(t, worker_for(t, &["late"]), 5).is_empty());
    assert!(t.queue_stats(Fixture::QUEUE).parked.is_empty());
}

fn parked_jobs_can_be_retried(t: &Fixture) {
    let id = parked(t);
    t.advance(HOUR);

    assert_eq!(t.retry(id), Verdict::Done);

    let job = t.look(id);
    assert_eq!((job.state, job.reason, job.run_at), (JobState::Available, None, t.now()));
    assert!(fetch_all(t, worker_for(t, &["other"]), 5).is_empty());
    assert_parked(t, id);
    assert_eq!(ids(&fetch_all(t, worker_for(t, &["late"]), 5)), [id]);
}

fn parked_jobs_can_be_deleted(t: &Fixture) {
    let id = parked(t);

    assert_eq!(t.delete(id), Verdict::Done);

    assert_eq!(t.find(id), None);
    assert!(fetch_all(t, worker_for(t, &["late"]), 5).is_empty());
    assert_eq!(t.queue_stats(Fixture::QUEUE).count(JobState::Scheduled).value, 0);
}

fn parked_jobs_go_back_in_line_when_updated(t: &Fixture) {
    let (id, later) = (parked(t), parked(t));
    let due = t.look(id).run_at;
    let mut patch = JobPatch::default();
    patch.priority = Some(priority(-3));
    t.advance(HOUR);

    assert_eq!(t.update(id, patch), Verdict::Done);
    let mut patch = JobPatch::default();
    patch.when = Some(When::After(HOUR));
    assert_eq!(t.update(later, patch), Verdict::Done);

    let job = t.look(id);
    assert_eq!((job.state, job.reason, job.run_at), (JobState::Available, None, due));
    let job = t.look(later);
    assert_eq!((job.state, job.reason, job.run_at), (JobState::Scheduled, None, t.now() + HOUR));
    assert!(t.queue_stats(Fixture::QUEUE).parked.is_empty());
    assert!(fetch_all(t, worker_for(t, &["other"]), 5).is_empty());
    assert_parked(t, id);
    t.advance(HOUR);
    assert_eq!(t.promote().done, 1);
    assert_eq!(ids(&fetch_all(t, worker_for(t, &["late"]), 5)), [id, later]);
}

fn parked_jobs_keep_their_unique_key(t: &Fixture) {
    let id = t.put(t.job().kind("late").key("k"));
    fetch_all(t, worker_for(t, &["other"]), 5);
    assert_parked(t, id);

    let second = t.enqueue(vec![t.job().kind("late").key("k")]).remove(0);

    assert!(matches!(second, gristmill_core::Enqueued::Existing { id: holder, .. } if holder == id));
}

fn parked_jobs_are_in_place(t: &Fixture) {
    let id = parked(t);

    let reply = t.must(|backend, call| backend.audit(call, None, 100));

    assert!(reply.repaired.is_empty(), "{reply:?}");
    assert_parked(t, id);
}

fn parked_jobs_and_leased_are_rescued_as_any_job(t: &Fixture) {
    let id = parked(t);
    assert_eq!(ids(&fetch_all(t, worker_for(t, &["late"]), 5)), [id]);

    t.crash();

    let job = t.look(id);
    assert_eq!((job.state, job.attempt, job.crashes, job.run), (JobState::Available, 1, 1, 1));
}

fn parked_jobs_and_given_back_are_available(t: &Fixture) {
    let id = parked(t);
    let worker = worker_for(t, &["late"]);
    fetch_all(t, worker, 5);

    t.retire(worker);

    let job = t.look(id);
    assert_eq!((job.state, job.attempt, job.reason), (JobState::Available, 0, None));
}
