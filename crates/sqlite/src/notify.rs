//! Hints: what other processes have written. Hints of this process leave with each group's commit.

use gristmill_core::Hint;
use rusqlite::Connection;

use crate::error::Answer;
use crate::group::Memory;

/// A number that changes when another connection has committed; its own commits do not change it.
pub(crate) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Every queue with something to fetch: which of them another process has changed is not known.
pub(crate) fn hints_of_others(connection: &Connection, memory: &mut Memory) -> Vec<Hint> {
    // A hint that cannot be made is lost like any other; polling is the truth.
    queues_with_jobs(connection, memory).unwrap_or_default()
}

fn queues_with_jobs(connection: &Connection, memory: &mut Memory) -> Answer<Vec<Hint>> {
    let mut select = connection.prepare_cached(include_str!("../sql/queues_with_jobs.sql"))?;
    let numbers = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    numbers.into_iter().map(|queue| Ok(Hint::Available(memory.queues.name(connection, queue)?))).collect()
}
