//! A stored priority that cannot be counts as the nearest that can.

use std::sync::Arc;

use gristmill_core::{FetchReply, JobId, JobState, Priority, QueueWant, WorkerId};
use gristmill_testkit::{Fixture, Store};

use crate::fixture::{File, name};

/// A file, and jobs in it of which the first has a priority that cannot be.
fn jobs(file: &File, count: usize) -> (Fixture, Vec<JobId>) {
    let t = Fixture::new(Store::new(Arc::new(file.open())));
    let ids = t.put_many(count);
    for sql in [
        "UPDATE ready SET priority = 99 WHERE seq = (SELECT seq FROM jobs WHERE id = ?1)",
        "UPDATE jobs SET priority = 99 WHERE id = ?1",
    ] {
        assert_eq!(file.raw().execute(sql, [ids[0].as_bytes()]).expect("it is changed"), 1);
    }
    (t, ids)
}

fn granted(reply: &FetchReply) -> Vec<JobId> {
    reply.jobs.iter().map(|job| job.lease.job).collect()
}

#[test]
fn a_job_of_a_priority_that_cannot_be_is_fetched_with_the_last() {
    let file = File::new();
    let (t, ids) = jobs(&file, 3);
    let worker = t.worker();
    let fetch = |first, last, max| {
        let mut want = QueueWant::new(name(Fixture::QUEUE), max);
        want.priorities = Some((first, last));
        t.fetch_wants(worker, t.next_claim(), vec![want])
    };
    assert_eq!(granted(&fetch(Priority::FIRST, Priority::default(), 9)), ids[1..]);
    assert!(!fetch(Priority::LAST, Priority::LAST, 0).queues[0].exhausted);
    assert!(!t.fetch_claim(worker, t.next_claim(), Fixture::QUEUE, 0).queues[0].exhausted);

    let last = fetch(Priority::LAST, Priority::LAST, 9);

    assert_eq!(granted(&last), ids[..1]);
    assert_eq!(last.jobs[0].spec.priority, Priority::LAST);
}

#[test]
fn a_parked_job_of_a_priority_that_cannot_be_is_found() {
    let file = File::new();
    let (t, ids) = jobs(&file, 1);
    let worker_for = |kind: &str| {
        let mut registration = t.registration(WorkerId::random());
        registration.kinds.push(name(kind));
        let worker = registration.worker;
        t.register(registration);
        worker
    };
    assert!(t.fetch(worker_for("other"), 5).is_empty());
    assert_eq!(t.state(ids[0]), JobState::Scheduled);

    let found = t.fetch(worker_for(Fixture::KIND), 5);

    assert_eq!(found.iter().map(|job| job.lease.job).collect::<Vec<_>>(), ids);
}
