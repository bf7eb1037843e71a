//! Numbers of queues, and who works: answered from narrow tables, whatever history lies in the file.

use gristmill_core::{
    Count, JobFilter, JobState, Name, Priority, QueueRecord, QueueStats, StatsReply, StatsRequest, Timestamp,
    WorkerRecord,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Answer;
use crate::list::count_matches;
use crate::row;

pub(crate) fn list_queues(connection: &Connection) -> Answer<Vec<QueueRecord>> {
    Ok(numbered_queues(connection)?.into_iter().map(|(_, queue)| queue).collect())
}

fn numbered_queues(connection: &Connection) -> Answer<Vec<(i64, QueueRecord)>> {
    let mut select = connection.prepare_cached(include_str!("../sql/queues.sql"))?;
    let rows = select.query_and_then([], |row| {
        let mut queue = QueueRecord::new(row::name(row, 1)?);
        queue.paused_at = row::optional_timestamp(row, 2)?;
        queue.pause_reason = row.get(3)?;
        queue.paused_by = row.get(4)?;
        Ok((row.get(0)?, queue))
    })?;
    rows.collect()
}

pub(crate) fn list_workers(connection: &Connection) -> Answer<Vec<WorkerRecord>> {
    let mut select = connection.prepare_cached(include_str!("../sql/workers.sql"))?;
    let rows = select.query_and_then([], read_worker)?;
    rows.collect()
}

fn read_worker(row: &Row<'_>) -> Answer<WorkerRecord> {
    let lease = row::duration(row.get(5)?);
    let label: String = row.get(1)?;
    let mut worker = WorkerRecord::new(row::worker_id(row, 0)?, label, row::timestamp(row, 2)?, lease);
    worker.heartbeat_at = row::timestamp(row, 3)?;
    worker.lease_expires_at = row::timestamp(row, 4)?;
    worker.slots = row::count32(row, 6)?;
    worker.queues = row::read_names(row::text(row, 7)?.unwrap_or_default());
    worker.kinds = row::read_names(row::text(row, 8)?.unwrap_or_default());
    worker.running = row::amount(row.get(9)?);
    Ok(worker)
}

pub(crate) fn count(connection: &Connection, filter: &JobFilter, cap: Option<u64>) -> Answer<Count> {
    let value = if filter.is_by_place() {
        count_by_place(connection, filter)?
    } else {
        count_matches(connection, filter, cap.unwrap_or(u64::MAX))?
    };
    Ok(Count::up_to(cap, value))
}

fn count_by_place(connection: &Connection, filter: &JobFilter) -> Answer<u64> {
    let mut select = connection.prepare_cached(include_str!("../sql/counts.sql"))?;
    let mut rows = select.query([])?;
    let mut total = 0;
    while let Some(row) = rows.next()? {
        let (queue, state): (Name, JobState) = (row::name(row, 1)?, row::state(row.get(2)?)?);
        let wanted = (filter.queues.is_empty() || filter.queues.contains(&queue))
            && (filter.states.is_empty() || filter.states.contains(&state));
        total += if wanted { row::amount(row.get(3)?) } else { 0 };
    }
    Ok(total)
}

pub(crate) fn stats(connection: &Connection, request: StatsRequest, now: Timestamp) -> Answer<StatsReply> {
    let mut reply = StatsReply::default();
    reply.stale_finishes = row::amount(
        connection
            .prepare_cached("SELECT value FROM meta WHERE name = 'stale_finishes'")?
            .query_row([], |row| row.get(0))?,
    );
    let mut amounts = connection.prepare_cached("SELECT state, amount FROM counts WHERE queue = ?1")?;
    for (number, queue) in numbered_queues(connection)? {
        let mut stats = QueueStats::new(queue);
        let mut rows = amounts.query([number])?;
        while let Some(row) = rows.next()? {
            let state = row::state(row.get(0)?)?;
            stats.counts[state.index()] = Count::up_to(request.cap, row::amount(row.get(1)?));
        }
        if stats.count(JobState::Available).value > 0 {
            stats.oldest_available = oldest(connection, number)?.map(|run_at| now.since(run_at));
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
