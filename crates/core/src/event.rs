//! Facts that hooks receive, after they are stored.

use std::fmt;

use crate::{JobId, Name};

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It was stored.
    Enqueued,
    /// An attempt began.
    Started,
    /// It succeeded.
    Completed,
    /// An attempt failed; the job is retryable.
    Failed,
    /// Its handler asked to run later.
    Snoozed,
    /// It was stopped on purpose.
    Cancelled,
    /// It will not be tried again.
    Discarded,
    /// Its lease had expired and it was taken back.
    Rescued,
    /// A finish came too late: the lease had passed on.
    LeaseLost,
}

impl EventKind {
    /// The stable name, as in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Snoozed => "snoozed",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
            Self::Rescued => "rescued",
            Self::LeaseLost => "lease_lost",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fact about one job, published after it was stored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To which job.
    pub job: JobId,
    /// The job's kind, where the publisher knows it.
    pub job_kind: Option<Name>,
    /// The job's queue, where the publisher knows it.
    pub queue: Option<Name>,
    /// The attempt, where there was one.
    pub attempt: Option<u16>,
    /// The error or the reason, where there is one.
    pub reason: Option<String>,
}

impl Event {
    /// An event with nothing but its kind and job; the remaining members are public.
    pub fn new(kind: EventKind, job: JobId) -> Self {
        Self { kind, job, job_kind: None, queue: None, attempt: None, reason: None }
    }
}
