//! Sends the statements of the outbox, and reads their answers.

use gristmill_core::{Enqueued, ExistingBy, Timestamp};
use rusqlite::Connection;
use serde_json::Value;

pub(crate) const ENQUEUE: &str =
    "INSERT INTO outbox_enqueue (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)";
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

pub(crate) const LIST: &str = "WITH wanted AS (
    SELECT
        max(1, min(100, coalesce(json_extract(?1, '$.limit'), 100))) AS most,
        json_extract(?1, '$.queue') AS queue, json_extract(?1, '$.kind') AS kind, json_extract(?1, '$.state') AS state
)
SELECT coalesce(
    (SELECT mismatch FROM outbox_protocols WHERE (json_extract(?1, '$.protocol') BETWEEN oldest AND newest) IS NOT TRUE),
    (
        SELECT json_object(
            'jobs', json(json_remove(found.jobs, '$[' || wanted.most || ']')),
            'more', json(iif(json_array_length(found.jobs) > wanted.most, 'true', 'false'))
        )
        FROM wanted, (
            SELECT json_group_array(json((SELECT job FROM outbox_job WHERE outbox_job.id = listed.id))) AS jobs
            FROM (
                SELECT recent.id FROM wanted, outbox_recent AS recent
                WHERE recent.queue = coalesce(wanted.queue, recent.queue)
                    AND recent.kind = coalesce(wanted.kind, recent.kind)
                    AND recent.state = coalesce(wanted.state, recent.state)
                ORDER BY recent.id DESC LIMIT (SELECT most + 1 FROM wanted)
            ) AS listed
        ) AS found
    )
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
