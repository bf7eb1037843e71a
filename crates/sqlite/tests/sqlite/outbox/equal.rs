//! All that lies in a file, to compare two of them.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::Value;

/// Tables and what of them is compared. Left out are what is drawn at random (nonces of claims), what only
/// shows how rows came together (the number and the grouping of expiries, counts that are zero), and the
/// events of refused requests, which only the outbox has.
const TABLES: &[(&str, &str)] = &[
    ("meta", "SELECT * FROM meta ORDER BY name"),
    ("queues", "SELECT * FROM queues ORDER BY queue"),
    ("jobs", "SELECT * FROM jobs ORDER BY seq"),
    ("ready", "SELECT * FROM ready ORDER BY seq"),
    ("waiting", "SELECT * FROM waiting ORDER BY seq"),
    ("claims", "SELECT claim, worker, number, fetched_at, open, pruned, members FROM claims ORDER BY claim"),
    (
        "runs",
        "SELECT run_key, attempt, ending, state, ended_by, worker, fetched_at, finished_at, reason FROM runs",
    ),
    ("ended", "SELECT * FROM ended ORDER BY seq"),
    ("uniques", "SELECT * FROM uniques ORDER BY queue, key"),
    ("counts", "SELECT * FROM counts WHERE amount <> 0 ORDER BY queue, state"),
    ("workers", "SELECT * FROM workers ORDER BY worker"),
    ("cancels", "SELECT * FROM cancels ORDER BY seq, run"),
    (
        "events",
        "SELECT seq, at, what, actor, detail FROM events WHERE what <> 'request refused' ORDER BY event",
    ),
    ("records", "SELECT * FROM records ORDER BY seq, run"),
    ("logs", "SELECT * FROM logs ORDER BY seq, run, line"),
];

pub(crate) type Content = BTreeMap<String, Vec<Vec<Value>>>;

pub(crate) fn content(connection: &Connection) -> Content {
    let mut content: Content =
        TABLES.iter().map(|(table, select)| ((*table).to_owned(), rows(connection, select))).collect();
    let mut expiries = Vec::new();
    for row in rows(connection, "SELECT delete_at, seqs FROM expiries") {
        let [delete_at, Value::Blob(seqs)] = &row[..] else { panic!("{row:?}") };
        let each = seqs.chunks_exact(8).map(|seq| i64::from_le_bytes(seq.try_into().expect("eight bytes")));
        expiries.extend(each.map(|seq| vec![delete_at.clone(), Value::Integer(seq)]));
    }
    expiries.sort_by_key(|row| format!("{row:?}"));
    content.insert("expiries".to_owned(), expiries);
    content
}

fn rows(connection: &Connection, select: &str) -> Vec<Vec<Value>> {
    let mut select = connection.prepare(select).expect("the tables are there");
    let columns = select.column_count();
    let rows = select.query_map([], |row| (0..columns).map(|column| row.get(column).map(ordered)).collect());
    rows.expect("they are read").collect::<rusqlite::Result<_>>().expect("they are read")
}

/// A JSON object with its members in one order: which one they have means nothing.
fn ordered(value: Value) -> Value {
    match value {
        Value::Text(text) if text.starts_with('{') => {
            let json: serde_json::Result<serde_json::Value> = serde_json::from_str(&text);
            Value::Text(json.map_or(text, |json| json.to_string()))
        }
        value => value,
    }
}

/// Fails with the first rows that differ.
pub(crate) fn assert_equal(outbox: &Content, backend: &Content, after: &str) {
    for (table, rows) in outbox {
        let others = &backend[table];
        for (row, other) in rows.iter().zip(others) {
            assert_eq!(row, other, "`{table}` of the outbox and of the backend, after {after}");
        }
        assert_eq!(
            rows.len(),
            others.len(),
            "rows of `{table}` in the outbox and the backend, after {after}"
        );
    }
}
