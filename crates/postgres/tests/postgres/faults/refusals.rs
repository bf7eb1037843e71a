//! Databases that take nothing: read-only, full, of another version, or of another program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use gristmill_core::{
    Args, Backend, BackendErrorKind, Call, Certainty, EnqueueRequest, Enqueued, Finished, JobFilter,
    JobState, MigrateMode,
};
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::site::{Site, refused, until};
use crate::fixture::{complete, count, fetch, register};

#[test]
fn a_read_only_database_says_so_and_can_be_read() {
    let site = Site::at(&Server::shared().fresh_database());
    let ids = site.put(&site.open(), 3);
    site.raw().run(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', \
        current_database()); END $$",
    );
    let backend = site.open();
    let enqueue = backend.enqueue(Call::new(), EnqueueRequest::new(site.jobs(1)));
    let error = refused(enqueue, BackendErrorKind::ReadOnly);
    assert_eq!(error.certainty(), Certainty::NotStored);
    assert!(error.hint().is_some_and(|hint| hint.contains("primary")), "{error:?}");
    refused(backend.promote(Call::new(), 10), BackendErrorKind::ReadOnly);
    assert_eq!(count(&backend, JobFilter::new()), 3);
    let found = block_on(backend.get(Call::new(), ids)).expect("it is answered");
    assert!(found.iter().all(Option::is_some));
}

/// A file system of memory that is gone with its value.
struct Disk(PathBuf);

impl Disk {
    const MIB: u32 = 160;

    fn mount() -> Self {
        let folder = std::env::temp_dir().join(Server::shared().fresh_schema_name());
        fs::create_dir(&folder).expect("a folder is made");
        let size = format!("size={}m,mode=0777", Self::MIB);
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).output();
        let output = mounted.expect("`mount` is there");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "a small disk needs the right to mount one (run as root): {complaint}"
        );
        Self(folder)
    }

    /// Takes all the space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let megabytes = vec![1_u8; Self::MIB as usize * 1024 * 1024];
        fs::write(&path, megabytes).expect_err("the disk is full");
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

fn free(filler: &Path) {
    fs::remove_file(filler).expect("the space is free again");
}

#[test]
fn a_full_disk_says_so_loses_nothing_and_goes_on_once_there_is_space() {
    let disk = Disk::mount();
    let server = Server::builder().data_dir_in(&disk.0).setting("max_wal_size", "32MB").start();
    let site = Site::at(server.url());
    let backend = site.open();
    let worker = register(&backend);
    let mut stored = site.put(&backend, 10);
    let leased = fetch(&backend, worker, 1, 5);

    let filler = disk.fill();
    // What does not compress, so that a few calls are more than what is left of the pages.
    let args = Args::from_stored(noise(100_000));
    let (error, open) = loop {
        let mut job = site.job();
        job.spec.args = args.clone();
        let request = EnqueueRequest::new(vec![job]);
        match block_on(backend.enqueue(Call::new(), request.clone())) {
            Ok(_) => stored.push(request.jobs[0].id),
            Err(error) => break (error, request),
        }
        assert!(stored.len() < 1_000, "the disk does not fill");
    };
    assert_eq!(error.kind(), BackendErrorKind::Full, "{error:?}");
    assert_eq!(error.certainty(), Certainty::NotStored);
    assert!(error.is_retryable() && error.hint().is_some(), "{error:?}");
    assert_eq!(count(&backend, JobFilter::new()), stored.len() as u64, "what was stored can be read");

    free(&filler);
    let reply = block_on(backend.enqueue(Call::new(), open.clone())).expect("there is space");
    assert_eq!(reply.jobs, [Enqueued::Created]);
    stored.push(open.jobs[0].id);
    let completed = Finished::Accepted { state: JobState::Completed };
    assert_eq!(complete(&backend, leased), vec![completed; 5]);
    let rest = fetch(&backend, worker, 2, 1_000);
    assert_eq!(rest.len(), stored.len() - 5);
    assert!(complete(&backend, rest).iter().all(|finished| *finished == completed));
    server.restart();
    let backend = site.open();
    until("the server is back", || block_on(backend.ping(Call::new())).is_ok());
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), stored.len() as u64);
    drop((backend, server));
}

/// Bytes that no compression makes fewer.
fn noise(count: u64) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    (0..count / 8).flat_map(|_| next()).collect()
}

