//! What the functions and the README say.

use gristmill_core::JobFilter;

use super::Caller;
use super::enqueue::enqueue;
use crate::fixture::{Schema, count};

const README: &str = include_str!("../../../README.md");

/// The example of the README in which a word stands.
fn example(word: &str) -> String {
    let found =
        README.split("```sql\n").find(|part| part.split("```").next().is_some_and(|sql| sql.contains(word)));
    let sql = found.expect("the README has an example").split("```").next().expect("it has a text");
    sql.replace("gristmill.", "{schema}.")
}

#[test]
fn the_example_of_a_request_is_taken_and_a_key_can_be_made_by_sql() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let sql = example("outbox_enqueue(json_build_object");
    assert!(caller.value(&sql).contains(r#"{"created":true}"#));
    assert!(caller.value(&sql).contains(r#""by":"id""#));
    // The backend's own key is the same.
    let same = "'report', '{}', '{\"queue\": \"slow\", \"unique_key\": \"für 11\"}'";
    assert_eq!(
        enqueue(&caller, same).expect("it is an answer").to_string(),
        "019a9b3e-7c00-7000-8000-000000000012"
    );
    assert_eq!(caller.value("SELECT convert_from(args, 'UTF8') FROM {schema}.jobs"), r#"{"month":11}"#);
}

#[test]
fn whether_a_job_is_ones_own_shows_by_its_id() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let sql = example("AS is_mine");
    assert_eq!(caller.value(&sql), "t");
    assert_eq!(caller.value(&sql), "t");
    assert_eq!(caller.value(&sql.replace("000000000011", "000000000012")), "f");
    assert_eq!(count(&schema.open(), JobFilter::new()), 1);
}

#[test]
fn args_are_stored_as_jsonb_writes_them() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let (given, written) = (r#"{"b":1e3,"a":[1,2]}"#, r#"{"a": [1, 2], "b": 1000}"#);
    assert!(README.contains(&format!("`{given}` becomes `{written}`")));
    for (given, written) in [(given, written), (r#"{"a":1,"a":2}"#, r#"{"a": 2}"#)] {
        let id = enqueue(&caller, &format!("'work', '{given}'")).expect(given);
        let stored = caller
            .value(&format!("SELECT convert_from(args, 'UTF8') FROM {{schema}}.jobs WHERE id = '{id}'"));
        assert_eq!(stored, written);
    }
}

#[test]
fn the_function_says_of_itself_what_it_takes() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let comment = caller
        .value("SELECT obj_description('{schema}.enqueue(text, jsonb, jsonb)'::regprocedure, 'pg_proc')");
    let unknown = enqueue(&caller, "'k', '{}', '{\"colour\":1}'").expect_err("it is not known");
    let options = unknown.hint.expect("it has a remedy");
    let options = options.split_once(": ").expect("it lists them").1.trim_end_matches('.').to_owned();
    for option in options.split(", ") {
        assert!(comment.contains(option), "the comment does not name {option}");
        assert!(README.contains(&format!("`{option}`")), "the README does not name {option}");
    }
}

#[test]
fn a_trigger_enqueues_with_the_row_that_it_is_for() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let trigger = example("CREATE TRIGGER");
    caller.run("CREATE TABLE {schema}.mine (n int)");
    caller.run(&format!(
        "SET search_path = {{schema}}; CREATE TABLE orders (id bigint PRIMARY KEY, mail text); {trigger}"
    ));
    caller.run("BEGIN; INSERT INTO orders VALUES (1, 'a@example.org'); ROLLBACK");
    assert_eq!(count(&backend, JobFilter::new()), 0);
    caller.run("INSERT INTO orders VALUES (1, 'a@example.org'), (2, 'b@example.org')");
    assert_eq!(count(&backend, JobFilter::new()), 2);
    let args =
        caller.value("SELECT string_agg(convert_from(args, 'UTF8'), ' ' ORDER BY id) FROM {schema}.jobs");
    assert!(args.contains(r#""order_id": 1"#) && args.contains(r#""order_id": 2"#), "{args}");
}
