//! Retentions that keep partitions for long: their number, the locks of a statement and the time of a drop
//! have a bound.

#![expect(clippy::print_stdout, reason = "the figures are what a run is for")]

use std::time::Instant;

use gristmill_core::{Backend as _, Call};
use gristmill_testkit::block_on;

use super::{completed, id, job, past_partition, prune};
use crate::fixture::Schema;

const WIDTH_MS: i64 = 6 * 3_600_000;
/// A server with default settings has room for so many locks of each of 100 connections.
const LOCKS: u64 = 140;
/// The most partitions of a table that a backend makes.
const MOST: u64 = 16;

/// The locks a caller's transaction holds that looks where a job is.
fn locks_of_a_look(schema: &Schema, id: gristmill_core::JobId) -> u64 {
    let request = format!(r#"{{"protocol":2,"ids":["{id}"]}}"#);
    let answer = schema.psql(&format!(
        "BEGIN; SELECT {{schema}}.outbox_get('{request}'); \
         SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid(); ROLLBACK"
    ));
    let mut numbers = answer.lines().filter_map(|line| line.trim().parse().ok());
    numbers.next_back().unwrap_or_else(|| panic!("a number of locks: {answer}"))
}

/// The locks a transaction holds that erases a job.
fn locks_of_an_erasure(schema: &Schema, id: gristmill_core::JobId) -> u64 {
    let answer = schema.psql(&format!(
        "BEGIN; SELECT {{schema}}.erase(ARRAY['{id}'::uuid]); \
         SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid(); ROLLBACK"
    ));
    let mut numbers = answer.lines().filter_map(|line| line.trim().parse().ok());
    numbers.next_back().unwrap_or_else(|| panic!("a number of locks: {answer}"))
}

/// The partitions of `jobs` beside DEFAULT.
fn partitions(schema: &Schema) -> u64 {
    schema.psql("SELECT count(*) FROM {schema}.partitions()").parse().expect("a number")
}

#[test]
fn a_statement_holds_few_locks_however_many_partitions_are_asked_for() {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    completed(&schema, begin, 10);
    for number in 1..40 {
        let from = begin - number * WIDTH_MS;
        schema.psql(&format!(
            "SELECT {{schema}}.make_partition(part, {from}, {from} + {WIDTH_MS}, 10000) \
             FROM unnest(ARRAY['jobs', 'attempts', 'records', 'logs']) AS part"
        ));
    }
    let (number, id) = (partitions(&schema), job(&schema, begin, 3));

    let (look, erasure) = (locks_of_a_look(&schema, id), locks_of_an_erasure(&schema, id));

    println!("{number} partitions: a look holds {look} locks, an erasure {erasure}");
    assert_eq!(number, MOST, "no more are made");
    assert!(look <= LOCKS, "{look} locks");
    assert!(erasure <= 40, "{erasure} locks");
    // Those that hold nothing go in one round.
    block_on(backend.prune(Call::new(), 1_000)).expect("a round is answered");
    assert!(partitions(&schema) <= 7, "{}", partitions(&schema));
}

#[test]
fn a_drop_reads_no_more_changes_than_those_of_its_partition() {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    completed(&schema, begin, 50_000);
    assert_eq!(schema.psql(&format!("SELECT {{schema}}.watch_partition({begin})")), "watched");
    // Of another partition, and of jobs that were deleted here since it was watched.
    schema.psql(&format!(
        "INSERT INTO {{schema}}.changes (id, queue, is_deleted) \
            SELECT {{schema}}.first_id({begin} - 1000 - i), 1, true FROM generate_series(1, 200000) AS i; \
         DELETE FROM {{schema}}.jobs WHERE id IN (SELECT {id} FROM generate_series(0, 29999) AS i)",
        id = id(begin)
    ));

    prune(&backend);

    assert_eq!(super::partitions_from(&schema, begin), 0);
    let longest: f64 = schema.psql("SELECT max(longest_ms) FROM {schema}.steps").parse().expect("a number");
    println!("the drop locked the tables for {longest:.0} ms");
    assert!(longest < 500.0, "the tables were locked for {longest:.0} ms");
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.changes"), "200000");
}

/// A month of 80,000 jobs a day that are kept for 30 days; prints what it costs. Takes minutes.
#[test]
#[ignore = "a month of jobs"]
fn a_month_of_long_retentions_keeps_few_partitions() {
    const DAYS: i64 = 34;
    const A_SPAN: u64 = 20_000;
    let schema = Schema::new();
    let backend = schema.open();
    let begun = Instant::now();
    // The clock of the store is the test's to move.
    schema.psql(
        "CREATE TABLE {schema}.shift AS SELECT 0::bigint AS ms; \
         CREATE OR REPLACE FUNCTION {schema}.now_ms(given bigint) RETURNS bigint LANGUAGE sql VOLATILE AS \
            'SELECT coalesce(given, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint \
                + (SELECT ms FROM {schema}.shift))'; \
         INSERT INTO {schema}.queues (queue, name) VALUES (1, 'line')",
    );
    let start: i64 = schema.psql("SELECT {schema}.now_ms(NULL)").parse().expect("a number");
    let retention = r#"{"retention":{"completed":{"secs":2592000,"nanos":0},"cancelled":{"secs":2592000,"nanos":0},"discarded":{"secs":2592000,"nanos":0}}}"#;
    let (mut most_partitions, mut most_look, mut most_erasure) = (0, 0, 0);
    for step in 0..DAYS * 4 {
        schema.psql(&format!("UPDATE {{schema}}.shift SET ms = {}", step * WIDTH_MS));
        let at = start + step * WIDTH_MS;
        completed(&schema, at, A_SPAN);
        schema.psql(&format!(
            "UPDATE {{schema}}.jobs SET options = '{retention}' \
                WHERE id >= {{schema}}.first_id({at}) AND id < {{schema}}.first_id({at} + 1000); \
             INSERT INTO {{schema}}.expiries SELECT {at} + 2592001000, {id} FROM generate_series(0, {A_SPAN} - 1) AS i",
            id = id(at)
        ));
        while prune(&backend).more {}
        most_partitions = most_partitions.max(partitions(&schema));
        if step % 8 == 0 {
            let id = job(&schema, at, 3);
            most_look = most_look.max(locks_of_a_look(&schema, id));
            most_erasure = most_erasure.max(locks_of_an_erasure(&schema, id));
            println!("day {}: {} partitions, {:?}", step / 4, partitions(&schema), begun.elapsed());
        }
    }
    let longest = schema.psql("SELECT round(coalesce(max(longest_ms), 0)) FROM {schema}.steps");
    let kept = schema.psql("SELECT count(*) FROM {schema}.jobs");
    println!(
        "{DAYS} days: {most_partitions} partitions, {most_look} locks of a cancel, {most_erasure} of an erasure, \
         the longest lock of a drop {longest} ms, {kept} jobs kept"
    );
    assert!(most_partitions <= MOST && most_look <= LOCKS && most_erasure <= LOCKS);
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.steps WHERE error IS NOT NULL"), "0");
}
