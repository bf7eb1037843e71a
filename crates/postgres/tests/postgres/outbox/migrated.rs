//! A schema of the version before.

use gristmill_core::{Backend, BackendErrorKind, Call, EnqueueRequest, JobFilter, JobState, MigrateMode};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::{Caller, storing};
use crate::fixture::{Schema, complete, count, fetch, register};

/// Takes a migrated schema back to version 1.
fn unmigrate(schema: &Schema) {
    let functions = schema.psql(
        "SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace \
        AND (proname LIKE 'outbox%' OR proname = 'enqueue')",
    );
    schema.psql(&format!("DROP FUNCTION {}", functions.trim()));
    schema.psql(
        "DROP TABLE {schema}.versions, {schema}.requests, {schema}.registers; DELETE FROM {schema}.migrations WHERE version > 1",
    );
}

#[test]
fn a_schema_of_version_1_keeps_its_jobs_when_it_is_migrated() {
    let schema = Schema::new();
    let backend = schema.open();
    let worker = register(&backend);
    schema.enqueue(&backend, 5);
    let leased = fetch(&backend, worker, 1, 2);
    unmigrate(&schema);

    let late = schema.open();
    let error = block_on(late.enqueue(Call::new(), EnqueueRequest::new(vec![schema.job()])))
        .expect_err("it is older");
    assert_eq!(error.kind(), BackendErrorKind::SchemaOld);
    let caller = Caller::of(&schema);
    assert_eq!(
        caller.try_ask("enqueue", &storing(&[schema.job()])).expect_err("it has no outbox").code,
        "42883"
    );
    let report = block_on(late.migrate(Call::new(), MigrateMode::Status)).expect("it is answered");
    let steps =
        ["0002_outbox", "0003_versions", "0004_requests", "0005_registers"].map(str::to_owned).to_vec();
    assert_eq!((report.from, report.steps), (1, steps));
    // A program that checked the schema a moment ago works on.
    schema.enqueue(&backend, 1);

    let report = block_on(late.migrate(Call::new(), MigrateMode::Up)).expect("it is migrated");
    assert_eq!((report.from, report.current), (1, report.latest));
    assert_eq!(count(&late, JobFilter::new()), 6);
    complete(&backend, leased);
    caller.ask("enqueue", &storing(&[schema.job()]));
    let leased = fetch(&backend, worker, 2, 10);
    assert_eq!(leased.len(), 5);
    complete(&late, leased);
    assert_eq!(count(&late, JobFilter::new().state(JobState::Completed)), 7);
}

#[test]
fn what_the_schema_prints_makes_one_with_an_outbox_whose_workers_are_told() {
    let url = Server::shared().fresh_database();
    let schema = "printed \"x\"";
    let caller = Caller::at(&url, schema);
    caller.run(&Postgres::schema_sql(schema));
    let latest = gristmill_sql::POSTGRES_SCHEMA.to_string();
    assert_eq!(caller.value("SELECT max(version) FROM {schema}.migrations"), latest);
    let text = Postgres::schema_sql(schema);
    assert!(!text.contains("gristmill_channel") && text.contains("'gristmill_"));
    caller.run("SELECT {schema}.enqueue('work')");
    assert_eq!(caller.value("SELECT count(*) FROM {schema}.ready"), "1");
}
