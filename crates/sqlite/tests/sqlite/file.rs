//! Files: whose they are, who may read them, what does not fit.

use std::fs;

use gristmill_core::{
    Args, Backend, BackendErrorKind, Call, Certainty, Durability, JobFilter, JobState, MigrateMode,
    RegisterWorker, WorkerId,
};
use gristmill_sql::SQLITE_SCHEMA;
use gristmill_sqlite::{Sqlite, Synchronous};
use gristmill_testkit::block_on;

use crate::fixture::{BUSY_TIMEOUT, File, complete, count, enqueue, fetch, register};

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let file = File::new();
    file.raw().execute_batch("CREATE TABLE jobs (id INTEGER); INSERT INTO jobs VALUES (7)").unwrap();
    let before = fs::read(file.path()).unwrap();

    let error = file.options().open().unwrap_err();

    assert_eq!(error.kind(), BackendErrorKind::Foreign);
    assert!(error.hint().is_some_and(|hint| hint.contains("another file")), "{error:?}");
    assert_eq!(fs::read(file.path()).unwrap(), before);
}

#[test]
fn a_file_that_has_tables_is_shared_where_that_is_asked_for() {
    let file = File::new();
    file.raw().execute_batch("CREATE TABLE users (id INTEGER); INSERT INTO users VALUES (7)").unwrap();
    assert_eq!(file.options().open().unwrap_err().kind(), BackendErrorKind::Foreign);

    let backend = file.options().share(true).open().unwrap();
    enqueue(&backend, file.jobs(1)).expect("there is room");
    drop(backend);

    let again = file.options().open().expect("from now on it is one of ours");
    assert_eq!(fetch(&again, register(&again), 1, 5).len(), 1);
    let users: i64 = file.raw().query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(users, 1);
}

#[test]
fn a_file_is_not_shared_where_a_name_or_the_header_is_taken() {
    for (taken, said) in [
        ("CREATE TABLE Events (id INTEGER)", "`events`"),
        ("CREATE TABLE users (id INTEGER); PRAGMA user_version = 3", "`user_version`"),
        ("CREATE TABLE users (id INTEGER); PRAGMA application_id = 3", "`application_id`"),
    ] {
        let file = File::new();
        file.raw().execute_batch(taken).unwrap();
        let before = fs::read(file.path()).unwrap();

        let error = file.options().share(true).open().unwrap_err();

        assert_eq!(error.kind(), BackendErrorKind::Foreign);
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(fs::read(file.path()).unwrap(), before);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let file = File::new();
    let text = "not a database, but long enough to hold a header of one: ".repeat(40);
    fs::write(file.path(), &text).unwrap();

    let error = file.options().open().unwrap_err();

    assert_eq!(error.kind(), BackendErrorKind::Foreign);
    assert!(error.hint().is_some(), "{error:?}");
    assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
}

#[test]
fn a_damaged_database_is_told_as_such() {
    let file = File::new();
    drop(file.open());
    let mut bytes = fs::read(file.path()).unwrap();
    bytes[100..4_096].fill(0xaa);
    fs::write(file.path(), bytes).unwrap();

    assert_eq!(file.options().open().unwrap_err().kind(), BackendErrorKind::Foreign);
}

#[test]
fn a_newer_schema_is_refused() {
    let file = File::new();
    drop(file.open());
    file.raw()
        .execute_batch(
            "UPDATE meta SET value = 900 WHERE name = 'compatible_from'; PRAGMA user_version = 1000",
        )
        .unwrap();

    let error = file.options().open().unwrap_err();

    assert_eq!(error.kind(), BackendErrorKind::SchemaNew);
    assert!(error.hint().is_some_and(|hint| hint.contains("upgrade")), "{error:?}");
    for version in [1_000, 900, SQLITE_SCHEMA] {
        assert!(error.message().contains(&format!("version {version}")), "{error:?}");
    }
}

#[test]
fn a_schema_that_a_later_release_only_extended_serves_this_program() {
    let file = File::new();
    drop(file.open());
    let version: i64 = file.raw().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    file.raw().pragma_update(None, "user_version", version + 1).unwrap();

    let backend = file.options().open().unwrap();

    enqueue(&backend, file.jobs(1)).unwrap();
}

#[test]
fn a_schema_that_is_missing_is_told_and_made_on_demand() {
    let file = File::new();
    let backend = file.options().migrate(MigrateMode::Status).open().unwrap();
    let error = enqueue(&backend, file.jobs(1)).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::SchemaOld);

    let report = block_on(backend.migrate(Call::new(), MigrateMode::Up)).unwrap();

    assert_eq!((report.from, report.current, report.steps.len()), (0, report.latest, report.latest as usize));
    assert!(enqueue(&backend, file.jobs(1)).is_ok());
}

