//! Queues, workers and counts: answered from narrow tables, whatever history there is.

use std::collections::HashMap;

use gristmill_core::{
    Call, Count, JobFilter, JobState, Priority, QueueRecord, QueueStats, StatsReply, StatsRequest, Timestamp,
    WorkerRecord,
};
use gristmill_sql::Unread;
use tokio_postgres::Row;

use crate::error::{Answer, undecodable};
use crate::handle::Inner;
use crate::list::count_matches;
use crate::parked;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

pub(crate) async fn list_queues(inner: &Inner, _call: Call, _request: &()) -> Answer<Vec<QueueRecord>> {
    let mut session = inner.reads().await?;
    let queues = numbered_queues(&mut session).await?;
    Ok(queues.into_iter().map(|(_, queue)| queue).collect())
}

async fn numbered_queues(session: &mut Session) -> Answer<Vec<(i32, QueueRecord)>> {
    let read = |row: &Row| -> Answer<(i32, QueueRecord)> {
        let mut unread = Unread::default();
        let mut queue = QueueRecord::new(unread.name("name", row.try_get(1)?));
        queue.undecodable = unread.into_text();
        queue.paused_at = row::optional_timestamp(row, 2)?;
        queue.pause_reason = row.try_get(3)?;
        queue.paused_by = row.try_get(4)?;
        Ok((row.try_get(0)?, queue))
    };
    session.query(sql!("queues"), &[]).await?.iter().map(read).collect()
}

pub(crate) async fn list_workers(inner: &Inner, call: Call, _request: &()) -> Answer<Vec<WorkerRecord>> {
    let now = call.now.map(Timestamp::as_millis);
    let mut session = inner.reads().await?;
    session.query(sql!("workers"), &[&now]).await?.iter().map(read_worker).collect()
}

fn read_worker(row: &Row) -> Answer<WorkerRecord> {
    let mut unread = Unread::default();
    let lease = row::duration(row::get(row, 5)?);
    let label: String = row::get(row, 1)?;
    let mut worker =
        WorkerRecord::new(row::worker_id(row::get(row, 0)?), label, row::timestamp(row, 2)?, lease);
    worker.heartbeat_at = row::timestamp(row, 3)?;
    worker.lease_expires_at = row::timestamp(row, 4)?;
    worker.slots = gristmill_sql::count32(row::get(row, 6)?);
    worker.queues = unread.names("queues", row.try_get(7)?);
    worker.kinds = unread.names("kinds", row.try_get(8)?);
    worker.running = row::amount(row::get(row, 9)?);
    worker.undecodable = unread.into_text();
    Ok(worker)
}

pub(crate) async fn count(
    inner: &Inner,
    call: Call,
    (filter, cap): &(JobFilter, Option<u64>),
) -> Answer<Count> {
    let mut session = inner.reads().await?;
    if filter.is_by_place() {
        return Ok(Count::up_to(*cap, count_by_place(inner, &mut session, filter, *cap).await?));
    }
    let patience = if cap.is_none() { call.patience() * 3 } else { call.patience() };
    count_matches(inner, &mut session, filter, *cap, patience).await
}

async fn count_by_place(
    inner: &Inner,
    session: &mut Session,
    filter: &JobFilter,
    cap: Option<u64>,
) -> Answer<u64> {
    let queues = match filter.queues.as_slice() {
        [] => None,
        names => Some(inner.names.look_up(session, names).await?.into_iter().flatten().collect()),
    };
    let states = if filter.states.is_empty() { JobState::ALL } else { filter.states.as_slice() };
    let amounts = amounts(session, states, queues, (cap, cap)).await?;
    Ok(amounts.into_iter().fold(0, |sum: u64, (_, amount)| sum.saturating_add(amount)))
}

/// How many jobs are in which queue and state. Beyond the first cap a number need not be exact, and beyond
/// the second not all of them together.
async fn amounts(
    session: &mut Session,
    states: &[JobState],
    queues: Option<Vec<i32>>,
    (cap, cap_of_all): (Option<u64>, Option<u64>),
) -> Answer<Vec<((i32, JobState), u64)>> {
    let states: Vec<i16> = states.iter().copied().map(row::state_number).collect();
    // One more tells whether there are more.
    let limit = |cap: Option<u64>| cap.map(|cap| i64::try_from(cap.saturating_add(1)).unwrap_or(i64::MAX));
    let (limit, limit_of_all) = (limit(cap), limit(cap_of_all));
    let mut amounts = Vec::new();
    for row in session.query(sql!("counts"), &[&states, &queues, &limit, &limit_of_all]).await? {
        if let Some(state) = row::state(row.try_get(1)?) {
            amounts.push(((row::get(&row, 0)?, state), row::amount(row::get(&row, 2)?)));
        }
    }
    Ok(amounts)
}

pub(crate) async fn stats(inner: &Inner, call: Call, request: &StatsRequest) -> Answer<StatsReply> {
    let mut session = inner.reads().await?;
    session.begin_snapshot().await?;
    let queues = numbered_queues(&mut session).await?;
    let amounts = amounts(&mut session, JobState::ALL, None, (request.cap, None)).await?;
    let amounts: HashMap<(i32, JobState), u64> = amounts.into_iter().collect();
    let Due { now, oldest, stale } = due(&mut session, call).await?;
    let mut parked = parked::kinds(&mut session, None, request.cap).await?;
    session.commit().await?;

    let mut reply = StatsReply::default();
    reply.stale_finishes = stale;
    for (number, queue) in queues {
        let mut stats = QueueStats::new(queue);
        for state in JobState::ALL.iter().copied() {
            let amount = amounts.get(&(number, state)).copied().unwrap_or(0);
            stats.counts[state.index()] = Count::up_to(request.cap, amount);
        }
        stats.oldest_available = oldest.get(&number).map(|run_at| now.since(*run_at));
        let mine = parked.remove(&number).unwrap_or_default();
        stats.parked = mine.into_iter().map(|known| known.report(request.cap, now)).collect();
        reply.queues.push(stats);
    }
    Ok(reply)
}

/// What the statistics need besides amounts.
struct Due {
    now: Timestamp,
    /// When the longest due available job of a queue became due.
    oldest: HashMap<i32, Timestamp>,
    stale: u64,
}

async fn due(session: &mut Session, call: Call) -> Answer<Due> {
    let given = call.now.map(Timestamp::as_millis);
    let (first, last) = (i32::from(Priority::FIRST.get()), i32::from(Priority::LAST.get()));
    let mut due = None;
    let mut oldest = HashMap::new();
    for row in session.query(sql!("oldest"), &[&first, &last, &given]).await? {
        let at = row::timestamp(&row, 1)?;
        match row.try_get::<_, Option<i32>>(0)? {
            Some(queue) => drop(oldest.insert(queue, at)),
            None => due = Some((at, row::amount(row.try_get(2)?))),
        }
    }
    let (now, stale) = due.ok_or_else(|| undecodable("time"))?;
    Ok(Due { now, oldest, stale })
}
