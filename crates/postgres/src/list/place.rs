//! The places of jobs as a walk looks at them.

use gristmill_core::{JobState, Order};
use uuid::Uuid;

use crate::statement::Sql;

/// A statement that looks at jobs or a place, with a cursor, an order and a limit.
macro_rules! behind {
    ($order:expr, $file:literal, $limit:literal) => {
        Sql(match $order {
            Order::OldestFirst => {
                concat!(include_str!($file), "WHERE id > $1::uuid ORDER BY id LIMIT $", $limit, "::int8")
            }
            Order::NewestFirst => {
                concat!(include_str!($file), "WHERE id < $1::uuid ORDER BY id DESC LIMIT $", $limit, "::int8")
            }
        })
    };
}

/// Looks at what the rows of jobs tell, by their ids; the list lets a partitioned table find the one
/// partition of each.
pub(super) const JOBS_BY_ID: Sql = Sql(concat!(
    "WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id)\n",
    include_str!("../../sql/walk_jobs.sql"),
    "JOIN wanted ON wanted.id = looked.id WHERE looked.id = ANY ($1)"
));

/// Looks at what the rows of jobs tell, one after the other.
pub(super) fn jobs(order: Order) -> Sql {
    behind!(order, "../../sql/walk_jobs.sql", 7)
}

/// A place that holds all jobs of some state, though others, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Ready,
    Waiting,
    Claims,
    Runs,
    Cancelled,
    Discarded,
}

/// Rows of a place: ids in the order of a walk, and where what is certain ends, if there is more.
pub(super) struct Seen {
    pub(super) ids: Vec<Uuid>,
    pub(super) end: Option<Uuid>,
}

impl Place {
    pub(super) fn of(state: JobState) -> Self {
        match state {
            JobState::Available => Self::Ready,
            JobState::Suspended | JobState::Scheduled | JobState::Retryable => Self::Waiting,
            JobState::Running => Self::Claims,
            JobState::Completed => Self::Runs,
            JobState::Cancelled => Self::Cancelled,
            JobState::Discarded => Self::Discarded,
        }
    }

    /// Whether all that is there is in one of these states.
    pub(super) fn tells(self, states: &[JobState]) -> bool {
        match self {
            Self::Ready | Self::Cancelled | Self::Discarded => true,
            Self::Waiting => [JobState::Suspended, JobState::Scheduled, JobState::Retryable]
                .iter()
                .all(|state| states.contains(state)),
            Self::Claims | Self::Runs => false,
        }
    }

    pub(super) fn sql(self, order: Order) -> Sql {
        match self {
            Self::Ready => behind!(order, "../../sql/walk_ready.sql", 2),
            Self::Waiting => behind!(order, "../../sql/walk_waiting.sql", 2),
            Self::Claims => behind!(order, "../../sql/walk_claims.sql", 2),
            Self::Runs => behind!(order, "../../sql/walk_runs.sql", 2),
            Self::Cancelled => behind!(order, "../../sql/walk_cancelled.sql", 2),
            Self::Discarded => behind!(order, "../../sql/walk_discarded.sql", 2),
        }
    }
}

impl Seen {
    /// What is certain of a place's next rows. Where there are as many as could be, the last id may have more
    /// of them, and is left to the next look; unless there is no other, or the walk would never go on.
    pub(super) fn of(mut ids: Vec<Uuid>, limit: usize) -> Self {
        let Some(last) = ids.last().copied().filter(|_| ids.len() >= limit) else {
            return Self { ids, end: None };
        };
        ids.retain(|id| *id != last);
        if ids.is_empty() {
            ids.push(last);
        }
        let end = ids.last().copied();
        Self { ids, end }
    }
}
