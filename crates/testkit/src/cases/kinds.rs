//! Jobs of kinds that the worker which meets them has no handler for: they are parked, and the worker that
//! has one gets them at once.

use std::collections::BTreeSet;
use std::time::Duration;

use gristmill_core::{
    Decision, Ending, FetchedJob, FinishItem, JobId, JobState, Priority, QueueWant, WorkerId,
};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "kinds":
    kinds_of_other_workers_are_never_leased,
    kinds_without_a_handler_leave_no_trace_but_the_reason,
    kinds_without_a_handler_are_due_at_no_time,
    kinds_parked_go_at_once_to_a_worker_that_handles_them,
    kinds_parked_go_at_once_to_a_worker_that_registers_for_them,
    kinds_parked_go_at_once_to_a_worker_that_takes_everything,
    kinds_parked_stay_in_their_queue,
    kinds_parked_go_in_order_and_before_available_jobs,
    kinds_parked_keep_to_the_wanted_priorities,
    kinds_given_back_by_hand_are_parked,
    kinds_of_a_repeated_fetch_are_the_same,
    kinds_of_a_worker_that_registers_again_are_the_new_ones,
    kinds_of_a_mixed_line_are_shared_by_their_workers,
    kinds_without_a_handler_do_not_stand_before_others,
    kinds_survive_reopening needs Durable,
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A new worker with handlers for these kinds.
pub(super) fn worker_for(t: &Fixture, kinds: &[&str]) -> WorkerId {
    let worker = WorkerId::random();
    register(t, worker, kinds);
    worker
}

fn register(t: &Fixture, worker: WorkerId, kinds: &[&str]) {
    let mut registration = t.registration(worker);
    registration.kinds = kinds.iter().map(|kind| name(kind)).collect();
    t.register(registration);
}

/// Fetches until the usual queue is exhausted.
pub(super) fn fetch_all(t: &Fixture, worker: WorkerId, max: usize) -> Vec<FetchedJob> {
    let mut jobs = Vec::new();
    for _ in 0..10_000 {
        let reply = t.fetch_claim(worker, t.next_claim(), Fixture::QUEUE, max);
        jobs.extend(reply.jobs);
        if reply.queues[0].exhausted {
            return jobs;
        }
    }
    panic!("the queue is never exhausted");
}

pub(super) fn ids(jobs: &[FetchedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.lease.job).collect()
}

pub(super) fn priority(number: i64) -> Priority {
    Priority::new(number).expect("it is one")
}

/// Parks a job of kind `late` in the usual queue.
pub(super) fn parked(t: &Fixture) -> JobId {
    let id = t.put(t.job().kind("late"));
    assert!(fetch_all(t, worker_for(t, &["other"]), 5).is_empty());
    assert_parked(t, id);
    id
}

#[track_caller]
pub(super) fn assert_parked(t: &Fixture, id: JobId) {
    let job = t.look(id);
    assert_eq!((job.state, job.reason.as_deref()), (JobState::Scheduled, Some("no handler")));
}

fn kinds_of_other_workers_are_never_leased(t: &Fixture) {
    let worker = worker_for(t, &["a", "c"]);
    let put = |kind: &str| t.put(t.job().kind(kind));
    let (first, unknown, second, last) = (put("a"), put("b"), put("c"), put("d"));

    assert_eq!(ids(&fetch_all(t, worker, 5)), [first, second]);

    assert_parked(t, unknown);
    assert_parked(t, last);
}

fn kinds_without_a_handler_leave_no_trace_but_the_reason(t: &Fixture) {
    let id = t.put(t.job().kind("late").attempts(1));
    let before = t.look(id);

    for _ in 0..5 {
        fetch_all(t, worker_for(t, &["other"]), 5);
        t.advance(HOUR);
        t.promote();
    }

    let mut job = t.look(id);
    assert_parked(t, id);
    (job.state, job.reason) = (before.state, before.reason.clone());
    assert_eq!(job, before);
    assert!(t.runs(id).is_empty() && t.events(id).is_empty());
    assert!(t.workers().iter().all(|worker| worker.running == 0));
}

fn kinds_without_a_handler_are_due_at_no_time(t: &Fixture) {
    let id = parked(t);
    t.advance(HOUR);

    let promoted = t.promote();
    let reply = t.fetch_claim(worker_for(t, &["other"]), t.next_claim(), Fixture::QUEUE, 1);

    assert_eq!((promoted.done, promoted.more, promoted.next_due), (0, false, None));
    assert_eq!(reply.queues[0].next_due, None);
    assert_parked(t, id);
}

