//! Programs beside a file that a later release has migrated.

#![expect(clippy::print_stdout, reason = "the figures are what a run is for")]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gristmill_core::{
    Backend, BackendError, BackendErrorKind, Call, ClaimId, FetchRequest, JobFilter, JobState, MigrateMode,
    NewJob, QueueWant, RenewRequest, VerbRequest, WorkerId,
};
use gristmill_sql::SQLITE_SCHEMA;
use gristmill_sqlite::Sqlite;
use gristmill_testkit::{Rolling, RollingTotals, block_on};
use rusqlite::Connection;
use serde_json::json;

use crate::fixture::{File, complete, count, enqueue, fetch, name, register};
use crate::outbox::{answer, request};

/// The version of the later release.
const LATER: u32 = SQLITE_SCHEMA + 1;

/// Undoes what migrations have added to the tables of version 2.
const WITHOUT_LATER: &str =
    "ALTER TABLE jobs DROP COLUMN encoding; DROP TABLE requests; DROP TABLE registers;";

/// What a later release may do without a word to older programs: it adds columns, tables and indexes, and
/// makes views and triggers that take the same requests. The comment marks a view of that release.
const ADDITIVE: &str = "
    ALTER TABLE jobs ADD COLUMN later TEXT;
    ALTER TABLE ready ADD COLUMN later INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE waiting ADD COLUMN later INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE claims ADD COLUMN later BLOB;
    ALTER TABLE runs ADD COLUMN later TEXT;
    ALTER TABLE ended ADD COLUMN later TEXT;
    ALTER TABLE uniques ADD COLUMN later TEXT;
    ALTER TABLE workers ADD COLUMN later TEXT NOT NULL DEFAULT 'x';
    ALTER TABLE queues ADD COLUMN later INTEGER;
    ALTER TABLE counts ADD COLUMN later INTEGER;
    ALTER TABLE expiries ADD COLUMN later INTEGER;
    ALTER TABLE events ADD COLUMN later TEXT;
    CREATE TABLE later (seq INTEGER PRIMARY KEY);
    CREATE INDEX later_order ON ready (queue, later, priority);
    DROP VIEW outbox_clock;
    CREATE VIEW outbox_clock (now_ms) AS
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) /* later */;
    UPDATE meta SET value = value + 1 WHERE name = 'outbox_newest';";

fn extend(raw: &Connection) {
    raw.execute_batch(&format!("BEGIN IMMEDIATE; {ADDITIVE} PRAGMA user_version = {LATER}; COMMIT"))
        .expect("the file is migrated");
}

fn serve_from(raw: &Connection, to: u32) {
    raw.execute("UPDATE meta SET value = ?1 WHERE name = 'compatible_from'", [to]).expect("it is set");
}

fn try_fetch(backend: &Sqlite, worker: WorkerId) -> Result<usize, BackendError> {
    let wants = vec![QueueWant::new(name("line"), 1)];
    block_on(backend.fetch(Call::new(), FetchRequest::new(worker, ClaimId(9), wants)))
        .map(|reply| reply.jobs.len())
}

#[track_caller]
fn assert_names_both(error: &BackendError) {
    assert_eq!(error.kind(), BackendErrorKind::SchemaNew, "{error:?}");
    for version in [LATER, SQLITE_SCHEMA] {
        assert!(error.message().contains(&format!("version {version}")), "{error:?}");
    }
    assert!(error.hint().is_some_and(|hint| hint.contains("upgrade")), "{error:?}");
    assert!(!error.is_retryable());
}

#[test]
fn programs_that_run_and_programs_that_start_work_on_while_a_later_release_extends_the_file() {
    let file = File::new();
    let (running, raw) = (file.open(), file.raw());
    let worker = register(&running);
    enqueue(&running, file.jobs(5)).unwrap();
    let leased = fetch(&running, worker, 1, 2);

    extend(&raw);

    assert_eq!(complete(&running, leased).len(), 2);
    let jobs = file.jobs(2);
    let cancelled = jobs.iter().map(|job| job.id).collect();
    enqueue(&running, jobs).unwrap();
    let renewed = block_on(running.renew(Call::new(), RenewRequest::new(worker, Vec::new())));
    renewed.expect("the lease holds");
    let started = file.open();
    let late = register(&started);
    enqueue(&started, file.jobs(1)).unwrap();
    answer::send(&raw, *answer::ENQUEUE, &request::enqueue(&file.jobs(1)));
    let verbs = block_on(started.cancel(Call::new(), VerbRequest::ids(cancelled))).unwrap();
    assert_eq!(verbs.jobs.len(), 2);
    let leased = fetch(&running, worker, 2, 3);
    assert_eq!((leased.len(), complete(&started, leased).len()), (3, 3));
    let leased = fetch(&started, late, 1, 10);
    assert_eq!((leased.len(), complete(&running, leased).len()), (2, 2));
    assert_eq!(count(&started, JobFilter::new().state(JobState::Completed)), 7);
    let findings = block_on(started.diagnose(Call::new())).unwrap();
    let found = findings.iter().find(|finding| finding.check == "schema").expect("it is examined");
    assert!(found.ok && found.finding.contains(&format!("version {LATER}")), "{found:?}");
}

