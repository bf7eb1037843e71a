//! Pages end at bytes as well as at their limit.

use std::time::Duration;

use gristmill_core::{
    FinishItem, Finished, JobFilter, JobId, JobRecord, JobState, ListRequest, LogLine, MAX_BATCH_BYTES,
    Order, Output, RecordRequest, RunError,
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
    logs_of_runs_show_the_newest_lines_of_all,
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

/// Two logs of 8,000,000 bytes each are more than a batch: the newest run shows all of its lines, the one
/// before it the last of them.
fn logs_of_runs_show_the_newest_lines_of_all(t: &Fixture) {
    let id = t.put(t.job());
    let worker = t.worker();
    for run in 1..=3 {
        let lease = t.take(worker).lease;
        let mut request = RecordRequest::new(lease.clone());
        request.first_line = 1;
        let text = |line| format!("{run}:{line:04}{}", "x".repeat(8_000 - 6));
        request.log = (1..=1_000).map(|line| LogLine { at: t.now(), text: text(line) }).collect();
        t.record(request);
        t.give_back(&lease);
    }

    let runs = t.runs(id);

    let shown = |run: usize| runs[run].log.iter().map(|line| &line.text[..6]).collect::<Vec<_>>();
    let all: Vec<String> = (1..=1_000).map(|line| format!("3:{line:04}")).collect();
    assert_eq!(shown(2), all);
    // The line that reaches the bytes of a batch is the last.
    let rest = (MAX_BATCH_BYTES - 8_000_000).div_ceil(8_000);
    let newest: Vec<String> = (1_001 - rest..=1_000).map(|line| format!("2:{line:04}")).collect();
    assert_eq!(shown(1), newest);
    assert!(shown(0).is_empty() && runs.len() == 3);
}
