//! What a backend is asked: one struct an operation.
//!
//! The structs may gain members; each has a constructor with what it cannot do without, the other members are
//! public.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    Args, ClaimId, Cursor, Decision, Ending, JobFilter, JobId, Lease, LogLine, Name, NewJob, Output,
    Priority, RunError, Timestamp, When, WorkerId,
};

/// Jobs to store.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EnqueueRequest {
    /// In the order they shall stand, their ids ascending, as an [`IdSource`](crate::IdSource) makes them.
    pub jobs: Vec<NewJob>,
}

impl EnqueueRequest {
    /// Store these.
    pub fn new(jobs: Vec<NewJob>) -> Self {
        Self { jobs }
    }
}

/// How much of one queue a fetch wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueWant {
    /// The queue.
    pub queue: Name,
    /// At most this many jobs; zero is a look at the queue.
    pub max: usize,
    /// Only these priorities, both ends included; for lanes reserved for some jobs.
    pub priorities: Option<(Priority, Priority)>,
}

impl QueueWant {
    /// At most `max` jobs of any priority.
    pub fn new(queue: Name, max: usize) -> Self {
        Self { queue, max, priorities: None }
    }
}

/// Available jobs to lease.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FetchRequest {
    /// Who asks; it has registered.
    pub worker: WorkerId,
    /// The worker's number of this fetch; a repeat with the same number gets the same jobs.
    pub claim: ClaimId,
    /// From which queues, each taken for itself.
    pub queues: Vec<QueueWant>,
}

impl FetchRequest {
    /// Fetch.
    pub fn new(worker: WorkerId, claim: ClaimId, queues: Vec<QueueWant>) -> Self {
        Self { worker, claim, queues }
    }
}

/// A sign of life, which renews every lease of the worker.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RenewRequest {
    /// Whose.
    pub worker: WorkerId,
    /// Every claim the worker holds, every fetch it has in flight, and the numbers of the fetches that may
    /// begin while the renewal is in flight (the engine lists the next 32). A claim that is missing here was
    /// granted to a reply that never arrived, or an end of it could not be stored: it is given back.
    pub known_claims: Vec<ClaimId>,
}

impl RenewRequest {
    /// Renew.
    pub fn new(worker: WorkerId, known_claims: Vec<ClaimId>) -> Self {
        Self { worker, known_claims }
    }
}

/// One run's end.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FinishItem {
    /// Which run; its token must still hold.
    pub lease: Lease,
    /// What becomes of the job.
    pub decision: Decision,
    /// How the run is recorded.
    pub ending: Ending,
    /// What a completed job returned.
    pub output: Option<Output>,
    /// What went wrong.
    pub error: Option<RunError>,
    /// Why, in the handler's or the engine's words.
    pub reason: Option<String>,
    /// When the handler was started, by the worker's clock.
    pub started_at: Option<Timestamp>,
    /// Jobs the handler enqueued, stored if and only if the finish is accepted.
    pub effects: Vec<NewJob>,
}

impl FinishItem {
    /// An end without output, error or effects.
    pub fn new(lease: Lease, decision: Decision, ending: Ending) -> Self {
        Self {
            lease,
            decision,
            ending,
            output: None,
            error: None,
            reason: None,
            started_at: None,
            effects: Vec::new(),
        }
    }

    /// A success.
    pub fn complete(lease: Lease) -> Self {
        Self::new(lease, Decision::Complete, Ending::Completed)
    }

    /// A failure that is tried again after `delay` while attempts are left.
    pub fn fail(lease: Lease, delay: Duration, error: RunError) -> Self {
        Self { error: Some(error), ..Self::new(lease, Decision::RetryAfter(delay), Ending::Failed) }
    }

    /// The end of a run whose stored job this version cannot read: the job is discarded, so that it is set
    /// aside and kept, with a reason that says what of it is the trouble. A backend ends a job so in the
    /// fetch that meets it, and grants the others.
    pub fn undecodable(lease: Lease, what: &str) -> Self {
        let reason = Some(format!("undecodable: {what}"));
        Self { reason, ..Self::new(lease, Decision::Discard, Ending::Undecodable) }
    }

    /// A lease given back unrun.
    pub fn give_back(lease: Lease, after: Duration) -> Self {
        Self::new(lease, Decision::GiveBackAfter(after), Ending::Released)
    }
}

/// Ends of runs, many at once, each only if its token still holds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FinishRequest {
    /// The ends.
    pub items: Vec<FinishItem>,
}

impl FinishRequest {
    /// Finish these.
    pub fn new(items: Vec<FinishItem>) -> Self {
        Self { items }
    }
}

/// What a running attempt wants kept, fenced by its lease.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordRequest {
    /// Which run.
    pub lease: Lease,
    /// How far it is, in per cent; more than 100 counts as 100.
    pub progress: Option<u8>,
    /// Bytes the next attempt may start from; the last ones are kept. Those above
    /// [`RecordRequest::MAX_CHECKPOINT_BYTES`] are not, and the ones before stay.
    pub checkpoint: Option<Bytes>,
    /// Lines to add to its log; the newest [`RecordRequest::MAX_LOG_LINES`] of a run are kept.
    pub log: Vec<LogLine>,
    /// The number of the first of these lines among all of the run, from 1; the others follow. A line whose
    /// number is stored is not stored again, so a repeated request doubles none.
    pub first_line: u32,
}

