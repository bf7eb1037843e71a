//! What a backend answers to producers and workers: one struct an operation.

use std::sync::Arc;
use std::time::Duration;

use crate::{ClaimId, JobId, JobSpec, JobState, Lease, Name, Timestamp};

use super::Durability;

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ping {
    /// The store's clock.
    pub now: Timestamp,
    /// Name and version, such as `SQLite 3.50.2`.
    pub version: String,
    /// How durable an enqueue is.
    pub durability: Durability,
    /// Settings that matter, for reports.
    pub settings: Vec<(String, String)>,
}

impl Ping {
    /// An answer.
    pub fn new(now: Timestamp, version: impl Into<String>, durability: Durability) -> Self {
        Self { now, version: version.into(), durability, settings: Vec::new() }
    }
}

/// Where the schema is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MigrationReport {
    /// The version before; 0 is an empty store.
    pub from: u32,
    /// The version now.
    pub current: u32,
    /// The version this library brings. Below `current` if a later release has migrated the store.
    pub latest: u32,
    /// The names of the migrations that are missing, or were applied by this call.
    pub steps: Vec<String>,
}

/// What became of one job of an enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It was stored.
    Created,
    /// It was not: this job stands in its place.
    Existing {
        /// The job that is there.
        id: JobId,
        /// What they have in common.
        by: ExistingBy,
    },
    /// It was stored in place of this job.
    Replaced {
        /// The job that is gone.
        id: JobId,
    },
    /// It was not stored; its neighbours are not affected.
    Refused {
        /// Why.
        why: String,
    },
}

/// What a job that was already there has in common with the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingBy {
    /// The id: the same enqueue, repeated.
    Id,
    /// The unique key.
    UniqueKey,
}

/// What became of the jobs of an enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnqueueReply {
    /// One answer a job, in the order of the request.
    pub jobs: Vec<Enqueued>,
    /// The durability that was reached.
    pub durability: Durability,
}

impl EnqueueReply {
    /// An answer.
    pub fn new(jobs: Vec<Enqueued>, durability: Durability) -> Self {
        Self { jobs, durability }
    }
}

/// A leased job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FetchedJob {
    /// The right to run it.
    pub lease: Lease,
    /// Which attempt this is, from 1.
    pub attempt: u16,
    /// Crashes in a row before it.
    pub crashes: u16,
    /// When it became due.
    pub run_at: Timestamp,
    /// What to run; shared, so that no layer above copies it.
    pub spec: Arc<JobSpec>,
}

impl FetchedJob {
    /// A leased job.
    pub fn new(
        lease: Lease,
        attempt: u16,
        crashes: u16,
        run_at: Timestamp,
        spec: impl Into<Arc<JobSpec>>,
    ) -> Self {
        Self { lease, attempt, crashes, run_at, spec: spec.into() }
    }
}

/// What a fetch found of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchedQueue {
    /// The queue.
    pub queue: Name,
    /// Nothing more of it is available now.
    pub exhausted: bool,
    /// It is paused: nothing was fetched.
    pub paused: bool,
    /// When its next waiting job is due, where that is cheap to say.
    pub next_due: Option<Timestamp>,
}

impl FetchedQueue {
    /// A queue with more to fetch.
    pub fn new(queue: Name) -> Self {
        Self { queue, exhausted: false, paused: false, next_due: None }
    }
}

/// What a fetch leased.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FetchReply {
    /// The jobs, each queue's in its order: priority, due time, order of enqueueing.
    pub jobs: Vec<FetchedJob>,
    /// One answer a queue, in the order of the request.
    pub queues: Vec<FetchedQueue>,
    /// How long the leases hold, counted from the sending of the request, so that the network cannot stretch
    /// it.
    pub lease_expires_in: Duration,
}

impl FetchReply {
    /// An answer.
    pub fn new(jobs: Vec<FetchedJob>, queues: Vec<FetchedQueue>, lease_expires_in: Duration) -> Self {
        Self { jobs, queues, lease_expires_in }
    }
}

/// What a heartbeat brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RenewReply {
    /// How long the leases hold, counted from the sending of the request.
    pub expires_in: Duration,
    /// Claims among the known ones that the store no longer has.
    pub lost: Vec<ClaimId>,
    /// Claims the worker did not know; their jobs are available again, their attempts refunded.
    pub given_back: Vec<ClaimId>,
    /// Running jobs of this worker with a requested cancel: job and run.
    pub cancels: Vec<(JobId, u32)>,
    /// Queues of this worker that are paused now.
    pub paused: Vec<Name>,
}

/// What became of one run's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It was stored; the job is in this state.
    Accepted {
        /// Where it went.
        state: JobState,
    },
    /// The worker has ended this run before, perhaps with another decision: usually a repeat after a lost
    /// reply.
    AlreadyAccepted,
    /// The token does not hold: nothing was changed.
    LeaseLost {
        /// Why.
        why: LostWhy,
    },
    /// Another transaction has locked what this end needs: nothing was changed. Repeat this item; the others
    /// of the call have their own answers.
    Busy,
}

impl Finished {
    /// Whether the finish came too late: it is counted, and leaves [an event](crate::JobEvent::stale_finish)
    /// with its job.
    pub const fn is_stale(&self) -> bool {
        match self {
            Self::LeaseLost { .. } => true,
            Self::Accepted { .. } | Self::AlreadyAccepted | Self::Busy => false,
        }
    }
}

/// Why a lease was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostWhy {
    /// It expired and the job was rescued.
    Rescued,
    /// It was given back.
    GivenBack,
    /// The token was never granted for this run, or the job is gone.
    Unknown,
}

/// What became of the ends of runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FinishReply {
    /// One answer an item, in the order of the request.
    pub items: Vec<Finished>,
}

impl FinishReply {
    /// An answer.
    pub fn new(items: Vec<Finished>) -> Self {
        Self { items }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was stored.
    Accepted,
    /// The token does not hold: nothing was stored.
    LeaseLost,
}
