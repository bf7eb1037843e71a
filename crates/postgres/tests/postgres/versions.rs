//! Programs beside a schema that a later release has migrated.

#![expect(clippy::print_stdout, reason = "the figures are what a run is for")]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gristmill_core::{
    Backend, BackendError, BackendErrorKind, Call, EnqueueRequest, JobFilter, JobState, MigrateMode, NewJob,
    RenewRequest, VerbRequest, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_sql::POSTGRES_SCHEMA;
use gristmill_testkit::{Rolling, RollingTotals, block_on};
use serde_json::json;

use crate::fixture::{Schema, complete, count, fetch, register, wants};
use crate::outbox::{Caller, storing};

/// The version of the later release.
const LATER: u32 = POSTGRES_SCHEMA + 1;

/// What a later release may do without a word to older programs: it adds columns, tables, indexes and
/// functions, and replaces functions that keep their parameters. 777 marks a function of that release.
const ADDITIVE: &str = "
    ALTER TABLE {schema}.jobs ADD COLUMN later text;
    ALTER TABLE {schema}.ready ADD COLUMN later integer NOT NULL DEFAULT 1;
    ALTER TABLE {schema}.waiting ADD COLUMN later integer NOT NULL DEFAULT 1;
    ALTER TABLE {schema}.claims ADD COLUMN later integer[];
    ALTER TABLE {schema}.attempts ADD COLUMN later text;
    ALTER TABLE {schema}.ended ADD COLUMN later text;
    ALTER TABLE {schema}.uniques ADD COLUMN later text;
    ALTER TABLE {schema}.workers ADD COLUMN later text NOT NULL DEFAULT 'x';
    ALTER TABLE {schema}.queues ADD COLUMN later integer;
    ALTER TABLE {schema}.events ADD COLUMN later text;
    ALTER TABLE {schema}.store ADD COLUMN later text;
    ALTER TABLE {schema}.versions ADD COLUMN later integer;
    CREATE TABLE {schema}.later (id uuid PRIMARY KEY);
    CREATE INDEX later_order ON {schema}.ready (queue, later, priority);
    CREATE FUNCTION {schema}.later() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    ALTER FUNCTION {schema}.enqueue(text, jsonb, jsonb) COST 777;
    UPDATE {schema}.versions SET outbox_newest = outbox_newest + 1;
    INSERT INTO {schema}.migrations SELECT max(version) + 1, 'later', 0 FROM {schema}.migrations";

fn serve_from(schema: &Schema, to: u32) {
    schema.psql(&format!("UPDATE {{schema}}.versions SET compatible_from = {to}"));
}

fn renew(backend: &Postgres, worker: WorkerId) -> Result<(), BackendError> {
    block_on(backend.renew(Call::new(), RenewRequest::new(worker, Vec::new()))).map(drop)
}

#[track_caller]
fn assert_names_both(error: &BackendError) {
    assert_eq!(error.kind(), BackendErrorKind::SchemaNew, "{error:?}");
    for version in [LATER, POSTGRES_SCHEMA] {
        assert!(error.message().contains(&format!("version {version}")), "{error:?}");
    }
    assert!(error.hint().is_some_and(|hint| hint.contains("upgrade")), "{error:?}");
    assert!(!error.is_retryable());
}

#[test]
fn programs_that_run_and_programs_that_start_work_on_while_a_later_release_extends_the_schema() {
    let schema = Schema::new();
    let running = schema.open();
    let worker = register(&running);
    schema.enqueue(&running, 5);
    let leased = fetch(&running, worker, 1, 2);

    schema.psql(ADDITIVE);

    assert_eq!(complete(&running, leased).len(), 2);
    let cancelled = schema.enqueue(&running, 2);
    renew(&running, worker).expect("the lease holds");
    let started = schema.open();
    let late = register(&started);
    schema.enqueue(&started, 1);
    schema.psql("SELECT {schema}.enqueue('work', '{}', '{\"queue\":\"line\",\"unique_key\":\"k\"}')");
    let verbs = block_on(started.cancel(Call::new(), VerbRequest::ids(cancelled))).expect("they are there");
    assert_eq!(verbs.jobs.len(), 2);
    let leased = fetch(&running, worker, 2, 3);
    assert_eq!((leased.len(), complete(&started, leased).len()), (3, 3));
    let leased = fetch(&started, late, 1, 10);
    assert_eq!((leased.len(), complete(&running, leased).len()), (2, 2));
    assert_eq!(count(&started, JobFilter::new().state(JobState::Completed)), 7);
    let findings = block_on(started.diagnose(Call::new())).expect("it is examined");
    let ours = findings.iter().filter(|finding| !["durability", "horizon"].contains(&finding.check.as_str()));
    let troubles: Vec<_> = ours.filter(|finding| !finding.ok).map(|finding| &finding.finding).collect();
    assert_eq!(troubles, Vec::<&String>::new());
    let found = findings.iter().find(|finding| finding.check == "schema").expect("it is examined");
    assert!(found.finding.contains(&format!("version {LATER}")), "{found:?}");
}

