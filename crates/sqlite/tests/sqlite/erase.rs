//! Jobs that are deleted while a claim still lists one of their runs.
//!
//! A random history found it: a job that is deleted at its end was snoozed, fetched again and completed. Its
//! rows were gone then, the one of its first run among them, and a repeat of the first finish was accepted,
//! since only the claim of the second run knew of the deletion.

use std::time::Duration;

use gristmill_core::{
    Backend, Call, Decision, Ending, FetchedJob, FinishItem, FinishRequest, Finished, JobFilter, Retention,
};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;

use crate::fixture::{File, count, enqueue, fetch, register};

/// Two leases of a job that is deleted at its end: the first one snoozed, in a claim that stays open.
fn two_leases(file: &File, backend: &Sqlite) -> (FetchedJob, FetchedJob) {
    let mut job = file.job();
    job.spec.retention = Some(Box::new(Retention::all(Duration::ZERO)));
    enqueue(backend, vec![job, file.job()]).expect("they are stored");
    let worker = register(backend);
    let first = fetch(backend, worker, 1, 2).remove(0);
    let snooze = FinishItem::new(first.lease.clone(), Decision::SnoozeAfter(Duration::ZERO), Ending::Snoozed);
    finish(backend, vec![snooze]);
    let second = fetch(backend, worker, 2, 1).remove(0);
    assert_eq!((first.lease.job, second.lease.run), (second.lease.job, 2));
    (first, second)
}

fn finish(backend: &Sqlite, items: Vec<FinishItem>) -> Vec<Finished> {
    block_on(backend.finish(Call::new(), FinishRequest::new(items))).expect("a finish is answered").items
}

#[test]
fn an_earlier_run_of_a_deleted_job_is_not_finished_again() {
    let file = File::new();
    let backend = file.open();
    let (first, second) = two_leases(&file, &backend);
    assert!(matches!(
        finish(&backend, vec![FinishItem::complete(second.lease)])[..],
        [Finished::Accepted { .. }]
    ));

    let again = finish(&backend, vec![FinishItem::complete(first.lease)]);

    assert!(matches!(again[..], [Finished::LeaseLost { .. }]), "{again:?}");
    assert_eq!(count(&backend, JobFilter::new()), 1);
}

#[test]
fn an_earlier_run_of_a_job_deleted_by_the_same_request_is_not_finished_again() {
    let file = File::new();
    let backend = file.open();
    let (first, second) = two_leases(&file, &backend);

    let items = vec![FinishItem::complete(second.lease), FinishItem::complete(first.lease)];
    let finished = finish(&backend, items);

    // The store may take the two in either order.
    assert!(matches!(finished[0], Finished::Accepted { .. }), "{finished:?}");
    assert!(!matches!(finished[1], Finished::Accepted { .. }), "{finished:?}");
    assert_eq!(count(&backend, JobFilter::new()), 1);
}
