//! Versions of the schema.

use gristmill_core::{JobFilter, JobState};
use rusqlite::Connection;
use serde_json::json;

use super::answer::{ENQUEUE, GET, LIST, README, REQUEST, send, try_send, try_send_text};
use super::equal::{assert_equal, content};
use super::request;
use super::twins::Side;
use crate::fixture::{File, complete, count, fetch, register};

/// A file as the first version made it, with an available job and one that waits.
const FIRST: &str = "
INSERT INTO queues (queue, name) VALUES (1, 'line');
INSERT INTO jobs (seq, id, kind, queue, priority, run_at, created_at, max_attempts, args) VALUES
    (1, x'019a9b3e7c0070008000000000000001', 'work', 1, 0, 5, 5, 20, x'7b7d'),
    (2, x'019a9b3e7c0070008000000000000002', 'work', 1, 0, 253402207200000, 5, 20, x'7b7d');
INSERT INTO ready (queue, priority, run_at, seq, run, attempt, crashes) VALUES (1, 0, 5, 1, 0, 0, 0);
INSERT INTO waiting (seq, state, run_at, run, attempt, crashes) VALUES (2, 1, 253402207200000, 0, 0, 0);
INSERT INTO counts (queue, state, amount) VALUES (1, 1, 1), (1, 2, 1);
UPDATE meta SET value = 3 WHERE name = 'next_seq';
PRAGMA application_id = 1196576076;
PRAGMA user_version = 1;";

fn first_version(file: &File) -> Connection {
    let connection = Connection::open(file.path()).expect("it is so in this test");
    connection
        .execute_batch(include_str!("../../../migrations/0001_initial.sql"))
        .expect("it is so in this test");
    connection.execute_batch(FIRST).expect("it is so in this test");
    connection
}

#[test]
fn a_file_of_the_first_version_keeps_its_jobs_and_gets_the_outbox() {
    let file = File::new();
    let raw = first_version(&file);
    let jobs_before = content(&raw)["jobs"].clone();

    let backend = file.open();

    for (now, before) in content(&raw)["jobs"].iter().zip(&jobs_before) {
        // Later columns stand behind the others.
        assert_eq!(now[..before.len()], before[..]);
    }
    let new = file.job();
    send(&raw, *ENQUEUE, &request::enqueue(std::slice::from_ref(&new)));
    let worker = register(&backend);
    assert_eq!(complete(&backend, fetch(&backend, worker, 1, 10)).len(), 2);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Scheduled)), 1);
}

#[test]
fn a_file_of_the_first_version_has_no_outbox_and_says_so() {
    let file = File::new();
    let raw = first_version(&file);
    for (statement, missing) in [
        (*ENQUEUE, "outbox_enqueue"),
        (*REQUEST, "outbox_request"),
        (*GET, "outbox_protocols"),
        (*LIST, "outbox_protocols"),
    ] {
        let error = try_send(&raw, statement, &request::ids(&[])).unwrap_err().to_string();
        assert!(error.starts_with(&format!("no such table: {missing}")), "{error}");
    }
}

#[test]
fn a_request_of_another_protocol_is_answered_with_those_that_are_accepted_and_changes_nothing() {
    let side = Side::new();
    let job = side.file.job();
    crate::fixture::enqueue(&side.backend, vec![job.clone()]).unwrap();
    let before = content(&side.raw);
    let refused = json!({"error": {"why": "protocol", "oldest": 2, "newest": 2}});
    for protocol in [0, 1, 3, -1, 1_000_000] {
        for (statement, mut request) in [
            (*ENQUEUE, request::enqueue(&side.file.jobs(2))),
            (*REQUEST, request::request("cancel", &[job.id], None, None)),
            (*GET, request::ids(&[job.id])),
            (*LIST, request::list(json!({}))),
        ] {
            request["protocol"] = json!(protocol);
            assert_eq!(send(&side.raw, statement, &request), refused, "{statement}");
        }
        // What a newer version asks for may look otherwise.
        let newer = json!({"protocol": protocol, "other": [1]});
        assert_eq!(send(&side.raw, *ENQUEUE, &newer), refused);
    }
    assert_equal(&content(&side.raw), &before, "requests of another protocol");
}

#[test]
fn protocols_are_accepted_from_the_oldest_to_the_newest() {
    let side = Side::new();
    side.raw
        .execute_batch("UPDATE meta SET value = 4 WHERE name = 'outbox_newest'")
        .expect("it is so in this test");
    for protocol in [2, 3, 4] {
        let mut request = request::enqueue(&side.file.jobs(1));
        request["protocol"] = json!(protocol);
        assert_eq!(send(&side.raw, *ENQUEUE, &request)["answers"], json!([{"created": true}]), "{protocol}");
    }
    side.raw
        .execute_batch("UPDATE meta SET value = 3 WHERE name = 'outbox_oldest'")
        .expect("it is so in this test");
    let answer = send(&side.raw, *ENQUEUE, &request::enqueue(&side.file.jobs(1)));
    assert_eq!(answer, json!({"error": {"why": "protocol", "oldest": 3, "newest": 4}}));
    assert_eq!(count(&side.backend, JobFilter::new()), 3);
}

#[test]
fn the_printed_schema_makes_a_file_that_is_served() {
    let file = File::new();
    let raw = Connection::open(file.path()).unwrap();
    raw.execute_batch(&gristmill_sqlite::Sqlite::schema()).unwrap();
    send(&raw, *ENQUEUE, &request::enqueue(&file.jobs(2)));
    assert_eq!(count(&file.open(), JobFilter::new()), 2);
}

#[test]
fn the_readme_shows_a_request_that_is_taken() {
    let row = README.lines().find_map(|line| line.strip_prefix("| enqueue | `")).unwrap();
    let request = serde_json::from_str(row.split_once('`').unwrap().0).unwrap();
    let side = Side::new();
    assert_eq!(send(&side.raw, *ENQUEUE, &request)["answers"], json!([{"created": true}]));
    let get = json!({"protocol": request::PROTOCOL, "ids": [request["jobs"][0]["id"], "x", null]});
    let shown = send(&side.raw, *GET, &get);
    assert_eq!(
        (&shown["jobs"][0]["kind"], &shown["jobs"][1], &shown["jobs"][2]),
        (&json!("welcome"), &json!(null), &json!(null))
    );
    let error = try_send_text(&side.raw, *GET, "{").unwrap_err().to_string();
    assert_eq!(error, "malformed JSON");
}