#[test]
fn programs_that_are_too_old_for_the_schema_are_refused_by_both_versions_and_take_no_more_jobs() {
    let schema = Schema::new();
    let running = schema.open();
    let worker = register(&running);
    schema.psql(ADDITIVE);
    renew(&running, worker).expect("the schema was only extended");
    schema.enqueue(&running, 3);
    assert_eq!(fetch(&running, worker, 1, 1).len(), 1);

    serve_from(&schema, LATER);

    // Its next heartbeat tells the worker, and from then on each call ends so.
    assert_names_both(&renew(&running, worker).expect_err("the program is too old"));
    let fetched = block_on(running.fetch(Call::new(), wants(worker, 2, 1)));
    assert_names_both(&fetched.expect_err("the program is too old"));
    let request = EnqueueRequest::new(vec![schema.job()]);
    assert_names_both(&block_on(running.enqueue(Call::new(), request)).expect_err("the program is too old"));
    let started = schema.open();
    let counted = block_on(started.count(Call::new(), JobFilter::new(), None));
    assert_names_both(&counted.expect_err("the program is too old"));
    let migrated = block_on(started.migrate(Call::new(), MigrateMode::Up));
    assert_names_both(&migrated.expect_err("the program is too old"));
    let findings = block_on(started.diagnose(Call::new())).expect("it is examined");
    let found = findings.iter().find(|finding| finding.check == "schema").expect("it is examined");
    assert!(!found.ok && found.finding.contains(&format!("version {LATER}")), "{found:?}");

    serve_from(&schema, POSTGRES_SCHEMA);
    assert_eq!(fetch(&running, worker, 2, 10).len(), 2, "it goes on without a restart");
}

#[test]
fn an_older_program_migrates_nothing_and_leaves_the_functions_of_the_later_release() {
    let schema = Schema::new();
    schema.psql(ADDITIVE);
    let of_function = "SELECT procost::text || ' ' || oid::text FROM pg_proc WHERE proname = 'enqueue' \
        AND pronamespace = '{schema}'::regnamespace";
    let versions =
        "SELECT compatible_from || ' ' || outbox_oldest || ' ' || outbox_newest FROM {schema}.versions";
    let before = (schema.psql(of_function), schema.psql(versions));
    assert!(before.0.starts_with("777 "), "{before:?}");

    let older = schema.open();
    for mode in [MigrateMode::Status, MigrateMode::Up] {
        let report = block_on(older.migrate(Call::new(), mode)).expect("there is nothing to do");
        assert_eq!((report.from, report.current, report.latest), (LATER, LATER, POSTGRES_SCHEMA));
        assert_eq!(report.steps, Vec::<String>::new());
    }

    assert_eq!((schema.psql(of_function), schema.psql(versions)), before);
    schema.enqueue(&older, 1);
}

#[test]
fn each_migration_replaces_the_functions_and_keeps_who_may_call_them() {
    let schema = Schema::new();
    let role = schema.name.replace('-', "_") + "_producer";
    schema.psql(&format!(
        "CREATE ROLE {role}; GRANT EXECUTE ON FUNCTION {{schema}}.enqueue(text, jsonb, jsonb) TO {role};
        ALTER FUNCTION {{schema}}.enqueue(text, jsonb, jsonb) COST 777; DROP FUNCTION {{schema}}.outbox_retry(jsonb);
        DROP TABLE {{schema}}.versions, {{schema}}.requests, {{schema}}.registers; DELETE FROM {{schema}}.migrations WHERE version > 2"
    ));
    let backend = schema.open();

    let report = block_on(backend.migrate(Call::new(), MigrateMode::Up)).expect("it is migrated");

    assert_eq!((report.from, report.current), (2, POSTGRES_SCHEMA));
    let cost =
        "SELECT procost FROM pg_proc WHERE proname = 'enqueue' AND pronamespace = '{schema}'::regnamespace";
    assert_eq!(schema.psql(cost), "100");
    schema.psql("SELECT {schema}.enqueue('work', '{}', '{\"retry\":{\"fixed_ms\":5}}')");
    let may = format!(
        "SELECT has_function_privilege('{role}', '{{schema}}.enqueue(text, jsonb, jsonb)', 'EXECUTE')"
    );
    assert_eq!(schema.psql(&may), "t");
    schema.enqueue(&backend, 1);
    schema.psql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

/// Works a schema from several processes that restart and are killed. A later release extends it meanwhile,
/// whose services enqueue by a later protocol. Only after that the schema excludes the others.
fn roll(length: Duration) -> RollingTotals {
    let schema = Schema::new();
    let rolling = Rolling::default();
    let work = |protocol: &'static str| {
        let caller = Caller::of(&schema);
        let outbox = |job: &NewJob| {
            let request = storing(std::slice::from_ref(job)).replace(r#""protocol":2"#, protocol);
            assert_eq!(caller.ask("enqueue", &request)["answers"], json!([{"created": true}]));
        };
        rolling.run(|| Arc::new(schema.open_narrow()), outbox);
    };
    let work = &work;
    thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(move || work(r#""protocol":2"#))));
        rolling.wait(length / 3);
        schema.psql(ADDITIVE);
        (0..2).for_each(|_| drop(scope.spawn(move || work(r#""protocol":3"#))));
        rolling.wait(length * 2 / 3);
        rolling.stop();
    });
    let totals = rolling.check(&schema.open());
    serve_from(&schema, LATER);
    let counted = block_on(schema.open().count(Call::new(), JobFilter::new(), None));
    assert_names_both(&counted.expect_err("the program is too old"));
    totals
}

#[test]
fn each_job_ends_once_while_a_later_release_takes_over_a_schema_that_is_in_use() {
    println!("{:?}", roll(Duration::from_secs(9)));
}

#[test]
#[ignore = "a minute"]
fn each_job_ends_once_while_a_later_release_takes_over_within_a_minute() {
    println!("{:?}", roll(Duration::from_secs(60)));
}
