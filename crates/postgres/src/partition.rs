//! Partitions of `jobs`, `attempts`, `records` and `logs`, by the time at which jobs were made.
//!
//! Completed jobs are by far the most, and deleting them one by one costs more than running them: a partition
//! that the default retention has passed is dropped with all of them, and the few jobs that stay move to the
//! DEFAULT partition. A partition covers [`WIDTH`], so there are five within a retention of a day, one ahead
//! and DEFAULT: each statement locks all of them, and up to eight are cheap.
//!
//! Jobs with long retentions keep their partitions. The more of those there are, the wider the next one is
//! made: twice as wide for each that stays, so a retention of a month keeps seven of them and one of ten
//! years fourteen. There are never more than [`MOST`]. The completed jobs of a wide partition are deleted one
//! by one when it is their time.
//!
//! Where partitions cannot be made, because DEFAULT holds too much of their span or the functions are
//! missing, everything works in DEFAULT, and [`sweep`](crate::sweep) deletes job by job. What keeps a
//! partition from being made or dropped is tried again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gristmill_core::{Retention, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::place::LATE;
use crate::row;
use crate::session::Session;
use crate::statement::sql;
use crate::sweep::first_id;

/// The time a partition covers. Shorter ones drop sooner and cost each statement more locks.
const WIDTH: Duration = Duration::from_secs(6 * 3600);
/// The tables that are partitioned alike.
const TABLES: [&str; 4] = ["jobs", "attempts", "records", "logs"];
/// Partitions of a table at most, DEFAULT apart. A verb that looks for ids locks seven tables and indexes a
/// partition, and the lock table of a server with default settings has room for 140 locks of each of 100
/// connections.
pub(crate) const MOST: usize = 16;
/// A wider partition does not keep its completed jobs until it goes.
const WIDEST_ROTATED: Duration = Duration::from_secs(24 * 3600);
/// A partition with more ended runs than this goes as a whole.
const MANY: i64 = 10_000;
/// Rows that move from DEFAULT to a new partition at most, under a lock of DEFAULT.
const MOVED: i64 = 10_000;
/// Jobs that move to DEFAULT from a partition that is dropped at most, under a lock of all.
const STAYING: i64 = 10_000;
/// A drop that waits for jobs to end, or for a lock, is tried again after this.
const MANY_PAUSE: Duration = Duration::from_secs(15 * 60);
const LOCK_PAUSE: Duration = Duration::from_secs(2 * 60);

/// The partitions whose drop waits, and until when.
#[derive(Debug, Default)]
pub(crate) struct Rotation(Mutex<HashMap<i64, Timestamp>>);

impl Rotation {
    fn waits(&self, from_ms: i64, now: Timestamp) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, until| *until > now);
        waiting.contains_key(&from_ms)
    }

    /// No drop waits any more.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn wait(&self, from_ms: i64, until: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(from_ms, until);
    }
}

/// A part of the line of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Uuid,
    /// The first id behind it.
    pub(crate) to: Uuid,
    /// Its completed jobs go with their partition.
    pub(crate) is_rotated: bool,
}

/// When the jobs of a partition are made: from, and before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Partition {
    from: Timestamp,
    to: Timestamp,
}

impl Partition {
    fn read(row: &Row) -> Answer<Self> {
        Ok(Self { from: row::timestamp(row, 0)?, to: row::timestamp(row, 1)? })
    }

    /// Whether the default retention of all its jobs has passed.
    fn is_past(self, now: Timestamp) -> bool {
        self.to + Retention::default().completed <= now
    }

    fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// The partition to make next, so that the present and the next [`WIDTH`] are covered; `None` when they are,
/// or when there are enough partitions.
fn next_ahead(known: &[Partition], now: Timestamp) -> Option<Partition> {
    let width = row::millis(WIDTH);
    let mut from = Timestamp::from_millis(now.as_millis() / width * width);
    while let Some(covering) = known.iter().find(|partition| partition.contains(from)) {
        from = covering.to;
    }
    if from > now + WIDTH || known.len() >= MOST {
        return None;
    }
    let staying = known.iter().filter(|partition| partition.is_past(now)).count();
    let wide = from + WIDTH * (1_u32 << staying.min(MOST));
    // One that lies behind is not to be covered twice.
    let to = known.iter().map(|partition| partition.from).filter(|later| *later > from).fold(wide, Ord::min);
    Some(Partition { from, to })
}

async fn partitions(session: &mut Session) -> Answer<Vec<Partition>> {
    session.query(sql!("partitions"), &[]).await?.iter().map(Partition::read).collect()
}

/// The line of ids from one to before another, cut where partitions begin and end.
pub(crate) async fn spans(session: &mut Session, now: Timestamp, from: Uuid, to: Uuid) -> Answer<Vec<Span>> {
    let mut spans = Vec::new();
    let mut at = from;
    for partition in partitions(session).await? {
        let (first, last) = (first_id(partition.from).max(at), first_id(partition.to).min(to));
        if first >= last {
            continue;
        }
        if at < first {
            spans.push(Span { from: at, to: first, is_rotated: false });
        }
        // One that could not go when it was time does not keep its jobs for ever.
        let is_overdue = partition.to + (Retention::default().completed + LATE) <= now;
        let is_narrow = partition.to <= partition.from + WIDEST_ROTATED;
        let is_rotated = is_narrow && !is_overdue && has_many(session, first, last).await?;
        spans.push(Span { from: first, to: last, is_rotated });
        at = last;
    }
    if at < to {
        spans.push(Span { from: at, to, is_rotated: false });
    }
    Ok(spans)
}

async fn has_many(session: &mut Session, from: Uuid, to: Uuid) -> Answer<bool> {
    Ok(session.query_one(sql!("has_many_attempts"), &[&from, &to, &MANY]).await?.try_get(0)?)
}

/// Makes the partition of this instant and what is ahead of it, by the server's clock.
pub(crate) async fn ensure_partitions(session: &mut Session) -> Answer<()> {
    let row = session.query_one(sql!("now"), &[&None::<i64>]).await?;
    let now = row::timestamp(&row, 0)?;
    match make_ahead(session, now).await {
        Err(fail) if fail.is_of_server() => {
            gristmill_core::log!(warn, ?fail, "partitions cannot be made; jobs are deleted one by one");
            session.roll_back().await
        }
        answer => answer,
    }
}

/// Makes the partition of this instant and what is ahead of it.
pub(crate) async fn make_ahead(session: &mut Session, now: Timestamp) -> Answer<()> {
    if next_ahead(&partitions(session).await?, now).is_none() {
        return Ok(());
    }
    // Two that make partitions at once might make them of different widths.
    session.begin().await?;
    let schema = session.schema().to_owned();
    if session.query_one(sql!("lock_partitions"), &[&schema]).await?.try_get(0)? {
        let mut known = partitions(session).await?;
        while let Some(wanted) = next_ahead(&known, now) {
            make(session, wanted).await?;
            known.push(wanted);
        }
    }
    session.commit().await
}

async fn make(session: &mut Session, Partition { from, to }: Partition) -> Answer<()> {
    let (from, to) = (from.as_millis(), to.as_millis());
    for table in TABLES {
        let row = session.query_one(sql!("make_partition"), &[&table, &from, &to, &MOVED]).await?;
        let outcome: &str = row.try_get(0)?;
        gristmill_core::log!(debug, table, %from, outcome, "a partition is made ahead");
        // A part of a partition would stay for ever.
        if outcome == "full" || outcome == "enough" {
            break;
        }
    }
    Ok(())
}

/// What went with partitions.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    /// So many completed jobs.
    pub(crate) jobs: usize,
    /// How long the longest drop locked the tables (ms).
    pub(crate) longest_ms: Option<i64>,
}

/// Drops the partitions that are past. One that cannot be dropped does not keep the others; its error comes
/// in the end.
pub(crate) async fn drop_past(inner: &Inner, session: &mut Session, now: Timestamp) -> Answer<Dropped> {
    let mut dropped = Dropped::default();
    let mut failed = None;
    for partition in partitions(session).await? {
        if !partition.is_past(now) || inner.rotation.waits(partition.from.as_millis(), now) {
            continue;
        }
        match drop_one(inner, session, partition, now, &mut dropped).await {
            Err(fail) if fail.is_of_server() => {
                inner.rotation.wait(partition.from.as_millis(), now + LOCK_PAUSE);
                failed = failed.or(Some(fail));
            }
            answer => answer?,
        }
    }
    failed.map_or(Ok(dropped), Err)
}

async fn drop_one(
    inner: &Inner,
    session: &mut Session,
    partition: Partition,
    now: Timestamp,
    dropped: &mut Dropped,
) -> Answer<()> {
    let from = partition.from.as_millis();
    // Before each try: it may be the one that drops. What ends from here on stays.
    let (first, last) = (first_id(partition.from), first_id(partition.to));
    match session.execute(sql!("strike_span"), &[&first, &last]).await {
        Err(fail) if fail.is_end_of_turn() => {
            inner.rotation.wait(from, now + LOCK_PAUSE);
            return Ok(());
        }
        answer => answer?,
    }
    let mut row = session.query_one(sql!("drop_partition"), &[&from, &STAYING]).await?;
    if row.try_get::<_, &str>(0)? == "unwatched" {
        session.query_one(sql!("watch_partition"), &[&from]).await?;
        row = session.query_one(sql!("drop_partition"), &[&from, &STAYING]).await?;
    }
    match row.try_get::<_, &str>(0)? {
        "dropped" => {
            let (jobs, stayed): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            let locked_ms: f64 = row.try_get(3)?;
            gristmill_core::log!(debug, %from, jobs, stayed, locked_ms, "a partition past its retention is dropped");
            dropped.jobs += usize::try_from(jobs).unwrap_or(0);
            let locked_ms = row::millis(Duration::from_secs_f64(locked_ms.max(0.0) / 1_000.0));
            dropped.longest_ms = dropped.longest_ms.max(Some(locked_ms));
        }
        "many" => inner.rotation.wait(from, now + MANY_PAUSE),
        _ => inner.rotation.wait(from, now + LOCK_PAUSE),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
