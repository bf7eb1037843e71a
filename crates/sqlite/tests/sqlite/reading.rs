//! A file that is opened for reading only: beside a program that holds the lock, and by a user who may not
//! write it.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use gristmill_core::{Backend, BackendErrorKind, Call, JobFilter, ListRequest, MigrateMode, StatsRequest};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;

use crate::fixture::{File, count, enqueue};

fn open(file: &File) -> Sqlite {
    file.options().read_only(true).open().expect("the file opens for reading")
}

/// Everything that only reads.
fn look(backend: &Sqlite, jobs: usize) {
    assert_eq!(count(backend, JobFilter::new()), jobs as u64);
    let list = ListRequest::new(JobFilter::new());
    assert_eq!(block_on(backend.list(Call::new(), list)).expect("a list").items.len(), jobs);
    block_on(backend.stats(Call::new(), StatsRequest::new(None))).expect("numbers");
    block_on(backend.list_queues(Call::new())).expect("queues");
    block_on(backend.list_workers(Call::new())).expect("workers");
    block_on(backend.ping(Call::new())).expect("a ping");
    let findings = block_on(backend.diagnose(Call::new())).expect("findings");
    let trouble: Vec<_> = findings
        .iter()
        .filter(|finding| !finding.ok && !["permissions", "durability"].contains(&finding.check.as_str()))
        .collect();
    assert!(trouble.is_empty(), "{trouble:?}");
    let report = block_on(backend.migrate(Call::new(), MigrateMode::Status)).expect("the version");
    assert_eq!(report.current, report.latest);
}

#[test]
fn reads_are_answered_beside_a_program_that_holds_the_lock() {
    let file = File::new();
    enqueue(&file.open(), file.jobs(3)).expect("they are stored");
    let other = file.raw();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM ready").expect("it takes the lock");

    look(&open(&file), 3);

    let writer = file.options().open().expect_err("a writer waits for the lock");
    assert_eq!(writer.kind(), BackendErrorKind::Busy);
    other.execute_batch("ROLLBACK").expect("it lets go");
}

#[test]
fn a_worker_that_runs_is_read_beside_its_writes() {
    let file = File::new();
    let writer = file.open();
    let reader = {
        enqueue(&writer, file.jobs(1)).expect("it is stored");
        open(&file)
    };
    look(&reader, 1);
    enqueue(&writer, file.jobs(2)).expect("they are stored");
    look(&reader, 3);
}

#[test]
fn what_would_write_is_refused() {
    let file = File::new();
    drop(file.open());
    let reader = open(&file);
    let error = enqueue(&reader, file.jobs(1)).expect_err("it would write");
    assert_eq!(error.kind(), BackendErrorKind::ReadOnly);
    look(&reader, 0);
}

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let file = File::new();
    let error = file.options().read_only(true).open().expect_err("there is none");
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
    assert!(!file.path().exists());
}

/// As root every file may be written, so there the system test does this as another user.
#[test]
fn a_file_that_may_not_be_written_is_read_and_left_as_it_is() {
    let file = File::new();
    enqueue(&file.open(), file.jobs(2)).expect("they are stored");
    let folder = file.path().parent().expect("a folder").to_owned();
    set_permissions(file.path(), Permissions::from_mode(0o444)).expect("it is set");
    set_permissions(&folder, Permissions::from_mode(0o555)).expect("it is set");

    look(&open(&file), 2);

    let names: Vec<_> = std::fs::read_dir(&folder)
        .expect("it is read")
        .map(|entry| entry.expect("one").file_name())
        .collect();
    set_permissions(&folder, Permissions::from_mode(0o755)).expect("it is set");
    assert_eq!(names, ["jobs.db"]);
}
