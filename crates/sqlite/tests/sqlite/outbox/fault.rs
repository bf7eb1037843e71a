//! What is refused leaves the store, and the transaction it came in, as they were.

use gristmill_core::{
    Backend, Call, ClaimId, Count, FetchRequest, JobFilter, JobId, JobPatch, JobState, QueueWant,
    StatsRequest, WorkerId,
};
use gristmill_testkit::block_on;
use gristmill_testkit::requested::promote;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde_json::{Value, json};

use super::answer::{ENQUEUE, GET, REQUEST, send, try_send};
use super::equal::{assert_equal, content};
use super::refuse::with;
use super::request;
use super::twins::Side;
use crate::fixture::{complete, count, enqueue, register};

/// The audit finds nothing, the counts are those of the jobs, and everything available can be run.
pub(crate) fn assert_sound(side: &Side) {
    let audit = block_on(side.backend.audit(Call::new(), None, 100_000)).expect("it is so in this test");
    assert_eq!((audit.repaired, audit.next), (vec![], None));
    let stats =
        block_on(side.backend.stats(Call::new(), StatsRequest::new(None))).expect("it is so in this test");
    for queue in &stats.queues {
        for state in JobState::ALL.iter().copied() {
            // With a kind in it the filter is answered from the jobs, not from the counts.
            let filter = JobFilter::new().state(state).queue(queue.queue.name.clone());
            let kinds = ["work", "x", "2"]
                .map(|kind| count(&side.backend, filter.clone().kind(crate::fixture::name(kind))));
            assert_eq!(queue.count(state), Count { value: kinds.iter().sum(), capped: false }, "{state}");
        }
    }
    let worker = register(&side.backend);
    let wants = stats.queues.iter().map(|queue| QueueWant::new(queue.queue.name.clone(), 10_000)).collect();
    let available: u64 = stats.queues.iter().map(|queue| queue.count(JobState::Available).value).sum();
    let request = FetchRequest::new(worker, ClaimId(1), wants);
    let fetched = block_on(side.backend.fetch(Call::new(), request)).expect("it is so in this test").jobs;
    assert_eq!(fetched.len() as u64, available);
    complete(&side.backend, fetched);
}

fn cancel(ids: &[JobId]) -> Value {
    request::request("cancel", ids, None, None)
}

#[test]
fn what_is_rolled_back_was_never_there() {
    let side = Side::new();
    enqueue(&side.backend, side.file.jobs(3)).unwrap();
    let before = content(&side.raw);
    side.raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut jobs = side.file.jobs(3);
    jobs[0].spec.queue = crate::fixture::name("new");
    send(&side.raw, *ENQUEUE, &request::enqueue(&jobs));
    send(&side.raw, *REQUEST, &cancel(&[jobs[1].id]));
    side.raw.execute_batch("ROLLBACK").unwrap();
    assert_equal(&content(&side.raw), &before, "a rollback");

    // The queue of the rolled back job gets its number now.
    jobs[2].spec.queue = crate::fixture::name("newer");
    enqueue(&side.backend, jobs).unwrap();
    assert_sound(&side);
}

#[test]
fn a_savepoint_that_is_rolled_back_takes_its_jobs_along_and_no_others() {
    let side = Side::new();
    let (kept, undone) = (side.file.job(), side.file.job());
    side.raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    send(&side.raw, *ENQUEUE, &request::enqueue(std::slice::from_ref(&kept)));
    side.raw.execute_batch("SAVEPOINT inner").unwrap();
    send(&side.raw, *ENQUEUE, &request::enqueue(std::slice::from_ref(&undone)));
    send(&side.raw, *REQUEST, &cancel(&[kept.id]));
    side.raw.execute_batch("ROLLBACK TO inner; COMMIT").unwrap();
    let get = send(&side.raw, *GET, &request::ids(&[kept.id, undone.id]));
    assert_eq!((&get["jobs"][0]["state"], &get["jobs"][1]), (&json!("available"), &Value::Null));
    assert_eq!(count(&side.backend, JobFilter::new()), 1);
    assert_sound(&side);
}

#[test]
fn a_transaction_that_may_only_read_is_told_so_and_can_get() {
    let side = Side::new();
    let job = side.file.job();
    enqueue(&side.backend, vec![job.clone()]).unwrap();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = Connection::open_with_flags(side.file.path(), flags).unwrap();
    side.raw.pragma_update(None, "query_only", true).unwrap();
    for connection in [&reader, &side.raw] {
        for statement in [*ENQUEUE, *REQUEST] {
            let error = try_send(connection, statement, &request::ids(&[job.id])).unwrap_err();
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly), "{error}");
        }
        assert_eq!(send(connection, *GET, &request::ids(&[job.id]))["jobs"][0]["state"], "available");
    }
}