/// During a rolling deploy the workers of the old version meet the kinds of the new one.
fn kinds_parked_go_at_once_to_a_worker_that_handles_them(t: &Fixture) {
    let new = worker_for(t, &["other", "late"]);
    assert!(fetch_all(t, new, 5).is_empty());
    for _ in 0..3 {
        let id = parked(t);
        let due = t.look(id).run_at;

        let jobs = fetch_all(t, new, 5);

        assert_eq!(ids(&jobs), [id]);
        assert_eq!((jobs[0].attempt, jobs[0].lease.run, jobs[0].crashes, jobs[0].run_at), (1, 1, 0, due));
        assert_eq!(t.look(id).reason, None);
        t.complete(&jobs[0].lease);
        assert_eq!((t.state(id), t.runs(id).len()), (JobState::Completed, 1));
    }
}

fn kinds_parked_go_at_once_to_a_worker_that_registers_for_them(t: &Fixture) {
    let id = parked(t);

    assert_eq!(ids(&fetch_all(t, worker_for(t, &["late"]), 5)), [id]);
}

fn kinds_parked_go_at_once_to_a_worker_that_takes_everything(t: &Fixture) {
    let (late, work) = (parked(t), t.put(t.job()));

    assert_eq!(ids(&fetch_all(t, t.worker(), 5)), [late, work]);
}

fn kinds_parked_stay_in_their_queue(t: &Fixture) {
    let id = parked(t);
    let worker = worker_for(t, &["late"]);
    t.put(t.job().queue("elsewhere").kind("early"));

    assert!(t.fetch_from(worker, "elsewhere", 5).is_empty());

    assert_parked(t, id);
    assert_eq!(t.queue_stats("elsewhere").parked[0].kind, name("early"));
}

fn kinds_parked_go_in_order_and_before_available_jobs(t: &Fixture) {
    let put = |kind: &str, priority: i64| {
        t.advance(Duration::from_millis(1));
        t.put(t.job().kind(kind).priority(priority))
    };
    let (third, first) = (put("x", 0), put("y", -1));
    let (fourth, second) = (put("y", 0), put("x", -1));
    assert!(fetch_all(t, worker_for(t, &["other"]), 5).is_empty());
    let (last, unknown) = (put("x", -2), put("z", -3));

    let worker = worker_for(t, &["x", "y"]);

    assert_eq!(ids(&fetch_all(t, worker, 2)), [first, second, third, fourth, last]);
    assert_parked(t, unknown);
}

fn kinds_parked_keep_to_the_wanted_priorities(t: &Fixture) {
    let (urgent, usual) = (t.put(t.job().kind("late").priority(-5)), t.put(t.job().kind("late")));
    let fetch = |worker, first, last| {
        let mut want = QueueWant::new(name(Fixture::QUEUE), 5);
        want.priorities = Some((priority(first), priority(last)));
        ids(&t.fetch_wants(worker, t.next_claim(), vec![want]).jobs)
    };

    assert!(fetch(worker_for(t, &["other"]), -10, -1).is_empty());
    assert_parked(t, urgent);
    assert_eq!(t.state(usual), JobState::Available);
    fetch_all(t, worker_for(t, &["other"]), 5);
    let worker = worker_for(t, &["late"]);

    assert_eq!(fetch(worker, 0, 10), [usual]);
    assert_eq!(fetch(worker, -10, -1), [urgent]);
}

/// A client that fetches by hand takes jobs of every kind, and may have nothing to run them with.
fn kinds_given_back_by_hand_are_parked(t: &Fixture) {
    let id = t.put(t.job().kind("late"));
    let due = t.look(id).run_at;
    let lease = t.take(t.worker()).lease;
    t.advance(HOUR);

    t.finish(FinishItem::new(lease, Decision::GiveBackAfter(HOUR), Ending::UnknownKind));

    assert_parked(t, id);
    assert_eq!((t.look(id).run_at, t.promote().done), (due, 0));
    let jobs = fetch_all(t, worker_for(t, &["late"]), 5);
    assert_eq!((ids(&jobs), jobs[0].attempt, jobs[0].lease.run), (vec![id], 1, 2));
}

