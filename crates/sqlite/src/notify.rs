//! Hints: what other processes have written. Hints of this process leave with each group's commit.

use gristmill_core::{Hint, JobId, Name, Timestamp};
use rusqlite::Connection;

use crate::error::Answer;
use crate::memory::Memory;
use crate::{requests, row};

/// A number that changes when another connection has committed; its own commits do not change it.
pub(crate) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// Every queue with something to fetch, and when the next waiting job or request is due. Which of it another
/// process has changed is not known.
pub(crate) fn hints_of_others(connection: &Connection, memory: &mut Memory, now: Timestamp) -> Vec<Hint> {
    // A hint that cannot be made is lost like any other; polling is the truth.
    let mut hints = queues_with_jobs(connection, memory).unwrap_or_default();
    let requested = requests::due(connection, memory, now).unwrap_or_default();
    let due = next_due(connection).unwrap_or_default().into_iter().chain(requested).min();
    hints.extend(due.map(Hint::Due));
    hints.extend(cancel_requests(connection).unwrap_or_default().into_iter().map(Hint::CancelRequested));
    hints
}

/// Running jobs whose cancel is asked for. One is enough to make workers renew.
fn cancel_requests(connection: &Connection) -> Answer<Vec<JobId>> {
    let mut select = connection.prepare_cached(include_str!("../sql/cancel_requests.sql"))?;
    Ok(select.query_map([], |row| Ok(row::job_id(row, 0)))?.collect::<rusqlite::Result<_>>()?)
}

/// When the next waiting job of any queue is due.
pub(crate) fn next_due(connection: &Connection) -> Answer<Option<Timestamp>> {
    let mut select = connection.prepare_cached(include_str!("../sql/next_due.sql"))?;
    let due: Option<i64> = select.query_row([], |row| row.get(0))?;
    Ok(due.map(Timestamp::from_millis))
}

fn queues_with_jobs(connection: &Connection, memory: &mut Memory) -> Answer<Vec<Hint>> {
    let mut select = connection.prepare_cached(include_str!("../sql/queues_with_jobs.sql"))?;
    let numbers = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut names =
        numbers.into_iter().map(|queue| memory.queues.name(connection, queue)).collect::<Answer<Vec<_>>>()?;
    names.retain(|name| name.as_str() != Name::UNREADABLE);
    Ok(names.into_iter().map(Hint::Available).collect())
}