/// The conflict clause of a statement reaches into the triggers it fires: nothing there may lean on one.
#[test]
fn a_conflict_clause_of_the_caller_replaces_and_ignores_nothing() {
    for clause in ["REPLACE", "IGNORE", "ABORT", "FAIL"] {
        let side = Side::new();
        let job = side.file.job();
        let insert = ENQUEUE.replacen("INSERT", &format!("INSERT OR {clause}"), 1);
        let request = request::enqueue(&[job.clone(), job.clone(), side.file.job()]);
        let answers = send(&side.raw, &insert, &request);
        assert_eq!(answers["answers"][1], json!({"existing": job.id, "by": "id"}), "{clause}");
        assert!(try_send(&side.raw, &insert, &with(&side.file.job(), "priority", json!(11))).is_err());
        let insert = REQUEST.replacen("INSERT", &format!("INSERT OR {clause}"), 1);
        let stored = send(&side.raw, &insert, &cancel(&[job.id, job.id]));
        assert_eq!(stored["requests"], json!([1, 2]));
        promote(&side.backend);
        assert_eq!(count(&side.backend, JobFilter::new()), 2);
        assert_sound(&side);
    }
}

#[test]
fn settings_of_the_callers_connection_change_nothing() {
    let settings = [
        "PRAGMA recursive_triggers = ON",
        "PRAGMA trusted_schema = OFF",
        "PRAGMA foreign_keys = ON",
        "PRAGMA case_sensitive_like = ON",
        "PRAGMA reverse_unordered_selects = ON",
        "PRAGMA cell_size_check = ON",
    ];
    let side = Side::new();
    for setting in settings {
        let connection = side.file.raw();
        connection.execute_batch(setting).unwrap();
        let jobs = side.file.jobs(3);
        send(&connection, *ENQUEUE, &request::enqueue(&jobs));
        let ids = jobs.iter().map(|job| job.id).collect::<Vec<_>>();
        send(&connection, *REQUEST, &request::request("update", &ids, None, Some(&JobPatch::default())));
        send(&connection, *REQUEST, &cancel(&ids[..1]));
        promote(&side.backend);
        let get = send(&connection, *GET, &request::ids(&ids));
        let states: Vec<_> = get["jobs"].as_array().unwrap().iter().map(|job| job["state"].clone()).collect();
        assert_eq!(states, ["cancelled", "available", "available"], "{setting}");
    }
    assert_sound(&side);
}

/// Triggers find their tables in their own file, whatever the caller has elsewhere by the same names.
#[test]
fn a_file_that_is_attached_to_another_is_served_by_its_schemas_name() {
    let side = Side::new();
    let own = Connection::open_in_memory().unwrap();
    own.execute_batch("CREATE TABLE jobs (x); CREATE TEMP TABLE meta (x); CREATE TEMP TABLE queues (x)")
        .unwrap();
    own.execute("ATTACH ?1 AS store", [side.file.path().to_str().unwrap()]).unwrap();
    let job = side.file.job();
    let insert = ENQUEUE.replace("outbox_", "store.outbox_");
    assert_eq!(
        send(&own, &insert, &request::enqueue(std::slice::from_ref(&job)))["answers"],
        json!([{"created": true}])
    );
    let get = GET.replace("outbox_", "store.outbox_").replace("store.outbox_job.id", "outbox_job.id");
    assert_eq!(send(&own, &get, &request::ids(&[job.id]))["jobs"][0]["kind"], "work");
    assert_sound(&side);
}

#[test]
fn a_cancelled_run_that_nobody_holds_any_more_is_told_to_nobody() {
    let side = Side::new();
    let worker = WorkerId::random();
    // A job in no place: neither claimed nor available.
    let job = side.file.job();
    enqueue(&side.backend, vec![job.clone()]).unwrap();
    side.raw.execute("DELETE FROM ready", []).unwrap();
    send(&side.raw, *REQUEST, &request::request("cancel", &[job.id], Some(&worker.to_string()), None));
    promote(&side.backend);
    let cancels: i64 = side.raw.query_row("SELECT count(*) FROM cancels", [], |row| row.get(0)).unwrap();
    assert_eq!(cancels, 0);
}
