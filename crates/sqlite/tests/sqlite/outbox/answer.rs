//! Sends the statements of the outbox, and reads their answers.

use std::sync::LazyLock;

use gristmill_core::{Enqueued, ExistingBy, Timestamp};
use rusqlite::Connection;
use serde_json::Value;

/// The README shows the statements. The tests of `crates/outbox` compare them with those that it sends.
pub(crate) const README: &str = include_str!("../../../README.md");

pub(crate) static ENQUEUE: LazyLock<&str> = LazyLock::new(|| statement(0));
pub(crate) static REQUEST: LazyLock<&str> = LazyLock::new(|| statement(1));
pub(crate) static GET: LazyLock<&str> = LazyLock::new(|| statement(2));
pub(crate) static LIST: LazyLock<&str> = LazyLock::new(|| statement(3));

fn statement(place: usize) -> &'static str {
    let (_, sql) = README.split_once("```sql\n").expect("the README shows SQL");
    let (sql, _) = sql.split_once("```").expect("the block ends");
    sql.split_terminator(";\n").nth(place).expect("it shows four statements")
}

pub(crate) fn try_send(connection: &Connection, statement: &str, request: &Value) -> rusqlite::Result<Value> {
    try_send_text(connection, statement, &request.to_string())
}

pub(crate) fn try_send_text(
    connection: &Connection,
    statement: &str,
    request: &str,
) -> rusqlite::Result<Value> {
    let answer: String = connection.query_row(statement, [request], |row| row.get(0))?;
    Ok(serde_json::from_str(&answer).expect("an answer is JSON"))
}

pub(crate) fn send(connection: &Connection, statement: &str, request: &Value) -> Value {
    try_send(connection, statement, request).expect("the request is taken")
}

/// What became of each job, and when.
pub(crate) fn enqueued(answer: &Value) -> (Timestamp, Vec<Enqueued>) {
    let now = Timestamp::from_millis(answer["now_ms"].as_i64().expect("an instant"));
    let jobs = answer["answers"].as_array().expect("a list").iter().map(|one| {
        if one["created"] == true {
            return Enqueued::Created;
        }
        let by = match one["by"].as_str() {
            Some("id") => ExistingBy::Id,
            Some("unique_key") => ExistingBy::UniqueKey,
            other => panic!("{other:?}"),
        };
        Enqueued::Existing { id: one["existing"].as_str().expect("an id").parse().expect("an id"), by }
    });
    (now, jobs.collect())
}
