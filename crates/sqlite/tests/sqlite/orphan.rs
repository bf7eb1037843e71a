//! Rows of jobs whose own row was removed by hand.

use std::time::Duration;

use gristmill_core::{Backend, Call, ClaimId, FetchRequest, JobFilter, JobState, QueueWant, When};
use gristmill_testkit::block_on;

use crate::fixture::{File, complete, count, enqueue, fetch, name, register, register_for};

#[test]
fn a_round_of_promotion_counts_what_it_moved_and_drops_rows_of_jobs_that_are_gone() {
    let file = File::new();
    let backend = file.open();
    let mut jobs = file.jobs(3);
    for job in &mut jobs {
        job.when = When::After(Duration::from_secs(60));
    }
    let gone = jobs[0].id;
    enqueue(&backend, jobs).expect("they are stored");
    file.raw().execute("UPDATE waiting SET run_at = 1", []).expect("they are due");
    file.raw().execute("DELETE FROM jobs WHERE id = ?1", [gone.as_bytes()]).expect("it is removed");

    let round = block_on(backend.promote(Call::new(), 1_000)).expect("a round");

    assert_eq!((round.done, round.more, round.next_due), (2, false, None));
    let left: i64 =
        file.raw().query_row("SELECT count(*) FROM waiting", [], |row| row.get(0)).expect("a count");
    assert_eq!(left, 0);
}

#[test]
fn a_parked_row_of_a_job_that_is_gone_fails_no_fetch() {
    let file = File::new();
    let backend = file.open();
    let jobs = file.jobs(3);
    let gone = jobs[0].id;
    enqueue(&backend, jobs).expect("they are stored");
    let other = register_for(&backend, &["other"]);
    assert!(fetch(&backend, other, 1, 10).is_empty());
    file.raw().execute("DELETE FROM jobs WHERE id = ?1", [gone.as_bytes()]).expect("it is removed");

    let worker = register(&backend);
    let wants = vec![QueueWant::new(name("line"), 1)];
    let request = FetchRequest::new(worker, ClaimId(1), wants);
    let first = block_on(backend.fetch(Call::new(), request)).expect("a fetch is answered");
    assert!(!first.queues[0].exhausted);
    let rest = fetch(&backend, worker, 2, 10);
    let ids = first.jobs.len() + rest.len();
    assert_eq!(ids, 2);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Scheduled)), 0);
    complete(&backend, rest);
}

#[test]
fn an_available_row_of_a_job_that_is_gone_is_none_to_fetch() {
    let file = File::new();
    let backend = file.open();
    let jobs = file.jobs(2);
    let gone = jobs[0].id;
    enqueue(&backend, jobs).expect("they are stored");
    file.raw().execute("DELETE FROM jobs WHERE id = ?1", [gone.as_bytes()]).expect("it is removed");
    let worker = register(&backend);
    assert_eq!(fetch(&backend, worker, 1, 10).len(), 1);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Available)), 0);
}

#[test]
fn pages_of_rare_jobs_among_many_are_full_and_go_on_behind_their_last() {
    let file = File::new();
    let backend = file.open();
    let mut jobs = file.jobs(1_200);
    let rare: Vec<_> = jobs.iter_mut().skip(7).step_by(300).collect();
    let mut ids = Vec::new();
    for job in rare {
        job.spec.kind = name("rare");
        ids.push(job.id);
    }
    enqueue(&backend, jobs).expect("they are stored");
    for order in [gristmill_core::Order::OldestFirst, gristmill_core::Order::NewestFirst] {
        let (mut found, mut cursor) = (Vec::new(), None);
        let mut pages = 0;
        loop {
            let mut request = gristmill_core::ListRequest::new(JobFilter::new().kind(name("rare")));
            request.limit = 2;
            request.cursor = cursor;
            request.order = order;
            let page = block_on(backend.list(Call::new(), request)).expect("a page");
            found.extend(page.items.iter().map(|job| job.id));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        found.sort_unstable();
        assert_eq!(found, ids);
        assert!(pages <= 3, "{pages} pages");
    }
}
