//! Requests that a caller's transaction stores and `promote` applies after its commit (RM26 to RM29).

use std::io::{BufRead, BufReader, Write, stdout};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{Backend, Call, Hint, JobFilter, JobId, JobState, VerbRequest};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;
use gristmill_testkit::requested::{apply, events, promote, state, whats};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::answer::{ENQUEUE, REQUEST, send};
use super::request;
use super::twins::Side;
use super::wake::{await_hint, listen};
use crate::fixture::{complete, count, enqueue, fetch, register};

/// Stores a request for each job, and returns the numbers.
pub(super) fn store(raw: &Connection, verb: &str, ids: &[JobId]) -> Value {
    send(raw, *REQUEST, &request::request(verb, ids, Some("ops"), None))["requests"].take()
}

pub(super) fn left(raw: &Connection) -> i64 {
    raw.query_row("SELECT count(*) FROM requests", [], |row| row.get(0)).expect("a number")
}

/// Jobs that are stored, by their ids.
pub(super) fn stored(side: &Side, jobs: usize) -> Vec<JobId> {
    let jobs = side.file.jobs(jobs);
    let ids = jobs.iter().map(|job| job.id).collect();
    enqueue(&side.backend, jobs).expect("they are stored");
    ids
}

#[test]
fn a_request_is_stored_with_the_transaction_and_applied_after_it() {
    let side = Side::new();
    let ids = stored(&side, 3);
    side.raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store(&side.raw, "cancel", &ids[..2]), json!([1, 2]));
    assert_eq!(store(&side.raw, "delete", &ids[2..]), json!([3]));
    assert_eq!(state(&side.backend, ids[0]), Some(JobState::Available));
    side.raw.execute_batch("COMMIT").unwrap();
    assert_eq!(state(&side.backend, ids[0]), Some(JobState::Available));
    assert_eq!(apply(&side.backend), 3);
    for id in &ids[..2] {
        assert_eq!(state(&side.backend, *id), Some(JobState::Cancelled));
        let events = events(&side.backend, *id);
        let shown: Vec<_> =
            events.iter().map(|event| (event.what.as_str(), event.actor.as_deref())).collect();
        assert_eq!(shown, [("cancel", Some("ops"))]);
    }
    assert_eq!((state(&side.backend, ids[2]), left(&side.raw)), (None, 0));
    // Numbers are not used again.
    assert_eq!(store(&side.raw, "delete", &ids[..1]), json!([4]));
}

#[test]
fn rm26_a_commit_of_another_connection_wakes_those_that_listen() {
    let side = Side::new();
    let ids = stored(&side, 1);
    let (_subscription, hints) = listen(&side.backend);
    promote(&side.backend);
    while hints.recv_timeout(Duration::from_millis(60)).is_ok() {}
    let begun = Instant::now();
    store(&side.raw, "cancel", &ids);
    assert!(await_hint(&hints, |hint| matches!(hint, Hint::Due(_))));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(apply(&side.backend), 1);
}

#[test]
fn rm26_a_request_without_a_listener_is_found_by_the_next_round_of_any_process() {
    let side = Side::new();
    let ids = stored(&side, 1);
    store(&side.raw, "cancel", &ids);
    let other = side.file.open();
    assert_eq!(apply(&other), 1);
    assert_eq!(state(&side.backend, ids[0]), Some(JobState::Cancelled));
    assert_eq!(apply(&side.backend), 0);
}

/// Set for the child that applies requests until it is killed: the file it works on.
const APPLIER: &str = "GRISTMILL_TEST_APPLIER";

#[test]
fn rm26_what_an_applier_that_is_killed_has_not_applied_another_does_once() {
    if let Some(path) = std::env::var_os(APPLIER) {
        let backend = Sqlite::open(path).expect("it opens");
        loop {
            promote(&backend);
            writeln!(stdout(), "round").expect("the parent listens");
        }
    }
    let side = Side::new();
    let ids = stored(&side, 2_000);
    for id in &ids {
        store(&side.raw, "cancel", &[*id]);
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "outbox::apply::rm26_what_an_applier_that_is_killed_has_not_applied_another_does_once",
        ])
        .arg("--nocapture")
        .env(APPLIER, side.file.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let rounds = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(rounds.filter(|line| line == "round").take(3).count(), 3);
    child.kill().unwrap();
    child.wait().unwrap();
    let by_me = apply(&side.backend);
    assert!((1..2_000).contains(&by_me), "{by_me}");
    for id in ids {
        assert_eq!(whats(&side.backend, id), ["cancel"]);
    }
}

#[test]
fn rm27_a_request_that_is_rolled_back_does_nothing() {
    let side = Side::new();
    let ids = stored(&side, 2);
    side.raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    store(&side.raw, "cancel", &ids);
    side.raw.execute_batch("ROLLBACK").unwrap();
    side.raw.execute_batch("BEGIN IMMEDIATE; SAVEPOINT inner").unwrap();
    store(&side.raw, "cancel", &ids[..1]);
    side.raw.execute_batch("ROLLBACK TO inner").unwrap();
    store(&side.raw, "cancel", &ids[1..]);
    side.raw.execute_batch("COMMIT").unwrap();
    assert_eq!(apply(&side.backend), 1);
    assert_eq!(state(&side.backend, ids[0]), Some(JobState::Available));
    assert_eq!(state(&side.backend, ids[1]), Some(JobState::Cancelled));
}

