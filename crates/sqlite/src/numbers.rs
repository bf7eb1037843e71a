//! Numbers of queues, and who works: answered from narrow tables, whatever history lies in the file.

use std::time::Duration;

use gristmill_core::{
    Count, JobFilter, JobState, Name, Priority, QueueRecord, QueueStats, StatsReply, StatsRequest, Timestamp,
    WorkerRecord,
};
use gristmill_sql::Unread;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Answer;
use crate::list::count_matches;
use crate::parked;
use crate::row;

pub(crate) fn list_queues(connection: &Connection) -> Answer<Vec<QueueRecord>> {
    Ok(numbered_queues(connection)?.into_iter().map(|(_, queue)| queue).collect())
}

fn numbered_queues(connection: &Connection) -> Answer<Vec<(i64, QueueRecord)>> {
    let mut select = connection.prepare_cached(include_str!("../sql/queues.sql"))?;
    let rows = select.query_map([], |row| {
        let mut unread = Unread::default();
        let mut queue = QueueRecord::new(unread.name("name", row::text(row, 1).as_deref()));
        queue.paused_at = row::optional_timestamp(row, 2);
        queue.pause_reason = row::string(row, 3);
        queue.paused_by = row::string(row, 4);
        queue.undecodable = unread.into_text();
        Ok((row::integer(row, 0), queue))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn list_workers(connection: &Connection) -> Answer<Vec<WorkerRecord>> {
    let mut select = connection.prepare_cached(include_str!("../sql/workers.sql"))?;
    let rows = select.query_map([], |row| Ok(read_worker(row)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn read_worker(row: &Row<'_>) -> WorkerRecord {
    let mut unread = Unread::default();
    if row::blob(row, 0).len() != 16 {
        unread.note("id", "of another length");
    }
    let lease = row::duration(row::integer(row, 5));
    let label = row::string(row, 1).unwrap_or_default();
    let mut worker = WorkerRecord::new(row::worker_id(row, 0), label, row::timestamp(row, 2), lease);
    worker.heartbeat_at = row::timestamp(row, 3);
    worker.lease_expires_at = row::timestamp(row, 4);
    worker.slots = row::count32(row, 6);
    worker.queues = unread.names("queues", row::text(row, 7).as_deref());
    worker.kinds = unread.names("kinds", row::text(row, 8).as_deref());
    worker.running = row::amount(row::integer(row, 9));
    worker.undecodable = unread.into_text();
    worker
}

pub(crate) fn count(
    connection: &Connection,
    filter: &JobFilter,
    cap: Option<u64>,
    patience: Duration,
) -> Answer<Count> {
    if filter.is_by_place() {
        return Ok(Count::up_to(cap, count_by_place(connection, filter)?));
    }
    let patience = if cap.is_none() { patience * 3 } else { patience };
    count_matches(connection, filter, cap, patience)
}

fn count_by_place(connection: &Connection, filter: &JobFilter) -> Answer<u64> {
    let mut select = connection.prepare_cached(include_str!("../sql/counts.sql"))?;
    let mut rows = select.query([])?;
    let mut total = 0;
    while let Some(row) = rows.next()? {
        let (queue, state) = (row::text(row, 1), row::state(row::integer(row, 2)));
        let is_of_queue = |name: &Name| queue.as_deref() == Some(name.as_str());
        let wanted = (filter.queues.is_empty() || filter.queues.iter().any(is_of_queue))
            && (filter.states.is_empty() || state.is_some_and(|state| filter.states.contains(&state)));
        total += if wanted { row::amount(row::integer(row, 3)) } else { 0 };
    }
    Ok(total)
}

pub(crate) fn stats(connection: &Connection, request: StatsRequest, now: Timestamp) -> Answer<StatsReply> {
    let mut reply = StatsReply::default();
    reply.stale_finishes = row::amount(
        connection
            .prepare_cached("SELECT value FROM meta WHERE name = 'stale_finishes'")?
            .query_row([], |row| Ok(row::integer(row, 0)))
            .optional()?
            .unwrap_or(0),
    );
    let mut amounts = connection.prepare_cached("SELECT state, amount FROM counts WHERE queue = ?1")?;
    for (number, queue) in numbered_queues(connection)? {
        let mut stats = QueueStats::new(queue);
        let mut rows = amounts.query([number])?;
        while let Some(row) = rows.next()? {
            let Some(state) = row::state(row::integer(row, 0)) else { continue };
            stats.counts[state.index()] = Count::up_to(request.cap, row::amount(row::integer(row, 1)));
        }
        if stats.count(JobState::Available).value > 0 {
            stats.oldest_available = oldest(connection, number)?.map(|run_at| now.since(run_at));
        }
        if stats.count(JobState::Scheduled).value > 0 {
            stats.parked = parked::numbers(connection, number, request.cap, now)?;
        }
        reply.queues.push(stats);
    }
    Ok(reply)
}

/// When the longest due available job of a queue became due: one look a priority.
fn oldest(connection: &Connection, queue: i64) -> Answer<Option<Timestamp>> {
    let mut select = connection.prepare_cached(include_str!("../sql/first_of_priority.sql"))?;
    let mut oldest: Option<i64> = None;
    for priority in Priority::all() {
        let first: Option<i64> =
            select.query_row(params![queue, priority.get()], |row| row.get(0)).optional()?;
        oldest = oldest.into_iter().chain(first).min();
    }
    Ok(oldest.map(Timestamp::from_millis))
}
