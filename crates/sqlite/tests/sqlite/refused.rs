//! An operation that is refused leaves nothing behind, whatever else its transaction stores.

use gristmill_core::{Backend, BackendErrorKind, Call, JobFilter, JobState};
use gristmill_testkit::block_on;
use rusqlite::params;

use crate::fixture::{File, complete, count, enqueue, fetch, register};

/// The number of the last job that a file holds.
const LAST_SEQ: i64 = (1 << 41) - 1;

#[test]
fn an_enqueue_that_runs_out_of_numbers_stores_none_of_its_jobs() {
    let file = File::new();
    let backend = file.open();
    enqueue(&backend, file.jobs(2)).expect("they are stored");
    file.raw()
        .execute("UPDATE meta SET value = ?1 WHERE name = 'next_seq'", params![LAST_SEQ])
        .expect("it is set");

    let error = enqueue(&backend, file.jobs(3)).expect_err("one number is left");

    assert_eq!(error.kind(), BackendErrorKind::Full);
    assert_eq!(count(&backend, JobFilter::new()), 2);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Available)), 2);
    enqueue(&backend, file.jobs(1)).expect("the last number was given back");
}

#[test]
fn a_fetch_that_meets_a_bad_row_loses_no_job() {
    let file = File::new();
    let backend = file.open();
    let jobs = file.jobs(5);
    let bad = jobs[2].id;
    enqueue(&backend, jobs).expect("they are stored");
    let sql = "UPDATE jobs SET kind = 'bad kind' WHERE id = ?1";
    file.raw().execute(sql, params![bad.as_bytes()]).expect("it is changed");
    let worker = register(&backend);

    let granted = fetch(&backend, worker, 1, 5);

    assert_eq!(granted.len(), 4);
    complete(&backend, granted);
    let audit = block_on(backend.audit(Call::new(), None, 100)).expect("an audit");
    assert!(audit.repaired.is_empty(), "{audit:?}");
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Discarded)), 1);
}
