//! What a backend answers to operators, to maintenance and to the inspection.

use std::time::Duration;

use crate::{Cursor, JobId, JobState, Name, QueueRecord, Timestamp};

/// What became of one job under an operator's act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Done,
    /// It is running. The cancel is stored, and its handler receives it.
    Requested,
    /// It had ended before.
    AlreadyTerminal,
    /// Another job holds its unique key.
    Conflict(JobId),
    /// The state it is in forbids it.
    Refused(JobState),
    /// There is no such job.
    NotFound,
}

impl Verdict {
    /// Whether the act was taken, and so leaves an event with the job where that is still there.
    pub const fn leaves_event(&self) -> bool {
        matches!(self, Self::Done | Self::Requested)
    }
}

/// The operator's acts, as a job's events name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Stop it on purpose.
    Cancel,
    /// Run it again, from attempt 1.
    Retry,
    /// Remove it.
    Delete,
    /// Change it.
    Update,
    /// Release it from its hold.
    ReleaseHold,
}

impl Verb {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Delete => "delete",
            Self::Update => "update",
            Self::ReleaseHold => "release_hold",
        }
    }
}

/// What became of the jobs under an operator's act.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VerbReply {
    /// One verdict a job.
    pub jobs: Vec<(JobId, Verdict)>,
    /// Where the next call begins, where a filter was given and more may match.
    pub next: Option<Cursor>,
}

/// What a round of maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Maintained {
    /// Jobs that were changed.
    pub done: u64,
    /// The limit was reached: call again.
    pub more: bool,
    /// When there will be something to do, where that is known.
    pub next_due: Option<Timestamp>,
    /// Something is due that this round could not change, since another transaction holds it: call again
    /// after a pause. `next_due` tells of what comes after it.
    pub blocked: bool,
}

impl Maintained {
    /// A round that changed `done` jobs and now finds the next thing due at `next_due`; `more` where that is
    /// not later than `now`.
    pub fn round(done: usize, next_due: Option<Timestamp>, now: Timestamp) -> Self {
        let more = next_due.is_some_and(|due| due <= now);
        Self { done: done as u64, more, next_due, blocked: false }
    }
}

/// A job that was taken back from a dead worker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rescued {
    /// Which.
    pub id: JobId,
    /// Its queue.
    pub queue: Name,
    /// Where it went.
    pub state: JobState,
}

impl Rescued {
    /// A job that was taken back.
    pub fn new(id: JobId, queue: Name, state: JobState) -> Self {
        Self { id, queue, state }
    }
}

/// What a rescue did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RescueReply {
    /// The jobs that were taken back.
    pub jobs: Vec<Rescued>,
    /// The limit was reached: call again.
    pub more: bool,
    /// When the next worker's lease ends, where one is alive.
    pub next_due: Option<Timestamp>,
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AuditReply {
    /// Jobs looked at.
    pub checked: u64,
    /// Jobs that were in no place and were made available again.
    pub repaired: Vec<JobId>,
    /// Where the next call begins; `None` when the whole store was looked at.
    pub next: Option<Cursor>,
}

/// A count that may end at a cap, or where counting on would take too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// The number, or as far as it was counted.
    pub value: u64,
    /// There may be more.
    pub capped: bool,
}

impl Count {
    /// The value, or the cap where there is more.
    pub fn up_to(cap: Option<u64>, value: u64) -> Self {
        let cap = cap.unwrap_or(u64::MAX);
        Self { value: value.min(cap), capped: value > cap }
    }

    /// As far as it was counted: there may be more.
    pub fn at_least(value: u64) -> Self {
        Self { value, capped: true }
    }
}

/// Numbers of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// The queue.
    pub queue: QueueRecord,
    /// Jobs by state, at [`JobState::index`].
    pub counts: [Count; 8],
    /// For how long its oldest available job has been due.
    pub oldest_available: Option<Duration>,
    /// Its parked jobs, kind by kind in the order of the names: no worker that met them has a handler for
    /// them. They are counted as scheduled, too.
    pub parked: Vec<ParkedKind>,
}

/// The parked jobs of one kind in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedKind {
    /// The kind.
    pub kind: Name,
    /// How many there are.
    pub count: Count,
    /// For how long the oldest has been due.
    pub oldest: Duration,
}

impl QueueStats {
    /// A queue without jobs.
    pub fn new(queue: QueueRecord) -> Self {
        Self { queue, counts: [Count::default(); 8], oldest_available: None, parked: Vec::new() }
    }

    /// The count of one state.
    pub fn count(&self, state: JobState) -> Count {
        self.counts[state.index()]
    }
}

/// Numbers of a store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StatsReply {
    /// One entry a queue, by name.
    pub queues: Vec<QueueStats>,
    /// Finishes that came after their lease had passed on.
    pub stale_finishes: u64,
}

/// One finding of a store's self-examination.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What was looked at.
    pub check: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub finding: String,
    /// What to do about it, where something is to be done.
    pub remedy: Option<String>,
}

impl Diagnosis {
    /// All is well.
    pub fn fine(check: impl Into<String>, finding: impl Into<String>) -> Self {
        Self { check: check.into(), ok: true, finding: finding.into(), remedy: None }
    }

    /// Something is to be done.
    pub fn trouble(check: impl Into<String>, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check: check.into(), ok: false, finding: finding.into(), remedy: Some(remedy.into()) }
    }
}