#[test]
fn a_folder_and_a_file_without_folder_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing").join("jobs.db")] {
        let error = Sqlite::open(&path).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{}", path.display());
        assert!(error.hint().is_some(), "{error:?}");
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_a_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let file = File::new();
    let backend = file.open();
    enqueue(&backend, file.jobs(1)).unwrap();
    let folder = file.path().parent().unwrap().to_owned();
    let names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(names.len(), 3, "the file, its log and its shared memory: {names:?}");
    for entry in names {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

#[test]
fn what_does_not_fit_is_refused_and_what_is_there_stays() {
    let file = File::new();
    let backend = file.options().max_bytes(1024 * 1024).open().unwrap();
    enqueue(&backend, file.jobs(10)).unwrap();
    let mut large = file.job();
    large.spec.args = Args::encode(&"x".repeat(1_000_000)).unwrap();

    let error = enqueue(&backend, vec![large]).unwrap_err();

    assert_eq!((error.kind(), error.certainty()), (BackendErrorKind::Full, Certainty::NotStored));
    assert!(error.is_retryable() && error.hint().is_some(), "{error:?}");
    assert_eq!(count(&backend, JobFilter::new()), 10);
    let worker = register(&backend);
    assert_eq!(complete(&backend, fetch(&backend, worker, 1, 10)).len(), 10);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), 10);
}

#[test]
fn a_lease_shorter_than_two_busy_timeouts_is_refused() {
    let file = File::new();
    let backend = file.open();
    let short = RegisterWorker::new(WorkerId::random(), "test", (BUSY_TIMEOUT * 2).mul_f64(0.99));

    let error = block_on(backend.register_worker(Call::new(), short)).unwrap_err();

    assert_eq!(error.kind(), BackendErrorKind::Refused);
    assert!(error.hint().is_some_and(|hint| hint.contains("600ms")), "{error:?}");
    assert!(block_on(backend.list_workers(Call::new())).unwrap().is_empty());
}

#[test]
fn durability_is_what_was_asked_for() {
    let cases = [
        (Synchronous::Full, Durability::PowerLoss),
        (Synchronous::Normal, Durability::ProcessCrash),
        (Synchronous::Off, Durability::ProcessCrash),
    ];
    for (synchronous, durability) in cases {
        let file = File::new();
        let backend = file.options().synchronous(synchronous).open().unwrap();
        let ping = block_on(backend.ping(Call::new())).unwrap();
        assert_eq!(ping.durability, durability);
        assert!(ping.version.starts_with("SQLite 3."), "{}", ping.version);
        assert_eq!(enqueue(&backend, file.jobs(1)).unwrap().durability, durability);
    }
}

#[test]
fn an_option_of_a_newer_version_does_not_hold_up_the_queue() {
    let file = File::new();
    let backend = file.open();
    enqueue(&backend, file.jobs(2)).unwrap();
    file.raw()
        .execute_batch("UPDATE jobs SET retry = '{\"new\":1}', tags = 'x', metadata = '[]' WHERE seq = 1")
        .unwrap();
    let worker = register(&backend);

    let jobs = fetch(&backend, worker, 1, 10);

    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[0].spec.retry, None);
}

/// Root may read and write everything, so another user tries: this test again, as a child.
#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_or_written_is_told_as_such() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const PATH: &str = "GRISTMILL_TEST_FORBIDDEN";
    if let Some(path) = std::env::var_os(PATH) {
        let error = Sqlite::open(path).unwrap_err();
        assert!(error.hint().is_some(), "{error:?}");
        panic!("kind: {:?}", error.kind());
    }
    let file = File::new();
    drop(file.open());
    let folder = file.path().parent().unwrap().to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    // The program may lie in a folder that only its owner reads.
    let program = folder.join("test-program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|owner| std::os::unix::fs::MetadataExt::uid(&owner) == 0);
    for (mode, kind) in [(0o000, "Unavailable"), (0o444, "ReadOnly")] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        let mut child = std::process::Command::new(&program);
        child.args(["--exact", "file::a_file_that_may_not_be_read_or_written_is_told_as_such"]);
        child.env(PATH, file.path()).current_dir("/");
        if is_root {
            child.uid(65_534).gid(65_534);
        }
        let output = child.output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains(&format!("kind: {kind}")), "mode {mode:o}: {told}");
    }
}
