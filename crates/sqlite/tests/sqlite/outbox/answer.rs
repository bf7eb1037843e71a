//! Sends the statements of the outbox, and reads their answers.

use gristmill_core::{Enqueued, ExistingBy, Timestamp, Verdict};
use rusqlite::Connection;
use serde_json::Value;

pub(crate) const ENQUEUE: &str =
    "INSERT INTO outbox_enqueue (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)";
pub(crate) const CANCEL: &str =
    "INSERT INTO outbox_cancel (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)";
pub(crate) const UPDATE: &str =
    "INSERT INTO outbox_update (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)";
pub(crate) const REQUEST: &str =
    "INSERT INTO outbox_request (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)";
pub(crate) const GET: &str = "SELECT coalesce(
    (SELECT mismatch FROM outbox_protocols WHERE (json_extract(?1, '$.protocol') BETWEEN oldest AND newest) IS NOT TRUE),
    json_object('jobs', json((
        SELECT json_group_array(json((
            SELECT job FROM outbox_job WHERE outbox_job.id = unhex(replace(wanted.value, '-', ''))
        )))
        FROM json_each(?1, '$.ids') AS wanted
    )))
)";

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

pub(crate) fn verdicts(answer: &Value) -> Vec<Verdict> {
    let verdict = |one: &Value| match one["verdict"].as_str() {
        Some("done") => Verdict::Done,
        Some("requested") => Verdict::Requested,
        Some("already_terminal") => Verdict::AlreadyTerminal,
        Some("not_found") => Verdict::NotFound,
        Some("refused") => {
            Verdict::Refused(one["state"].as_str().expect("a state").parse().expect("a state"))
        }
        other => panic!("{other:?}"),
    };
    answer["verdicts"].as_array().expect("a list").iter().map(verdict).collect()
}