fn kinds_of_a_repeated_fetch_are_the_same(t: &Fixture) {
    let late = parked(t);
    let (parking, taking) = (worker_for(t, &["work"]), worker_for(t, &["late"]));
    let (unknown, known) = (t.put(t.job().kind("x")), t.put(t.job()));
    let (first, second) = (t.next_claim(), t.next_claim());
    let parks = t.fetch_claim(parking, first, Fixture::QUEUE, 5);
    let takes = t.fetch_claim(taking, second, Fixture::QUEUE, 5);
    assert_eq!((ids(&parks.jobs), ids(&takes.jobs)), (vec![known], vec![late]));

    let leases = |jobs: &[FetchedJob]| jobs.iter().map(|job| job.lease.clone()).collect::<Vec<_>>();
    let again = t.fetch_claim(parking, first, Fixture::QUEUE, 5);
    assert_eq!(leases(&again.jobs), leases(&parks.jobs));
    let again = t.fetch_claim(taking, second, Fixture::QUEUE, 5);
    assert_eq!(leases(&again.jobs), leases(&takes.jobs));
    assert_parked(t, unknown);
    for jobs in [parks.jobs, takes.jobs] {
        t.complete(&jobs[0].lease);
    }
    t.assert_states(&[known, late], JobState::Completed);
    // Nothing is left of the claims: a worker that retires gives nothing back.
    t.retire(parking);
    assert_parked(t, unknown);
}

fn kinds_of_a_worker_that_registers_again_are_the_new_ones(t: &Fixture) {
    let worker = worker_for(t, &["a"]);
    let put = |kind: &str| t.put(t.job().kind(kind));
    let (a, b) = (put("a"), put("b"));
    assert_eq!(ids(&fetch_all(t, worker, 1)), [a]);
    let a = put("a");

    register(t, worker, &["b"]);

    assert_eq!(ids(&fetch_all(t, worker, 1)), [b]);
    assert_parked(t, a);
}

fn kinds_of_a_mixed_line_are_shared_by_their_workers(t: &Fixture) {
    let workers = [worker_for(t, &["even"]), worker_for(t, &["odd"])];
    let jobs = (0..300).map(|n| t.job().kind(if n % 2 == 0 { "even" } else { "odd" })).collect::<Vec<_>>();
    let put: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    t.enqueue(jobs);
    let mut done = [Vec::new(), Vec::new()];

    for round in 0..100 {
        let mine = round % 2;
        let jobs = t.fetch(workers[mine], 7);
        t.finish_all(jobs.iter().map(|job| FinishItem::complete(job.lease.clone())).collect());
        done[mine].extend(ids(&jobs));
    }

    let of = |rest: usize| put.iter().copied().skip(rest).step_by(2).collect::<BTreeSet<_>>();
    for (mine, done) in done.into_iter().enumerate() {
        assert_eq!(done.len(), 150);
        assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), of(mine));
    }
    let runs = put.iter().map(|id| t.runs(*id).len()).collect::<BTreeSet<_>>();
    assert_eq!(runs, BTreeSet::from([1]));
}

fn kinds_without_a_handler_do_not_stand_before_others(t: &Fixture) {
    let mut unknown = Vec::new();
    for _ in 0..3 {
        let jobs: Vec<_> = (0..900).map(|_| t.job().kind("late").priority(-3)).collect();
        unknown.extend(jobs.iter().map(|job| job.id));
        t.enqueue(jobs);
    }
    let known = t.put_many(20);
    let worker = worker_for(t, &[Fixture::KIND]);

    let (mut found, mut fetches) = (Vec::new(), 0);
    while found.len() < 20 {
        fetches += 1;
        found.extend(ids(&t.fetch(worker, 10)));
        assert!(fetches <= 30, "{} jobs after {fetches} fetches", found.len());
    }

    assert_eq!(found, known);
    let count = t.queue_stats(Fixture::QUEUE).parked[0].count.value;
    assert_eq!(count, 2_700);
    for id in [unknown[0], unknown[1_234], unknown[2_699]] {
        assert_parked(t, id);
        assert!(t.runs(id).is_empty());
    }
    let late = worker_for(t, &["late"]);
    assert_eq!(ids(&fetch_all(t, late, 1_000)), unknown);
}

fn kinds_survive_reopening(t: &Fixture) {
    let id = parked(t);
    let worker = worker_for(t, &["late"]);

    t.reopen();

    assert_parked(t, id);
    assert_eq!(ids(&fetch_all(t, worker, 5)), [id]);
}
