//! Roles with few rights.

use std::time::Duration;

use gristmill_core::{
    Backend, BackendErrorKind, Call, EnqueueRequest, Enqueued, ExistingBy, FinishItem, Finished, JobFilter,
    JobId, JobPatch, JobState, ListRequest, MigrateMode, PauseRequest, RecordRequest, RunError, StatsRequest,
    VerbRequest,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::site::{Site, finish, refused};
use crate::fixture::{count, fetch, name, register};

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

#[test]
fn what_a_superuser_migrates_belongs_to_the_owner_of_the_schema() {
    let url = Server::shared().fresh_database();
    let site = Site::empty(&url, Server::shared().fresh_schema_name());
    let (raw, role) = (site.raw(), format!("owner_{}", site.schema));
    raw.run(&format!("CREATE ROLE {role} LOGIN; CREATE SCHEMA {{schema}} AUTHORIZATION {role}"));
    block_on(site.open_at(&as_role(&url, &role)).migrate(Call::new(), MigrateMode::Up)).expect("it is made");
    raw.run(
        "DROP TABLE {schema}.versions, {schema}.requests, {schema}.registers; DELETE FROM {schema}.migrations WHERE version > 2",
    );

    let report = block_on(site.open().migrate(Call::new(), MigrateMode::Up)).expect("it is migrated");

    assert_eq!((report.from, report.current), (2, report.latest));
    raw.run("SELECT {schema}.enqueue('work', '{}', '{}')");
    assert_eq!(count(&site.open_at(&as_role(&url, &role)), JobFilter::new()), 1);
}

/// The same database for another role.
fn as_role(url: &str, role: &str) -> String {
    let place = url.split_once('@').expect("it names a role").1;
    format!("postgres://{role}@{place}")
}

/// The rights of a role that only works, as the comments of the schema's statements list them.
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
    rotate(&site, &backend);
    block_on(backend.audit(Call::new(), None, 10)).expect("it may audit");
    use_the_rest(&backend, &ids);
    for finding in block_on(backend.diagnose(Call::new())).expect("it may examine") {
        let is_as_expected = match finding.check.as_str() {
            "durability" => true,
            // Sessions of other tests may hold it.
            "horizon" => finding.finding.contains("cannot see"),
            _ => finding.ok,
        };
        assert!(is_as_expected, "{finding:?}");
    }
    assert_eq!(count(&owner, JobFilter::new()), 4);
    let existing = Enqueued::Existing { id: ids[0], by: ExistingBy::Id };
    let mut again = site.job();
    again.id = ids[0];
    let reply =
        block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![again]))).expect("it is answered");
    assert_eq!(reply.jobs, [existing]);
}

/// Prunes when the next partition is missing and one is past its retention: the role makes the one and drops
/// the other.
fn rotate(site: &Site, backend: &Postgres) {
    let (raw, width) = (site.raw(), 6 * 3_600_000_i64);
    let now: i64 = raw.value("SELECT {schema}.now_ms(NULL)").parse().expect("it is a number");
    let (next, past) = ((now / width + 1) * width, (now / width - 6) * width);
    for table in ["jobs", "attempts", "records", "logs"] {
        raw.run(&format!(
            "DROP TABLE {{schema}}.{table}_p{next};
            SELECT {{schema}}.make_partition('{table}', {past}, {past} + {width}, 0)"
        ));
    }
    let has = |from: i64| {
        raw.value(&format!("SELECT count(*) FROM {{schema}}.partitions() WHERE from_ms = {from}")) == "1"
    };
    assert_eq!((has(next), has(past)), (false, true));
    block_on(backend.prune(Call::new(), 10)).expect("it may prune");
    assert_eq!((has(next), has(past)), (true, false), "the next one is made, the past one dropped");
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
