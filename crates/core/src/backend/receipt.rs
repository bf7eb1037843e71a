//! What a call that stores jobs or requests returns to its caller.

use crate::{Enqueued, JobId};

/// What became of one job that was enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The job that stands in the store now: the new one, or the existing one in its place. Of a refused job,
    /// the id it would have had.
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

/// A request to cancel, update or delete a job, stored in the caller's transaction.
///
/// It says that the request is stored, not what becomes of it. A worker applies it right after the
/// transaction has committed, or within about a second where no notification reaches it. If the job does not
/// allow the verb by then, the job gets the event `request refused`; a request for a job that does not exist
/// is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RequestReceipt {
    /// Number of the request in its store. Requests are applied in the order of these numbers, as far as
    /// their transactions have committed.
    pub request: u64,
}

impl RequestReceipt {
    /// Creates the receipt of the request with this number.
    pub const fn new(request: u64) -> Self {
        Self { request }
    }
}