#[test]
fn programs_that_are_too_old_for_the_schema_are_refused_by_both_versions_and_take_no_more_jobs() {
    let file = File::new();
    let (running, raw) = (file.open(), file.raw());
    let reading = file.options().read_only(true).open().unwrap();
    let worker = register(&running);
    extend(&raw);
    enqueue(&running, file.jobs(3)).unwrap();
    assert_eq!(fetch(&running, worker, 1, 1).len(), 1);

    serve_from(&raw, LATER);

    assert_names_both(&try_fetch(&running, worker).unwrap_err());
    let renewed = block_on(running.renew(Call::new(), RenewRequest::new(worker, Vec::new())));
    assert_names_both(&renewed.unwrap_err());
    assert_names_both(&enqueue(&running, file.jobs(1)).unwrap_err());
    assert_names_both(&block_on(reading.count(Call::new(), JobFilter::new(), None)).unwrap_err());
    assert_names_both(&block_on(running.migrate(Call::new(), MigrateMode::Up)).unwrap_err());
    assert_names_both(&file.options().open().unwrap_err());
    let findings = block_on(running.diagnose(Call::new())).unwrap();
    let found = findings.iter().find(|finding| finding.check == "schema").expect("it is examined");
    assert!(!found.ok && found.finding.contains(&format!("version {LATER}")), "{found:?}");

    serve_from(&raw, SQLITE_SCHEMA);
    assert_eq!(try_fetch(&running, worker).unwrap(), 1, "it goes on without a restart");
}

#[test]
fn an_older_program_migrates_nothing_and_leaves_the_views_of_the_later_release() {
    let file = File::new();
    drop(file.open());
    let raw = file.raw();
    extend(&raw);
    let stored = || -> (String, i64) {
        let view = "SELECT sql FROM sqlite_schema WHERE name = 'outbox_clock'";
        let view = raw.query_row(view, [], |row| row.get(0)).unwrap();
        let newest = "SELECT value FROM meta WHERE name = 'outbox_newest'";
        (view, raw.query_row(newest, [], |row| row.get(0)).unwrap())
    };
    let before = stored();
    assert!(before.0.contains("later"), "{before:?}");

    let older = file.open();
    for mode in [MigrateMode::Status, MigrateMode::Up] {
        let report = block_on(older.migrate(Call::new(), mode)).unwrap();
        assert_eq!((report.from, report.current, report.latest), (LATER, LATER, SQLITE_SCHEMA));
        assert_eq!(report.steps, Vec::<String>::new());
    }

    assert_eq!(stored(), before);
    enqueue(&older, file.jobs(1)).unwrap();
}

#[test]
fn each_migration_makes_the_views_again_and_leaves_those_of_the_user() {
    let file = File::new();
    drop(file.open());
    let raw = file.raw();
    raw.execute_batch(&format!(
        "{WITHOUT_LATER} DROP VIEW outbox_recent; DROP VIEW outbox_clock; CREATE VIEW outbox_clock (now_ms) AS SELECT 7;
        CREATE VIEW outbox_of_mine AS SELECT 8 AS mine;
        DELETE FROM meta WHERE name IN ('compatible_from', 'outbox_oldest', 'outbox_newest');
        INSERT INTO meta VALUES ('schema', 2); PRAGMA user_version = 2",
    ))
    .unwrap();

    let backend = file.options().migrate(MigrateMode::Status).open().unwrap();
    let report = block_on(backend.migrate(Call::new(), MigrateMode::Up)).unwrap();

    assert_eq!((report.from, report.current), (2, SQLITE_SCHEMA));
    let answered = answer::send(&raw, *answer::ENQUEUE, &request::enqueue(&file.jobs(1)));
    assert!(answered["now_ms"].as_i64().is_some_and(|now| now > 1_700_000_000_000), "{answered}");
    let mine: i64 = raw.query_row("SELECT mine FROM outbox_of_mine", [], |row| row.get(0)).unwrap();
    let left: i64 =
        raw.query_row("SELECT count(*) FROM meta WHERE name = 'schema'", [], |row| row.get(0)).unwrap();
    assert_eq!((mine, left, count(&backend, JobFilter::new())), (8, 0, 1));
}

