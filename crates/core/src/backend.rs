//! THE SEAM: what every store is asked, and what each answer means.

pub(crate) mod capability;
pub(crate) mod error;
pub(crate) mod hint;
pub(crate) mod operation;
pub(crate) mod receipt;
pub(crate) mod reply;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod transaction;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    AuditReply, BackendError, BackendTx, Capabilities, Capability, Change, Committed, Count, Cursor,
    Diagnosis, EnqueueReply, EnqueueRequest, FetchReply, FetchRequest, FinishReply, FinishRequest, JobEvent,
    JobFilter, JobId, JobPatch, JobRecord, Lease, ListRequest, Listener, Maintained, MigrateMode,
    MigrationReport, Name, Page, PauseRequest, Ping, QueueRecord, RecordRequest, Recorded, RegisterPage,
    RegisterQuery, RegisterWorker, RenewReply, RenewRequest, RescueReply, RunRecord, StatsReply,
    StatsRequest, Subscription, Timestamp, VerbReply, VerbRequest, WorkerId, WorkerRecord,
};

/// A future on the heap: what makes the seam object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The answer of an operation.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, BackendError>>;

/// What every call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Call {
    /// The instant to take for now instead of the store's clock. Tests only.
    pub now: Option<Timestamp>,
    /// How long the answer may take; after it the caller no longer listens, and the backend gives up what it
    /// has not begun. `None` is the backend's default.
    pub deadline: Option<Duration>,
}

impl Call {
    /// By the store's clock, within the backend's default deadline.
    pub const fn new() -> Self {
        Self { now: None, deadline: None }
    }

    /// As if it were `now`.
    pub const fn at(now: Timestamp) -> Self {
        Self { now: Some(now), deadline: None }
    }

    /// How long a look at many jobs goes on before it answers with what it has: a quarter of the deadline,
    /// 2.5 s by default. A count without a cap goes on three times as long.
    pub fn patience(&self) -> Duration {
        self.deadline.unwrap_or(Duration::from_secs(10)) / 4
    }

    /// Within `deadline`.
    pub const fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// What survives of an enqueue that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nothing outlives the process.
    Process,
    /// It outlives a crash of the process, not one of the machine.
    ProcessCrash,
    /// It outlives a loss of power.
    PowerLoss,
}

impl Durability {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "nothing outlives the process",
            Self::ProcessCrash => "survives a crash of the process",
            Self::PowerLoss => "survives a loss of power",
        }
    }
}

/// What ids are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IdContext {
    /// How far the store's clock is ahead of this machine's, in milliseconds.
    pub clock_offset_ms: i64,
}