/// SQLite has one writer: an open transaction with a request delays writers, and no reader.
#[test]
fn rm27_reads_go_on_beside_an_open_transaction_and_its_request_is_applied_after_it() {
    let side = Side::new();
    let ids = stored(&side, 1);
    side.raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    store(&side.raw, "cancel", &ids);
    assert!(block_on(side.backend.promote(Call::new(), 1_000)).is_err());
    assert_eq!(count(&side.backend, JobFilter::new()), 1);
    side.raw.execute_batch("COMMIT").unwrap();
    assert_eq!(apply(&side.backend), 1);
}

#[test]
fn rm28_two_appliers_apply_each_request_once() {
    let side = Side::new();
    let other = side.file.options().busy_timeout(Duration::from_secs(10)).open().unwrap();
    let backend = side.file.options().busy_timeout(Duration::from_secs(10)).open().unwrap();
    let ids = stored(&side, 600);
    let patch = gristmill_core::JobPatch::default();
    for id in &ids {
        send(&side.raw, *REQUEST, &request::request("update", &[*id], None, Some(&patch)));
    }
    store(&side.raw, "cancel", &ids);
    let done = thread::scope(|scope| {
        let others = scope.spawn(|| apply(&other));
        apply(&backend) + others.join().expect("it ends")
    });
    assert_eq!((done, left(&side.raw)), (1_200, 0));
    for id in ids {
        assert_eq!(whats(&backend, id), ["update", "cancel"]);
    }
}

#[test]
fn rm28_requests_are_applied_in_the_order_of_their_commits() {
    let side = Side::new();
    let (ids, earlier) = (stored(&side, 1), side.file.raw());
    // It begins first, and takes the file only when it stores its request.
    earlier.execute_batch("BEGIN").unwrap();
    let patch = gristmill_core::JobPatch::default();
    send(&side.raw, *REQUEST, &request::request("update", &ids, Some("first"), Some(&patch)));
    store(&earlier, "cancel", &ids);
    earlier.execute_batch("COMMIT").unwrap();
    send(&side.raw, *REQUEST, &request::request("update", &ids, Some("late"), Some(&patch)));
    assert_eq!(apply(&side.backend), 3);
    let events = events(&side.backend, ids[0]);
    let shown: Vec<_> = events
        .iter()
        .map(|event| (event.what.as_str(), event.actor.as_deref(), event.detail.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("update", Some("first"), None),
            ("cancel", Some("ops"), None),
            ("request refused", Some("late"), Some("update: the job is cancelled")),
        ]
    );
}

#[test]
fn rm29_a_job_that_is_enqueued_and_cancelled_in_one_transaction_is_stored_and_cancelled() {
    let side = Side::new();
    let job = side.file.job();
    side.raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    store(&side.raw, "cancel", &[job.id]);
    send(&side.raw, *ENQUEUE, &request::enqueue(std::slice::from_ref(&job)));
    side.raw.execute_batch("COMMIT").unwrap();
    assert_eq!(apply(&side.backend), 1);
    assert_eq!(state(&side.backend, job.id), Some(JobState::Cancelled));
}

#[test]
fn rm29_the_verdict_is_that_of_the_moment_in_which_a_request_is_applied() {
    let side = Side::new();
    let ids = stored(&side, 4);
    let worker = register(&side.backend);
    complete(&side.backend, fetch(&side.backend, worker, 1, 1));
    store(&side.raw, "cancel", &ids);
    // The first has ended. The second ends, the third is retried by hand, the fourth is deleted.
    complete(&side.backend, fetch(&side.backend, worker, 2, 1));
    let verb = |id| VerbRequest::ids(vec![id]);
    block_on(side.backend.cancel(Call::new(), verb(ids[2]))).unwrap();
    block_on(side.backend.retry(Call::new(), verb(ids[2]))).unwrap();
    block_on(side.backend.delete(Call::new(), verb(ids[3]))).unwrap();
    assert_eq!(apply(&side.backend), 4);
    for id in &ids[..2] {
        let event = events(&side.backend, *id).pop().expect("one");
        assert_eq!((event.what.as_str(), event.actor.as_deref()), ("request refused", Some("ops")));
        assert_eq!(event.detail.as_deref(), Some("cancel: the job has ended"));
    }
    assert_eq!(whats(&side.backend, ids[2]), ["cancel", "retry", "cancel"]);
    assert_eq!((state(&side.backend, ids[3]), left(&side.raw)), (None, 0));
}

#[test]
fn a_running_job_is_asked_to_stop_and_refuses_other_requests() {
    let side = Side::new();
    let ids = stored(&side, 1);
    let worker = register(&side.backend);
    fetch(&side.backend, worker, 1, 1);
    store(&side.raw, "delete", &ids);
    store(&side.raw, "cancel", &ids);
    assert_eq!(apply(&side.backend), 2);
    let events = events(&side.backend, ids[0]);
    assert_eq!(events[0].detail.as_deref(), Some("delete: the job is running"));
    assert_eq!(events[1].what, "cancel");
}