#[test]
fn a_file_that_is_not_migrated_yet_is_refused_by_both_versions_until_it_is() {
    let file = File::new();
    drop(file.open());
    file.raw().execute_batch(&format!("{WITHOUT_LATER} PRAGMA user_version = 2")).unwrap();
    let reading = file.options().read_only(true).open().unwrap();
    let backend = file.options().migrate(MigrateMode::Status).open().unwrap();
    let assert_old = |error: BackendError| {
        assert_eq!(error.kind(), BackendErrorKind::SchemaOld, "{error:?}");
        for version in [2, SQLITE_SCHEMA] {
            assert!(error.message().contains(&format!("version {version}")), "{error:?}");
        }
        assert_eq!(error.hint(), Some("run `gristmill migrate`"));
    };

    assert_old(enqueue(&backend, file.jobs(1)).unwrap_err());
    assert_old(try_fetch(&backend, WorkerId::random()).unwrap_err());
    for backend in [&backend, &reading] {
        assert_old(block_on(backend.count(Call::new(), JobFilter::new(), None)).unwrap_err());
        let status = block_on(backend.migrate(Call::new(), MigrateMode::Status)).unwrap();
        assert_eq!((status.current, status.latest), (2, SQLITE_SCHEMA));
        let findings = block_on(backend.diagnose(Call::new())).unwrap();
        let found = findings.iter().find(|finding| finding.check == "schema").expect("it is examined");
        assert!(!found.ok && found.finding.contains("version 2"), "{found:?}");
    }

    let report = block_on(backend.migrate(Call::new(), MigrateMode::Up)).unwrap();

    assert_eq!((report.from, report.current), (2, SQLITE_SCHEMA));
    enqueue(&backend, file.jobs(1)).unwrap();
    assert_eq!((count(&backend, JobFilter::new()), count(&reading, JobFilter::new())), (1, 1));
}

/// Works a file from several processes that restart and are killed. A later release extends it meanwhile,
/// whose services enqueue by a later protocol. Only after that the file excludes the others.
fn roll(length: Duration) -> RollingTotals {
    let file = File::new();
    drop(file.open());
    let rolling = Rolling::default();
    let work = |protocol: u32| {
        let raw = file.raw();
        let outbox = |job: &NewJob| {
            let mut request = request::enqueue(std::slice::from_ref(job));
            request["protocol"] = json!(protocol);
            let answered = answer::send(&raw, *answer::ENQUEUE, &request);
            assert_eq!(answered["answers"], json!([{"created": true}]));
        };
        rolling.run(|| open_beside_others(&file), outbox);
    };
    let work = &work;
    thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(move || work(request::PROTOCOL))));
        rolling.wait(length / 3);
        extend(&file.raw());
        (0..2).for_each(|_| drop(scope.spawn(move || work(request::PROTOCOL + 1))));
        rolling.wait(length * 2 / 3);
        rolling.stop();
    });
    let totals = rolling.check(&file.open());
    serve_from(&file.raw(), LATER);
    assert_names_both(&file.options().open().expect_err("the program is too old"));
    totals
}

/// Opens the file; while others hold it, tries again.
fn open_beside_others(file: &File) -> Arc<dyn Backend> {
    loop {
        match file.options().open() {
            Ok(backend) => return Arc::new(backend),
            Err(error) => assert_eq!(error.kind(), BackendErrorKind::Busy, "{error:?}"),
        }
    }
}

#[test]
fn each_job_ends_once_while_a_later_release_takes_over_a_file_that_is_in_use() {
    println!("{:?}", roll(Duration::from_secs(9)));
}

#[test]
#[ignore = "a minute"]
fn each_job_ends_once_while_a_later_release_takes_over_within_a_minute() {
    println!("{:?}", roll(Duration::from_secs(60)));
}
