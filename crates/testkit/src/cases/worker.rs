//! Workers: they register, are seen, and retire.

use std::time::Duration;

use gristmill_core::{BackendErrorKind, Ending, JobState, RegisterWorker, WorkerId};

use crate::Fixture;
use crate::case::cases;
use crate::fixture::name;

cases! { "worker":
    worker_that_registers_is_seen,
    worker_record_counts_what_it_runs,
    worker_that_registers_again_renews,
    worker_that_registers_again_keeps_its_jobs,
    worker_that_expired_does_not_come_back,
    workers_are_listed_by_the_time_they_started,
    worker_that_retires_is_forgotten,
    worker_that_retires_gives_its_jobs_back_refunded,
    worker_that_retires_leaves_finished_jobs_alone,
    worker_that_is_unknown_may_retire,
    worker_lease_length_is_its_own,
    worker_survives_reopening needs Durable,
}

fn worker_that_registers_is_seen(t: &Fixture) {
    let worker = WorkerId::random();
    let mut registration = RegisterWorker::new(worker, "host-7 (4711)", Duration::from_secs(45));
    registration.slots = 12;
    registration.queues = vec![name("mail"), name("post")];
    registration.kinds = vec![name("send")];

    t.register(registration);

    let record = t.find_worker(worker).expect("it has registered");
    assert_eq!((record.label.as_str(), record.slots, record.running), ("host-7 (4711)", 12, 0));
    assert_eq!((record.started_at, record.heartbeat_at), (t.now(), t.now()));
    assert_eq!((record.lease, record.lease_expires_at), (Duration::from_secs(45), t.now() + record.lease));
    assert_eq!((record.queues, record.kinds), (vec![name("mail"), name("post")], vec![name("send")]));
}

fn worker_record_counts_what_it_runs(t: &Fixture) {
    let worker = t.worker();
    t.put_many(3);
    let jobs = t.fetch(worker, 3);
    t.complete(&jobs[1].lease);

    assert_eq!(t.find_worker(worker).map(|record| record.running), Some(2));
}

fn worker_that_registers_again_renews(t: &Fixture) {
    let worker = t.worker();
    let started_at = t.now();
    t.advance(Duration::from_secs(20));

    t.register(t.registration(worker));

    let record = t.find_worker(worker).expect("it has registered");
    assert_eq!((record.started_at, record.lease_expires_at), (started_at, t.now() + Fixture::LEASE));
}

fn worker_that_registers_again_keeps_its_jobs(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;

    t.register(t.registration(worker));

    assert_eq!(t.state(id), JobState::Running);
    assert!(t.renew(worker, &[lease.claim]).lost.is_empty());
}

/// An incarnation whose lease ran out may be losing its jobs at this very moment; it starts again with a new
/// one.
fn worker_that_expired_does_not_come_back(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    t.take(worker);
    t.advance(Fixture::LEASE + Duration::from_millis(1));

    let registration = t.registration(worker);
    let refused = t.ask(|backend, call| backend.register_worker(call, registration));

    assert_eq!(refused.err().map(|error| error.kind()), Some(BackendErrorKind::WorkerGone));
    assert_eq!(t.rescue().jobs.len(), 1);
    assert_eq!(t.state(id), JobState::Available);
}

fn workers_are_listed_by_the_time_they_started(t: &Fixture) {
    let expected: Vec<_> = (0..5)
        .map(|_| {
            t.advance(Duration::from_millis(1));
            t.worker()
        })
        .collect();

    let listed: Vec<_> = t.workers().iter().map(|record| record.id).collect();

    assert_eq!(listed, expected);
}

fn worker_that_retires_is_forgotten(t: &Fixture) {
    let (worker, other) = (t.worker(), t.worker());

    t.retire(worker);

    assert_eq!(t.workers().iter().map(|record| record.id).collect::<Vec<_>>(), [other]);
}

fn worker_that_retires_gives_its_jobs_back_refunded(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(2);
    t.fetch(worker, 2);

    t.retire(worker);

    for id in ids {
        let job = t.look(id);
        assert_eq!((job.state, job.attempt, job.run, job.crashes), (JobState::Available, 0, 1, 0));
        assert_eq!(t.runs(id)[0].ending, Ending::Released);
    }
}

fn worker_that_retires_leaves_finished_jobs_alone(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    t.complete(&t.take(worker).lease);
    let before = t.look(id);

    t.retire(worker);

    assert_eq!(t.look(id), before);
}

fn worker_that_is_unknown_may_retire(t: &Fixture) {
    t.retire(WorkerId::random());
}

fn worker_lease_length_is_its_own(t: &Fixture) {
    let (short, long) = (WorkerId::random(), WorkerId::random());
    for (worker, seconds) in [(short, 5), (long, 500)] {
        let mut registration = t.registration(worker);
        registration.lease = Duration::from_secs(seconds);
        t.register(registration);
    }
    let ids = t.put_many(2);
    t.take(short);
    t.take(long);
    t.advance(Duration::from_secs(6));

    t.rescue();

    assert_eq!((t.state(ids[0]), t.state(ids[1])), (JobState::Available, JobState::Running));
}

fn worker_survives_reopening(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let lease = t.take(worker).lease;
    let before = t.workers();

    t.reopen();

    assert_eq!(t.workers(), before);
    assert!(t.renew(worker, &[lease.claim]).lost.is_empty());
}
