//! A job as a transaction sees it.

use gristmill_core::{JobId, JobSpec, JobState, Timestamp};

/// A job as the caller's transaction sees it: what it has written itself, and what others have committed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutboxJob {
    /// Its id.
    pub id: JobId,
    /// Where it is.
    pub state: JobState,
    /// What was enqueued.
    pub spec: JobSpec,
    /// Attempts spent; the current one included while it runs.
    pub attempt: u16,
    /// When it is, or was last, due.
    pub run_at: Timestamp,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it ended; `None` while it is not terminal.
    pub finished_at: Option<Timestamp>,
}