#[test]
fn a_schema_of_a_newer_version_is_refused_and_left_alone() {
    let site = Site::shared();
    let raw = site.raw();
    raw.run(
        "INSERT INTO {schema}.migrations VALUES (9999, '9999_from_the_future', 0); \
        UPDATE {schema}.versions SET compatible_from = 9999",
    );
    let backend = site.open();
    let error = refused(backend.migrate(Call::new(), MigrateMode::Up), BackendErrorKind::SchemaNew);
    assert!(error.hint().is_some_and(|hint| hint.contains("upgrade")), "{error:?}");
    let request = EnqueueRequest::new(site.jobs(1));
    let error = refused(backend.enqueue(Call::new(), request), BackendErrorKind::SchemaNew);
    assert_eq!(error.certainty(), Certainty::NotStored);
    refused(backend.count(Call::new(), JobFilter::new(), None), BackendErrorKind::SchemaNew);
    let migrations = gristmill_sql::POSTGRES_SCHEMA as usize + 1;
    assert_eq!((raw.rows("jobs"), raw.rows("migrations")), (0, migrations));
}

#[test]
fn a_schema_that_a_later_release_only_extended_serves_this_program_and_its_callers() {
    let site = Site::shared();
    let raw = site.raw();
    let backend = site.open();
    site.put(&backend, 1);
    raw.run(
        "INSERT INTO {schema}.migrations SELECT max(version) + 1, 'only_adds', 0 FROM {schema}.migrations",
    );

    site.put(&backend, 1);
    site.put(&site.open(), 1);
    raw.run("SELECT {schema}.enqueue('k')");

    assert_eq!(count(&site.open(), JobFilter::new()), 4);
}

#[test]
fn a_schema_that_is_missing_or_older_names_the_command() {
    let site = Site::empty(Server::shared().url(), Server::shared().fresh_schema_name());
    let backend = site.open();
    let enqueue = || backend.enqueue(Call::new(), EnqueueRequest::new(site.jobs(1)));
    for round in ["missing", "older", "gone"] {
        let error = refused(enqueue(), BackendErrorKind::SchemaOld);
        assert!(error.hint().is_some_and(|hint| hint.contains("gristmill migrate")), "{round}: {error:?}");
        assert_eq!(error.certainty(), Certainty::NotStored);
        match round {
            "missing" => {
                site.raw().run("CREATE SCHEMA {schema}; CREATE TABLE {schema}.migrations (version int)");
            }
            "older" => {
                site.raw().run("DROP SCHEMA {schema} CASCADE");
                site.migrate();
                assert_eq!(block_on(enqueue()).expect("now it is stored").jobs, [Enqueued::Created]);
                site.raw().run("DROP SCHEMA {schema} CASCADE");
            }
            _ => {}
        }
    }
}

#[test]
fn a_schema_of_another_program_is_refused_and_left_alone() {
    let site = Site::empty(Server::shared().url(), Server::shared().fresh_schema_name());
    let raw = site.raw();
    raw.run("CREATE SCHEMA {schema}; CREATE TABLE {schema}.jobs (theirs int); INSERT INTO {schema}.jobs VALUES (7)");
    let backend = site.open();
    refused(backend.migrate(Call::new(), MigrateMode::Up), BackendErrorKind::Foreign);
    refused(backend.enqueue(Call::new(), EnqueueRequest::new(site.jobs(1))), BackendErrorKind::Foreign);
    assert_eq!(raw.value("SELECT theirs FROM {schema}.jobs"), "7");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = '{}'".replace("{}", &site.schema);
    assert_eq!(raw.value(&tables), "1");
}

#[test]
fn sixteen_migrations_at_once_apply_each_step_once() {
    let site = Site::empty(Server::shared().url(), Server::shared().fresh_schema_name());
    let start = Barrier::new(16);
    let reports = thread::scope(|scope| {
        let migrate = || {
            let backend = site.open();
            start.wait();
            block_on(backend.migrate(Call::new(), MigrateMode::Up)).expect("it is migrated")
        };
        let migrating: Vec<_> = (0..16).map(|_| scope.spawn(migrate)).collect();
        migrating.into_iter().map(|migrating| migrating.join().expect("it ends")).collect::<Vec<_>>()
    });
    assert!(reports.iter().all(|report| report.current == report.latest));
    let applied: Vec<_> = reports.iter().filter(|report| !report.steps.is_empty()).collect();
    assert_eq!(applied.len(), 1, "one of them did it all");
    assert_eq!(applied[0].from, 0);
    assert_eq!(site.raw().rows("migrations"), applied[0].steps.len());
    let backend = site.open();
    site.put(&backend, 1);
    assert_eq!(count(&backend, JobFilter::new()), 1);
}