impl RecordRequest {
    /// The most log lines that are kept of a run.
    pub const MAX_LOG_LINES: usize = 1_000;
    /// The most bytes of a checkpoint.
    pub const MAX_CHECKPOINT_BYTES: usize = 1024 * 1024;

    /// The numbers of the lines that a run keeps, given the newest: smaller ones go.
    pub fn kept_lines(newest: u32) -> std::ops::RangeInclusive<u32> {
        let most = u32::try_from(Self::MAX_LOG_LINES).unwrap_or(u32::MAX);
        newest.saturating_sub(most).saturating_add(1)..=newest
    }

    /// The lines with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &LogLine)> {
        (self.first_line..=u32::MAX).zip(&self.log)
    }

    /// A record of nothing yet.
    pub fn new(lease: Lease) -> Self {
        Self { lease, progress: None, checkpoint: None, log: Vec::new(), first_line: 1 }
    }
}

/// A worker that starts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RegisterWorker {
    /// Its incarnation, made anew at every start.
    pub worker: WorkerId,
    /// Host and process, for people.
    pub label: String,
    /// How long its leases hold without a renewal.
    pub lease: Duration,
    /// How many jobs it runs at once at most.
    pub slots: u32,
    /// From which queues it fetches.
    pub queues: Vec<Name>,
    /// The kinds it has handlers for. Its fetches lease no job of another kind, and park those they meet.
    /// Empty: it takes jobs of every kind.
    pub kinds: Vec<Name>,
}

impl RegisterWorker {
    /// A worker without queues or kinds yet.
    pub fn new(worker: WorkerId, label: impl Into<String>, lease: Duration) -> Self {
        Self { worker, label: label.into(), lease, slots: 1, queues: Vec::new(), kinds: Vec::new() }
    }
}

/// Which jobs an operator means. Exhaustive on purpose: a backend that does not know one would act on no job
/// in silence.
#[derive(Debug, Clone, PartialEq)]
pub enum Select {
    /// These.
    Ids(Vec<JobId>),
    /// All that match, in the order of their ids, a bounded number a call.
    Filter {
        /// Which.
        filter: JobFilter,
        /// Behind which job to begin.
        cursor: Option<Cursor>,
        /// How many jobs at most; zero means none.
        limit: usize,
    },
}

/// An operator's act on many jobs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VerbRequest {
    /// On which jobs.
    pub select: Select,
    /// Who acts, for the jobs' events.
    pub actor: Option<String>,
}

impl VerbRequest {
    /// On these jobs.
    pub fn ids(ids: Vec<JobId>) -> Self {
        Self { select: Select::Ids(ids), actor: None }
    }

    /// On a bounded number of the jobs that match.
    pub fn filter(filter: JobFilter, cursor: Option<Cursor>, limit: usize) -> Self {
        Self { select: Select::Filter { filter, cursor, limit }, actor: None }
    }

    /// Names the operator, for the events of the jobs. Default: no name.
    pub fn by(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }
}

/// What an update changes; members that are not set stay.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct JobPatch {
    /// New args.
    pub args: Option<Args>,
    /// A new priority.
    pub priority: Option<Priority>,
    /// A new time; [`When::Suspended`] is not allowed here and leaves the time as it is.
    pub when: Option<When>,
    /// A new bound of attempts.
    pub max_attempts: Option<std::num::NonZeroU16>,
}

/// ```
/// use gristmill_core::{JobPatch, Priority, When};
///
/// let soon = JobPatch::default().when(When::Now).priority(Priority::FIRST);
/// assert_eq!(soon.when, Some(When::Now));
/// ```
impl JobPatch {
    /// Sets new args.
    pub fn args(mut self, args: Args) -> Self {
        self.args = Some(args);
        self
    }

    /// Sets a new priority.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets a new time: [`When::Now`] to run as soon as a worker has a free slot.
    pub fn when(mut self, when: When) -> Self {
        self.when = Some(when);
        self
    }

    /// Sets a new bound of attempts.
    pub fn max_attempts(mut self, most: std::num::NonZeroU16) -> Self {
        self.max_attempts = Some(most);
        self
    }
}

/// Stops new fetches from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PauseRequest {
    /// Which queue; it need not have jobs yet.
    pub queue: Name,
    /// Why, for people.
    pub reason: Option<String>,
    /// Who.
    pub actor: Option<String>,
}

impl PauseRequest {
    /// Pause this queue.
    pub fn new(queue: Name) -> Self {
        Self { queue, reason: None, actor: None }
    }
}

/// Numbers of every queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsRequest {
    /// Each count ends here, marked as capped; `None` counts all.
    pub cap: Option<u64>,
}

impl StatsRequest {
    /// Counts up to one million.
    pub const DEFAULT_CAP: u64 = 1_000_000;

    /// Counts that end at `cap`.
    pub const fn new(cap: Option<u64>) -> Self {
        Self { cap }
    }
}

/// What to do with the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrateMode {
    /// Bring it up to date.
    Up,
    /// Only say where it is.
    Status,
}
