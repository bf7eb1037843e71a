//! Pages end at bytes as well as at their limit.

use std::time::Duration;

use gristmill_core::{
    FinishItem, Finished, JobFilter, JobId, JobRecord, JobState, ListRequest, MAX_BATCH_BYTES, Order, Output,
    RunError,
};

use crate::case::cases;
use crate::fixture::act::ALL;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "pages":
    pages_end_where_their_args_are_large,
    pages_end_where_their_outputs_are_large,
    pages_end_where_their_errors_are_large,
    pages_of_one_job_show_it_however_large,
    counts_and_verbs_take_large_jobs,
}

const MEGABYTE: usize = 1_000_000;

/// Enqueues jobs with args of a megabyte each.
#[track_caller]
fn put_large(t: &Fixture, count: usize) -> Vec<JobId> {
    let json = format!("\"{}\"", "x".repeat(MEGABYTE - 2));
    (0..count).map(|_| t.put(t.job().args(&json))).collect()
}

/// All jobs, page by page, none of which is larger than a batch and one job.
#[track_caller]
fn walk(t: &Fixture, filter: &JobFilter, order: Order) -> Vec<JobId> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    for _ in 0..ALL {
        let request = ListRequest::new(filter.clone()).order(order).limit(ALL).after(cursor);
        let page = t.must(|backend, call| backend.list(call, request));
        let but_last = page.items.len().saturating_sub(1);
        let bytes: usize = page.items[..but_last].iter().map(JobRecord::bytes).sum();
        assert!(
            bytes <= MAX_BATCH_BYTES,
            "a page of {} jobs has {bytes} bytes before its last",
            page.items.len()
        );
        ids.extend(page.items.iter().map(|job| job.id));
        cursor = page.next;
        if cursor.is_none() {
            return ids;
        }
        assert!(!page.items.is_empty(), "a page that has room shows a job");
    }
    panic!("the list never came to its last page");
}

fn pages_end_where_their_args_are_large(t: &Fixture) {
    let mut ids = put_large(t, 40);

    assert_eq!(walk(t, &JobFilter::new(), Order::OldestFirst), ids);
    assert_eq!(walk(t, &JobFilter::new().state(JobState::Available), Order::OldestFirst), ids);
    let mut by_id = JobFilter::new();
    by_id.ids.clone_from(&ids);
    assert_eq!(walk(t, &by_id, Order::OldestFirst), ids);
    ids.reverse();
    assert_eq!(walk(t, &JobFilter::new(), Order::NewestFirst), ids);
}

fn pages_end_where_their_outputs_are_large(t: &Fixture) {
    let ids = t.put_many(12);
    let worker = t.worker();
    for _ in &ids {
        let mut item = FinishItem::complete(t.take(worker).lease);
        item.output = Some(Output::from_stored(format!("\"{}\"", "x".repeat(MEGABYTE - 2))));
        assert_eq!(t.finish(item), Finished::Accepted { state: JobState::Completed });
    }

    assert_eq!(walk(t, &JobFilter::new(), Order::OldestFirst), ids);
    assert_eq!(walk(t, &JobFilter::new().state(JobState::Completed), Order::OldestFirst), ids);
}

fn pages_end_where_their_errors_are_large(t: &Fixture) {
    let ids = t.put_many(40);
    let worker = t.worker();
    let error = RunError::new("x".repeat(MEGABYTE));
    for _ in 0..JobRecord::MAX_ERRORS {
        let leases = t.fetch(worker, ALL).into_iter().map(|job| job.lease);
        let fail = |lease| FinishItem::fail(lease, Duration::ZERO, error.clone());
        t.finish_all(leases.map(fail).collect());
        t.promote();
    }

    assert_eq!(walk(t, &JobFilter::new(), Order::OldestFirst), ids);
}

fn pages_of_one_job_show_it_however_large(t: &Fixture) {
    let ids = put_large(t, 10);

    assert_eq!(t.list(&JobFilter::new(), Order::OldestFirst, 1), ids);
    assert_eq!(t.list(&JobFilter::new(), Order::NewestFirst, 8).len(), 10);
}

fn counts_and_verbs_take_large_jobs(t: &Fixture) {
    let ids = put_large(t, 20);

    assert_eq!(t.count(JobFilter::new().kind(name(Fixture::KIND))), 20);
    let verdicts = t.everywhere(&JobFilter::new(), ALL, |t, request| {
        t.must(|backend, call| backend.cancel(call, request))
    });
    assert_eq!(verdicts.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    t.assert_states(&ids, JobState::Cancelled);
}
