//! What an enqueue returns to its caller.

use crate::{Enqueued, JobId};

/// What became of one job that was enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The job that stands in the store now: the new one, or the existing one in its place. Of a refused job, the id it
    /// would have had.
    pub id: JobId,
    /// Whether it was created, existed, replaced another one or was refused.
    pub enqueued: Enqueued,
}

impl Receipt {
    /// The receipt of the job that was sent with this id.
    pub fn new(sent: JobId, enqueued: Enqueued) -> Self {
        let id = match &enqueued {
            Enqueued::Existing { id, .. } => *id,
            Enqueued::Created | Enqueued::Replaced { .. } | Enqueued::Refused { .. } => sent,
        };
        Self { id, enqueued }
    }

    /// Whether a new job was stored.
    pub fn is_new(&self) -> bool {
        matches!(self.enqueued, Enqueued::Created | Enqueued::Replaced { .. })
    }
}
