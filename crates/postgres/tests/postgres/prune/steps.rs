//! The steps of a round of pruning, each of which may fail by itself.

use gristmill_core::{Backend as _, Call, Diagnosis, JobFilter, JobState, VerbRequest, Verdict};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::{completed, partitions_from, past_partition, prune};
use crate::fixture::{Schema, complete, count, fetch, register};

/// What `doctor` finds under a name.
fn finding(backend: &Postgres, name: &str) -> Diagnosis {
    let findings = block_on(backend.diagnose(Call::new())).expect("a diagnosis is answered");
    findings.into_iter().find(|finding| finding.check == name).expect("it is among them")
}

#[test]
fn every_table_has_a_primary_key() {
    let schema = Schema::new();
    let without = schema.psql(&format!(
        "SELECT string_agg(relname, ' ') FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
         WHERE nspname = '{}' AND relkind IN ('r', 'p') AND NOT EXISTS (\
            SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary)",
        schema.name
    ));
    assert_eq!(without, "", "tables without a key");
}

#[test]
fn all_goes_on_in_a_database_that_publishes_all_its_tables() {
    let schema = Schema::alone();
    schema.psql("CREATE PUBLICATION everything FOR ALL TABLES");
    let backend = schema.open();
    let begin = past_partition(&schema);
    completed(&schema, begin, 20_000);
    schema.psql("INSERT INTO {schema}.tallies SELECT 1, 0, 1 FROM generate_series(1, 1100)");
    let ids = schema.enqueue(&backend, 3);
    assert_eq!(complete(&backend, fetch(&backend, register(&backend), 1, 2)).len(), 2);
    let verbs = VerbRequest::ids(vec![ids[2]]);
    let cancelled = block_on(backend.cancel(Call::new(), verbs.clone())).expect("it is cancelled");
    assert_eq!(cancelled.jobs[0].1, Verdict::Done);
    block_on(backend.retry(Call::new(), verbs.clone())).expect("it is retried");
    block_on(backend.delete(Call::new(), verbs)).expect("it is deleted");

    while prune(&backend).more {}

    assert_eq!(partitions_from(&schema, begin), 0, "the partition is dropped");
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.steps WHERE error IS NOT NULL"), "0");
    assert_eq!(schema.psql("SELECT count(*) < 10 FROM {schema}.tallies"), "t", "the numbers are folded");
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), 1_102);
    assert!(finding(&backend, "prune").ok);
}

#[test]
fn a_step_that_fails_does_not_keep_the_others_and_is_reported() {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    completed(&schema, begin, 20_000);
    // No number can be folded any more, and no cancelled job deleted.
    schema.psql(
        "CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS \
            'BEGIN RAISE EXCEPTION ''this table is kept for ever''; END'; \
         CREATE TRIGGER refuse BEFORE DELETE ON {schema}.tallies EXECUTE FUNCTION {schema}.refuse(); \
         CREATE TRIGGER refuse BEFORE DELETE ON {schema}.ended EXECUTE FUNCTION {schema}.refuse()",
    );
    assert!(finding(&backend, "prune").ok, "no round yet");

    while prune(&backend).more {}

    assert_eq!(partitions_from(&schema, begin), 0, "the partition is dropped");
    let failed = "SELECT string_agg(step, ', ' ORDER BY step) FROM {schema}.steps WHERE error IS NOT NULL";
    assert!(schema.psql(failed).contains("fold numbers"), "{}", schema.psql(failed));
    let found = finding(&backend, "prune");
    assert!(!found.ok, "{found:?}");
    assert!(found.finding.contains("this table is kept for ever"), "{found:?}");

    schema.psql("DROP FUNCTION {schema}.refuse CASCADE");
    prune(&backend);
    assert!(finding(&backend, "prune").ok);
}

#[test]
fn a_prune_that_has_not_succeeded_for_an_hour_is_reported_where_a_worker_lives() {
    let schema = Schema::new();
    let backend = schema.open();
    prune(&backend);
    schema.psql("UPDATE {schema}.steps SET succeeded_at = succeeded_at - 3700000");
    assert!(finding(&backend, "prune").ok, "nothing prunes where no worker runs");

    register(&backend);

    let found = finding(&backend, "prune");
    assert!(!found.ok && found.finding.contains("61 min"), "{found:?}");
}

#[test]
fn a_worker_that_never_prunes_is_reported() {
    let schema = Schema::new();
    let backend = schema.open();
    register(&backend);
    assert!(finding(&backend, "prune").ok, "it has just started");
    schema.psql("UPDATE {schema}.workers SET started_at = started_at - 3700000");

    let found = finding(&backend, "prune");

    assert!(!found.ok && found.finding.contains("no step has ever succeeded"), "{found:?}");
}
