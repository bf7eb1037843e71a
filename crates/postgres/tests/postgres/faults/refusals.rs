//! Databases that take nothing: read-only, full, of another version, of another program, or with few rights.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use gristmill_core::{
    Args, Backend, BackendErrorKind, Call, Certainty, EnqueueRequest, Enqueued, ExistingBy, FinishItem,
    Finished, JobFilter, JobId, JobPatch, JobState, ListRequest, MigrateMode, PauseRequest, RecordRequest,
    RunError, StatsRequest, VerbRequest,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::site::{Site, finish, refused, until};
use crate::fixture::{complete, count, fetch, name, register};

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
    raw.run("INSERT INTO {schema}.migrations VALUES (9999, '9999_from_the_future', 0)");
    let backend = site.open();
    let error = refused(backend.migrate(Call::new(), MigrateMode::Up), BackendErrorKind::SchemaNew);
    assert!(error.hint().is_some_and(|hint| hint.contains("upgrade")), "{error:?}");
    let request = EnqueueRequest::new(site.jobs(1));
    let error = refused(backend.enqueue(Call::new(), request), BackendErrorKind::SchemaNew);
    assert_eq!(error.certainty(), Certainty::NotStored);
    refused(backend.count(Call::new(), JobFilter::new(), None), BackendErrorKind::SchemaNew);
    assert_eq!((raw.rows("jobs"), raw.rows("migrations")), (0, 3));
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

#[test]
fn a_role_that_was_given_an_empty_schema_migrates_it() {
    let url = Server::shared().fresh_database();
    let site = Site::empty(&url, Server::shared().fresh_schema_name());
    let (raw, role) = (site.raw(), format!("owner_{}", site.schema));
    raw.run(&format!("CREATE ROLE {role} LOGIN; CREATE SCHEMA {{schema}} AUTHORIZATION {role}"));
    let backend = site.open_at(&as_role(&url, &role));
    let report = block_on(backend.migrate(Call::new(), MigrateMode::Up)).expect("it is migrated");
    assert_eq!((report.from, report.current), (0, report.latest));
    site.put(&backend, 1);
    assert_eq!(count(&backend, JobFilter::new()), 1);
}

/// The same database for another role.
fn as_role(url: &str, role: &str) -> String {
    let place = url.split_once('@').expect("it names a role").1;
    format!("postgres://{role}@{place}")
}

/// The rights of a role that only works, as whoever reads the statements of the schema finds them.
fn granted(role: &str, schema: &str) -> String {
    let text = Postgres::schema_sql(schema);
    let grants: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
    let grants = grants.into_iter().filter(|line| line.contains(" TO app;")).collect::<Vec<_>>();
    grants.join("\n").replace(" TO app", &format!(" TO {role}"))
}

#[test]
fn a_role_without_rights_to_define_anything_does_all_a_worker_does() {
    let url = Server::shared().fresh_database();
    let site = Site::at(&url);
    let (owner, raw) = (site.open(), site.raw());
    let role = format!("worker_{}", site.schema);
    raw.run(&format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC"));
    let backend = site.open_at(&as_role(&url, &role));
    let enqueue = || backend.enqueue(Call::new(), EnqueueRequest::new(site.jobs(1)));
    let error = refused(enqueue(), BackendErrorKind::ReadOnly);
    assert!(error.hint().is_some_and(|hint| hint.contains("gristmill migrate sql")), "{error:?}");

    raw.run(&granted(&role, &site.schema));
    let rights = format!(
        "SELECT has_schema_privilege('{role}', '{0}', 'CREATE') OR
            has_database_privilege('{role}', current_database(), 'CREATE')",
        site.schema
    );
    assert_eq!(raw.value(&rights), "f", "the role defines nothing");
    let ids = site.put(&backend, 5);
    let worker = register(&backend);
    let jobs = fetch(&backend, worker, 1, 5);
    assert_eq!(jobs.len(), 5);
    let mut jobs = jobs.into_iter().map(|job| job.lease);
    let mut lease = || jobs.next().expect("there are five");
    let accepted = |state| Finished::Accepted { state };
    assert_eq!(finish(&backend, FinishItem::complete(lease())), accepted(JobState::Completed));
    let failed = FinishItem::fail(lease(), Duration::ZERO, RunError::new("no"));
    assert!(matches!(finish(&backend, failed), Finished::Accepted { .. }));
    block_on(backend.promote(Call::new(), 10)).expect("it may promote");
    raw.run("DELETE FROM {schema}.workers");
    assert_eq!(block_on(backend.rescue(Call::new(), 10)).expect("it may rescue").jobs.len(), 3);
    block_on(backend.prune(Call::new(), 10)).expect("it may prune");
    block_on(backend.audit(Call::new(), None, 10)).expect("it may audit");
    use_the_rest(&backend, &ids);
    for finding in block_on(backend.diagnose(Call::new())).expect("it may examine") {
        assert!(finding.ok || finding.check == "durability", "{finding:?}");
    }
    assert_eq!(count(&owner, JobFilter::new()), 4);
    let existing = Enqueued::Existing { id: ids[0], by: ExistingBy::Id };
    let mut again = site.job();
    again.id = ids[0];
    let reply =
        block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![again]))).expect("it is answered");
    assert_eq!(reply.jobs, [existing]);
}

/// Every other operation once.
fn use_the_rest(backend: &Postgres, ids: &[JobId]) {
    let on = |place: usize| VerbRequest::ids(vec![ids[place]]);
    let worker = register(backend);
    let job = fetch(backend, worker, 9, 1).remove(0);
    let mut record = RecordRequest::new(job.lease.clone());
    record.progress = Some(1);
    record.checkpoint = Some("here".into());
    block_on(backend.record(Call::new(), record)).expect("it may record");
    let tx = block_on(backend.begin(Call::new(), job.lease.clone())).expect("it may begin");
    block_on(tx.finish(Call::new(), FinishItem::complete(job.lease))).expect("it may finish");
    block_on(backend.cancel(Call::new(), on(4))).expect("it may cancel");
    block_on(backend.retry(Call::new(), on(0))).expect("it may retry");
    block_on(backend.update(Call::new(), on(0), JobPatch::default())).expect("it may update");
    block_on(backend.release_hold(Call::new(), on(0))).expect("it may release");
    block_on(backend.delete(Call::new(), on(4))).expect("it may delete");
    let queue = name("line");
    block_on(backend.pause(Call::new(), PauseRequest::new(queue.clone()))).expect("it may pause");
    block_on(backend.resume(Call::new(), queue)).expect("it may resume");
    block_on(backend.list(Call::new(), ListRequest::new(JobFilter::new()))).expect("it may list");
    block_on(backend.stats(Call::new(), StatsRequest::new(None))).expect("it may count");
    block_on(backend.list_workers(Call::new())).expect("it may list workers");
    block_on(backend.list_events(Call::new(), ids[0])).expect("it may list events");
    block_on(backend.retire_worker(Call::new(), worker)).expect("it may retire");
}