/// A store of jobs: the storage seam. Object-safe, shared as `Arc<dyn Backend>`.
///
/// `gristmill-testkit` proves what stands here, case by case.
///
/// # Rules for every operation
/// * **Decisions are made in core, effects in backends.** What follows when a run or a job ends is an
///   [`End`](crate::End), what an operator's verb does an [`Act`](crate::Act). A backend computes it under
///   its lock and applies all of it; it decides nothing itself.
/// * **Every write of a run shows its token.** A token that does not hold changes nothing and answers a
///   value. Only the operator's verbs name a job by its id alone, and they leave an event.
/// * **Atomic per job.** What belongs to one job's operation happens whole or not at all, a finish with all
///   its consequences included. A batch may be cut by queue or partition; an error then answers for the whole
///   call and says so by [`Certainty::MaybeStored`](crate::Certainty::MaybeStored). One bad item never takes
///   its neighbours down.
/// * **What does not decode stands alone.** A stored value that this version cannot read never fails a call
///   as a whole. A fetch discards its job with the ending [`Undecodable`](crate::Ending::Undecodable) and
///   grants the others; a record shows what could be read and names the rest ([`JobRecord::undecodable`]);
///   numbers out of range count as the nearest that fits.
/// * **Called twice.** A repeat after a lost reply is safe: the same job ids, claim numbers and tokens give
///   the same answers without a second effect.
/// * **Crash in the middle.** After a restart each job is in exactly one place: waiting, available, held by a
///   claim, or ended.
/// * **Time is the store's.** [`Call::now`] replaces it in tests; durations of a request are added to it.
/// * **Everything is bounded.** Batches are cut at a thousand items by the caller, those of `finish` at four
///   thousand, pages and rounds by their limit; a limit of zero does nothing. A larger batch is done whole or
///   refused whole ([`Refused`](crate::BackendErrorKind::Refused)), never cut in silence.
/// * **Clocks may jump.** What is available stays so when the store's clock goes back; what waits comes no
///   earlier than that clock says.
/// * **Cancel safety.** Dropping the future of a call leaves it done or not done, like a lost reply.
pub trait Backend: Send + Sync + fmt::Debug + 'static {
    /// A short, stable name: `memory`, `sqlite`, ….
    fn name(&self) -> &'static str;

    /// What it promises beyond the contract. Constant; asks no server.
    fn capabilities(&self) -> Capabilities;

    /// What ids are to be made with. Cheap.
    fn id_context(&self) -> IdContext;

    /// The shortest lease that a worker may take, so that a renewal that waits for the store is in time.
    /// Default: any.
    fn shortest_lease(&self) -> Duration {
        Duration::ZERO
    }

    /// How many fetches of one worker it serves side by side with profit, as long as its queues have more
    /// than one fetch takes. Cheap; 1 for a store that does one thing at a time.
    fn fetches_abreast(&self) -> usize {
        1
    }

    /// Whether hints of what other processes do arrive at present. Cheap. While they do, workers look at idle
    /// queues and renew their leases less often; a backend that has lost its listening connection answers
    /// `false` until it listens again.
    fn hears_hints(&self) -> bool {
        self.capabilities().has(Capability::Notifications)
    }

    /// Whether the store answers, and what it says of itself. Changes nothing.
    fn ping(&self, call: Call) -> Reply<'_, Ping>;

    /// Examines the store's settings, schema and health. Changes nothing; may take a second.
    fn diagnose(&self, call: Call) -> Reply<'_, Vec<Diagnosis>>;

    /// Creates the schema, brings it up to date or says where it is. Atomic; two at once do it once. A schema
    /// of a later release is left as it is, and refused ([`SchemaNew`](crate::BackendErrorKind::SchemaNew))
    /// if it does not serve this program.
    fn migrate(&self, call: Call, mode: MigrateMode) -> Reply<'_, MigrationReport>;

    /// Stores jobs.
    ///
    /// *Order:* jobs of one call stand in the order of the request. *Unique:* of two jobs with one key in one
    /// queue that are not terminal only the first is stored, within a call, too; the other answers
    /// [`Existing`](crate::Enqueued::Existing) with the holder's id. *Twice:* a job whose id is there answers
    /// [`Existing`](crate::Enqueued::Existing) by id and changes nothing.
    fn enqueue(&self, call: Call, request: EnqueueRequest) -> Reply<'_, EnqueueReply>;

    /// Leases available jobs to a registered worker: each to one worker, its attempt and run counted up.
    ///
    /// *Order:* of each queue by priority, due time, order of enqueueing. A paused queue gives nothing.
    /// *Twice:* the same claim number answers the jobs of that claim that have not been finished. *Errors:*
    /// [`WorkerGone`](crate::BackendErrorKind::WorkerGone) when the worker is unknown or its lease has
    /// expired.
    ///
    /// *Kinds:* a worker that registered kinds gets jobs of these alone. A job of another kind that stands
    /// before them is parked: it becomes `scheduled` with the reason `no handler`, is due at no time and
    /// keeps its place, without a lease, an attempt, a run or an event, and a hint lets the other workers of
    /// the queue look. Parked jobs of the worker's kinds and priorities are leased before available ones, in
    /// the same order.
    ///
    /// A fetch renews nothing: its leases end with the worker's. `exhausted` is true only if nothing leasable
    /// is left. It must be true if the queue is not paused and gave fewer jobs than wanted; discarded jobs
    /// that could not be decoded count as given. A fetch that parked jobs or leased parked ones may leave it
    /// false. A fetch that wants none of a queue looks whether it has any. A `next_due` is never later than
    /// the true one. What another process made available may be seen a moment later, a minute at most, where
    /// looking for it at once is dear. A repeat ignores pauses, and is defined as long as its claim has an
    /// unfinished job. One that comes while the first call is under way may take jobs of queues of which the
    /// first took none; then it gives those of both.
    fn fetch(&self, call: Call, request: FetchRequest) -> Reply<'_, FetchReply>;

    /// Renews all leases of a worker by one narrow write, and brings back what it must know: lost claims,
    /// cancels, paused queues.
    ///
    /// A claim of the worker that the request does not list is given back with its attempts refunded.
    /// *Errors:* [`WorkerGone`](crate::BackendErrorKind::WorkerGone) as with `fetch`; an expired lease is
    /// never revived.
    ///
    /// A claim it gave back is `lost` when it turns up again; whether one that was empty, never granted or is
    /// finished is `lost`, too, is left open. A claim whose fetch is still under way is not given back, and
    /// of one that another transaction has locked a part may be left to a later renewal.
    fn renew(&self, call: Call, request: RenewRequest) -> Reply<'_, RenewReply>;

    /// Ends runs, each only if its token holds: outcome, output, unique key, claim, follow-up jobs, as one
    /// act per job.
    ///
    /// A lease whose time has passed still holds until a rescue has taken it: tokens decide, not clocks. A
    /// requested cancel wins over every decision. A retention of zero deletes the job in the same act, here
    /// and wherever a job ends. *Twice:* answers [`AlreadyAccepted`](crate::Finished::AlreadyAccepted),
    /// whatever decision it repeats, unless the job is gone since, or the record of that run
    /// ([`list_runs`](Self::list_runs)): then it is a lost lease. A wrong token on an ended run is a lost
    /// lease. A stale finish changes nothing, is counted and becomes an event of the job. An effect whose id
    /// or unique key is there is not stored and does not spoil the finish; the job's own key is free by then.
    /// An item that needs a row or key of a user's open transaction answers [`Busy`](crate::Finished::Busy)
    /// after a moment, and holds up no other item. The store's reason stands before the handler's.
    fn finish(&self, call: Call, request: FinishRequest) -> Reply<'_, FinishReply>;

    /// Begins a transaction in which a handler writes and its run ends; what it promises stands at
    /// [`BackendTx`].
    ///
    /// It need not look whether the lease holds: the finish does. Nothing of the job is locked until then.
    /// *Errors:* [`Unsupported`](crate::BackendErrorKind::Unsupported) without [`Capability::Transactions`].
    fn begin(&self, call: Call, lease: Lease) -> Reply<'_, Box<dyn BackendTx>> {
        // The answer of a backend without transactions needs neither.
        let _ = (call, lease);
        let error = BackendError::unsupported(self.name(), Capability::Transactions);
        Box::pin(async { Err(error) })
    }

    /// Keeps progress, checkpoint and log lines of a running attempt if its token holds.
    fn record(&self, call: Call, request: RecordRequest) -> Reply<'_, Recorded>;

    /// Makes a worker known, its lease starting now, and the kinds it has handlers for. *Twice:* renews while
    /// its lease holds; *errors:* [`WorkerGone`](crate::BackendErrorKind::WorkerGone) after, since an expired
    /// lease is never revived.
    fn register_worker(&self, call: Call, request: RegisterWorker) -> Reply<'_, ()>;

    /// Forgets a worker that has stopped; jobs it still holds are given back, refunded. Unknown ones are no
    /// error.
    fn retire_worker(&self, call: Call, worker: WorkerId) -> Reply<'_, ()>;

    /// Cancels jobs: a waiting or available one ends `cancelled` at once, atomically against fetch; of a
    /// running one the request is stored, and whatever its run ends with, it ends `cancelled`.
    fn cancel(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply>;

    /// Runs jobs again by hand: a terminal, scheduled or retryable one becomes available now with its
    /// attempts at 0; its history stays, its crashes are forgotten, its unique key is taken again or the
    /// verdict is [`Conflict`](crate::Verdict::Conflict). An available one stays as it is (`Done`); a running
    /// or suspended one is refused.
    fn retry(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply>;

    /// Removes jobs with their history. A running one is refused.
    fn delete(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply>;

    /// Changes waiting or available jobs. Others are refused. A new time leaves a suspended job held and
    /// makes any other scheduled or available.
    fn update(&self, call: Call, request: VerbRequest, patch: JobPatch) -> Reply<'_, VerbReply>;

    /// Releases suspended jobs: available now. Others are refused.
    fn release_hold(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply>;

    /// Makes due scheduled and retryable jobs available, at most `limit`, the longest due first. A job that
    /// another transaction holds is left out, and the answer says that the round was
    /// [`blocked`](Maintained::blocked).
    fn promote(&self, call: Call, limit: usize) -> Reply<'_, Maintained>;

    /// Takes back the jobs of workers whose lease has expired, at most about `limit`: first marks the workers
    /// dead, then ends their runs as crashed and puts back only what it itself ended. A dead worker is no
    /// longer listed, and nothing revives it, not even a clock that goes back. A claim whose worker is
    /// unknown counts as expired. Any worker may call it; two at once do it once. A round may pass its limit
    /// by the rest of a claim; one of zero only marks.
    fn rescue(&self, call: Call, limit: usize) -> Reply<'_, RescueReply>;

    /// Deletes terminal jobs past their retention, and registers that were forgotten
    /// [some minutes](crate::Register::KEPT_FORGOTTEN) ago, at most `limit` of each. Never touches another.
    fn prune(&self, call: Call, limit: usize) -> Reply<'_, Maintained>;

    /// Looks for jobs that are in no place, from `cursor` on, at most `limit`, and makes them available
    /// again. Finding one means a defect: it is there so that even then nothing is lost.
    fn audit(&self, call: Call, cursor: Option<Cursor>, limit: usize) -> Reply<'_, AuditReply>;

    /// Jobs by id, in the order of the ids; `None` for one that is not there.
    fn get(&self, call: Call, ids: Vec<JobId>) -> Reply<'_, Vec<Option<JobRecord>>>;

    /// A page of jobs that match, by id. Bounded work and bytes: a page may be short although more follows,
    /// and ends with the job that makes it reach [`MAX_BATCH_BYTES`](crate::MAX_BATCH_BYTES).
    fn list(&self, call: Call, request: ListRequest) -> Reply<'_, Page<JobRecord>>;

    /// The ended runs of a job, oldest first, at most the newest `limit`. Of a job that keeps coming back the
    /// first [`FIRST_KEPT`](RunRecord::FIRST_KEPT) and the newest [`NEWEST_KEPT`](RunRecord::NEWEST_KEPT) are
    /// kept, and those that a claim lists; the others go now and then, with their logs. Its latest checkpoint
    /// stays. Of the logs of all these runs the newest lines are shown, up to the one that makes them reach
    /// [`MAX_BATCH_BYTES`](crate::MAX_BATCH_BYTES).
    fn list_runs(&self, call: Call, id: JobId, limit: usize) -> Reply<'_, Vec<RunRecord>>;

    /// What happened to a job outside its leases, oldest first.
    fn list_events(&self, call: Call, id: JobId) -> Reply<'_, Vec<JobEvent>>;

    /// The checkpoint the latest attempt of a job left, if any.
    fn checkpoint(&self, call: Call, id: JobId) -> Reply<'_, Option<bytes::Bytes>>;

    /// Every queue that has, or had, jobs or is paused, by name.
    fn list_queues(&self, call: Call) -> Reply<'_, Vec<QueueRecord>>;

    /// Every registered worker, by the time it started.
    fn list_workers(&self, call: Call) -> Reply<'_, Vec<WorkerRecord>>;

    /// How many jobs match, counted up to `cap`.
    fn count(&self, call: Call, filter: JobFilter, cap: Option<u64>) -> Reply<'_, Count>;

    /// Numbers of every queue.
    fn stats(&self, call: Call, request: StatsRequest) -> Reply<'_, StatsReply>;

    /// Stops new fetches from a queue; what runs goes on. *Twice:* the newer reason stands.
    fn pause(&self, call: Call, request: PauseRequest) -> Reply<'_, ()>;

    /// Lets a paused queue go on. One that is not paused is no error.
    fn resume(&self, call: Call, queue: Name) -> Reply<'_, ()>;

    /// Writes registers, each with its effects as one act, if what stands there is as the change expects.
    ///
    /// [`commit_on`](crate::commit_on) decides under the lock; [`Change::check`] and [`Change::check_call`]
    /// are the bounds. *Atomic:* per change. *Order:* none. *Twice:* a change whose own stamp stands there
    /// answers [`Again`](Committed::Again) and stores nothing, forgotten or not, until the register is
    /// pruned. *Crash:* a change is whole or absent. A job of the effects whose id or unique key exists
    /// answers [`Existing`](crate::Enqueued::Existing) at its place. One whose unique key lies in an open
    /// transaction of another program makes its change [`Busy`](Committed::Busy) after a moment, and holds
    /// up no other.
    fn commit(&self, call: Call, changes: Vec<Change>) -> Reply<'_, Vec<Committed>>;

    /// A page of the registers of one space, by key or by due time. Forgotten ones are left out. Of registers
    /// that move meanwhile none that stays in its place is missing.
    fn list_registers(&self, call: Call, query: RegisterQuery) -> Reply<'_, RegisterPage>;

    /// Tells a listener of this process what may be worth a look, until the subscription is dropped. A hint
    /// is never the truth: without [`Capability::Notifications`] none ever comes.
    fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription;
}
