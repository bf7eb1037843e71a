//! Partitions of `jobs`, `attempts`, `records` and `logs`, by the time at which jobs were made.

use gristmill_core::{Retention, Timestamp};
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::place::LATE;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// A partition with more ended runs than this goes as a whole.
const MANY: i64 = 10_000;

/// A part of the line of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Uuid,
    /// The first id behind it.
    pub(crate) to: Uuid,
    /// Its completed jobs go with their partition.
    pub(crate) is_rotated: bool,
}

/// The line of ids from one to before another, cut where partitions begin and end.
pub(crate) async fn spans(session: &mut Session, now: Timestamp, from: Uuid, to: Uuid) -> Answer<Vec<Span>> {
    let mut spans = Vec::new();
    let mut at = from;
    for row in session.query(sql!("partitions"), &[]).await? {
        let (first, end): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
        let (first, last) = (first.max(at), end.min(to));
        if first >= last {
            continue;
        }
        if at < first {
            spans.push(Span { from: at, to: first, is_rotated: false });
        }
        // One that could not go when it was time does not keep its jobs for ever.
        let is_overdue = row::made_at(end) + (Retention::default().completed + LATE) <= now;
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

/// Makes partitions ahead and drops those that are past; how many completed jobs went.
pub(crate) async fn rotate(_inner: &Inner, _session: &mut Session, _now: Timestamp) -> Answer<usize> {
    Ok(0)
}
