//! Partitions of `jobs`, `attempts`, `records` and `logs`, by the time at which jobs were made.
//!
//! Completed jobs are by far the most, and deleting them one by one costs more than running them: a partition that the
//! default retention has passed is dropped with all of them, and the few jobs that stay move to the DEFAULT partition. A
//! partition covers [`WIDTH`], so there are five within a retention of a day, one ahead and DEFAULT: each statement locks
//! all of them, and up to eight are cheap.
//!
//! Where partitions cannot be made, because DEFAULT holds too much of their span or the functions are missing, everything
//! works in DEFAULT, and [`sweep`](crate::sweep) deletes job by job. What keeps a partition from being made or dropped is
//! logged and tried again; only an outage is an error.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gristmill_core::{Retention, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::{Answer, Fail};
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
/// A partition with more ended runs than this goes as a whole.
const MANY: i64 = 10_000;
/// Rows that move from DEFAULT to a new partition at most, under a lock of DEFAULT.
const MOVED: i64 = 10_000;
/// Jobs that move to DEFAULT from a partition that is dropped at most, under a lock of all.
const STAYING: i64 = 20_000;
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

    /// The one that an instant lies in.
    fn of(at: Timestamp) -> Self {
        let width = row::millis(WIDTH);
        let from = Timestamp::from_millis(at.as_millis() / width * width);
        Self { from, to: from + WIDTH }
    }

    fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
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
        let is_rotated = !is_overdue && has_many(session, first, last).await?;
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

/// Makes partitions ahead and drops those that are past; how many completed jobs went. By the store's own clock alone.
pub(crate) async fn rotate(inner: &Inner, session: &mut Session, now: Timestamp) -> Answer<usize> {
    let known = partitions(session).await?;
    make_ahead(session, &known, now).await?;
    let mut dropped = 0;
    for partition in known {
        let is_past = partition.to + Retention::default().completed <= now;
        if is_past && !inner.rotation.waits(partition.from.as_millis(), now) {
            dropped += drop_one(inner, session, partition, now).await?;
        }
    }
    Ok(dropped)
}

/// Makes the partition of this instant and the next one, by the server's clock.
pub(crate) async fn ensure_partitions(session: &mut Session) -> Answer<()> {
    let row = session.query_one(sql!("now"), &[&None::<i64>]).await?;
    let now = row::timestamp(&row, 0)?;
    let known = partitions(session).await?;
    make_ahead(session, &known, now).await
}

async fn make_ahead(session: &mut Session, known: &[Partition], now: Timestamp) -> Answer<()> {
    for wanted in [Partition::of(now), Partition::of(now + WIDTH)] {
        if known.iter().any(|partition| partition.overlaps(wanted)) {
            continue;
        }
        let (from, to) = (wanted.from.as_millis(), wanted.to.as_millis());
        for table in TABLES {
            let Some(row) =
                tried(session.query_opt(sql!("make_partition"), &[&table, &from, &to, &MOVED]).await)?
            else {
                return Ok(());
            };
            let outcome: &str = row.try_get(0)?;
            gristmill_core::log!(debug, table, %from, outcome, "a partition is made ahead");
            // A part of a partition would stay for ever.
            if outcome == "full" {
                break;
            }
        }
    }
    Ok(())
}

async fn drop_one(
    inner: &Inner,
    session: &mut Session,
    partition: Partition,
    now: Timestamp,
) -> Answer<usize> {
    let from = partition.from.as_millis();
    if tried(session.query_opt(sql!("watch_partition"), &[&from]).await)?.is_none() {
        return Ok(0);
    }
    let Some(row) = tried(session.query_opt(sql!("drop_partition"), &[&from, &STAYING]).await)? else {
        inner.rotation.wait(from, now + LOCK_PAUSE);
        return Ok(0);
    };
    match row.try_get::<_, &str>(0)? {
        "dropped" => {
            let (dropped, stayed): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            let locked_ms: f64 = row.try_get(3)?;
            gristmill_core::log!(debug, %from, dropped, stayed, locked_ms, "a partition past its retention is dropped");
            return Ok(usize::try_from(dropped).unwrap_or(0));
        }
        "many" => inner.rotation.wait(from, now + MANY_PAUSE),
        _ => inner.rotation.wait(from, now + LOCK_PAUSE),
    }
    Ok(0)
}

/// Takes an error of the server for "not now": pruning goes on row by row.
fn tried(answer: Answer<Option<Row>>) -> Answer<Option<Row>> {
    match answer {
        Err(Fail::Broken(error)) if error.as_db_error().is_some() => {
            gristmill_core::log!(warn, %error, "a partition cannot be made or dropped; jobs are deleted one by one");
            Ok(None)
        }
        answer => answer,
    }
}
