//! Another file takes the place of the one that is open, or an older copy is put into it.

use std::fs;
use std::path::{Path, PathBuf};

use gristmill_core::{
    Backend as _, BackendError, BackendErrorKind, Call, EnqueueRequest, JobFilter, NewJob, RenewRequest,
    WorkerId,
};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;

use crate::fixture::{File, name};

fn job(file: &File, queue: &str) -> NewJob {
    let mut job = file.job();
    job.spec.queue = name(queue);
    job
}

fn put(backend: &Sqlite, job: NewJob) -> Result<(), BackendError> {
    block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![job]))).map(drop)
}

fn count(backend: &Sqlite, queue: &str) -> Result<u64, BackendError> {
    block_on(backend.count(Call::new(), JobFilter::new().queue(name(queue)), None)).map(|count| count.value)
}

/// A file whose queues have the numbers that others have in the file under test.
fn other(file: &File) -> PathBuf {
    let path = file.path().with_file_name("other.db");
    let other = Sqlite::open(&path).expect("it opens");
    put(&other, job(file, "reports")).expect("it is stored");
    put(&other, job(file, "mail")).expect("it is stored");
    path
}

fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let _ = fs::remove_file(name);
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, BackendError>) {
    let error = answer.expect_err("it is refused");
    assert_eq!(error.kind(), BackendErrorKind::Foreign);
    assert!(error.hint().is_some_and(|hint| hint.contains("restart")), "{error}");
}

#[test]
fn no_call_goes_on_with_a_file_that_another_one_replaced() {
    let ways: [fn(&File); 3] = [
        |file| fs::rename(other(file), file.path()).expect("it is renamed"),
        |file| {
            let other = other(file);
            remove(&file.path());
            fs::rename(other, file.path()).expect("it is renamed");
        },
        |file| remove(&file.path()),
    ];
    for exchange in ways {
        let file = File::new();
        let program = file.open();
        put(&program, job(&file, "mail")).expect("it is stored");
        put(&program, job(&file, "reports")).expect("it is stored");
        exchange(&file);

        assert_refused(put(&program, job(&file, "mail")));
        assert_refused(count(&program, "mail"));
        let heartbeat = RenewRequest::new(WorkerId::random(), vec![]);
        assert_refused(block_on(program.renew(Call::new(), heartbeat)));

        drop(program);
        let again = file.open();
        put(&again, job(&file, "mail")).expect("it is stored");
        let (mail, reports) = (count(&again, "mail").expect("it counts"), count(&again, "reports"));
        let reports = reports.expect("it counts");
        assert!((mail, reports) == (2, 1) || (mail, reports) == (1, 0), "{mail} {reports}");
        let healthy: String = file
            .raw()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("the file is looked through");
        assert_eq!(healthy, "ok");
    }
}

#[test]
fn a_file_that_comes_back_is_used_again() {
    let file = File::new();
    let program = file.open();
    let away = file.path().with_file_name("away.db");
    fs::rename(file.path(), &away).expect("it is moved");
    assert_refused(put(&program, job(&file, "mail")));

    fs::rename(&away, file.path()).expect("it is moved back");

    put(&program, job(&file, "mail")).expect("it is stored");
    assert_eq!(count(&program, "mail").expect("it counts"), 1);
}

#[test]
fn jobs_land_in_the_queue_they_name_after_an_older_copy_was_put_in_place() {
    let file = File::new();
    let program = file.open();
    put(&program, job(&file, "mail")).expect("it is stored");
    put(&program, job(&file, "reports")).expect("it is stored");
    let restored = "BEGIN IMMEDIATE; DELETE FROM jobs; DELETE FROM ready; DELETE FROM queues; \
        INSERT INTO queues (name) VALUES ('reports'), ('mail'); COMMIT";
    file.raw().execute_batch(restored).expect("it is restored");

    put(&program, job(&file, "mail")).expect("it is stored");

    let landed: String = file
        .raw()
        .query_row("SELECT name FROM jobs JOIN queues USING (queue)", [], |row| row.get(0))
        .expect("the job is there");
    assert_eq!(landed, "mail");
}
