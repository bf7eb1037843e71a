//! What a handler may ask and say during one attempt.
//!
//! [`JobContext`] is shared by the handler and the executor. Its locks guard plain memory and are never held
//! over an await; none is taken while another is held.

mod follow_up;
mod log;
mod record;
mod transaction;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use gristmill_core::{Args, FetchedJob, JobId, Lease, Metadata, Name, Priority, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Client;
use crate::at_work::{AtWork, Working};
use crate::cancel::Cancel;
use follow_up::Effects;
use log::Log;
pub(crate) use transaction::Left;
use transaction::Slot;

/// One attempt of one job, as its handler sees it. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct JobContext(Arc<Attempt>);

/// What the executor and the handler share of an attempt: one allocation a job.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) job: FetchedJob,
    /// Shared by the attempts of a chunk: a count of owners that all threads change would cost more than the
    /// handle.
    pub(crate) client: Arc<Client>,
    pub(crate) cancel: Cancel,
    /// When the worker started the handler, by its own clock.
    pub(crate) started_at: Timestamp,
    /// When the attempt's timeout passes.
    pub(crate) deadline: Option<Instant>,
    /// Made when the handler first says something: most never do.
    notes: OnceLock<Box<Notes>>,
    /// Counts code of the attempt that cannot be stopped.
    at_work: OnceLock<Arc<AtWork>>,
}

/// What a handler says while it runs.
#[derive(Debug, Default)]
struct Notes {
    /// Follow-up jobs, stored if and only if the finish is accepted.
    effects: Mutex<Effects>,
    /// Lines that have not been stored yet.
    log: Mutex<Log>,
    transaction: Mutex<Slot>,
}

impl JobContext {
    pub(crate) fn new(
        job: FetchedJob,
        client: Arc<Client>,
        started_at: Timestamp,
        deadline: Option<Instant>,
    ) -> Self {
        Self(Arc::new(Attempt {
            job,
            client,
            cancel: Cancel::new(),
            started_at,
            deadline,
            notes: OnceLock::new(),
            at_work: OnceLock::new(),
        }))
    }

    /// Code of the attempt that cannot be stopped counts there.
    pub(crate) fn is_watched_by(&self, at_work: &Arc<AtWork>) {
        let _ = self.0.at_work.set(Arc::clone(at_work));
    }

    /// Such code begins; it ends when this is dropped.
    pub(crate) fn begin_work(&self) -> Option<Working> {
        self.0.at_work.get().map(AtWork::begin)
    }

    pub(crate) fn attempt_state(&self) -> &Arc<Attempt> {
        &self.0
    }

    fn notes(&self) -> &Notes {
        self.0.notes.get_or_init(Box::default)
    }

    /// Returns when the attempt should stop; see [`Self::cancellation`].
    ///
    /// ```
    /// # async fn work() {}
    /// async fn handle(context: gristmill_engine::JobContext) {
    ///     tokio::select! {
    ///         () = work() => {}
    ///         () = context.cancelled() => {} // clean up
    ///     }
    /// }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn cancelled(&self) {
        self.cancellation().cancelled_owned().await;
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.0.job.lease
    }

    /// The job's id.
    pub fn id(&self) -> JobId {
        self.0.job.lease.job
    }

    /// The job's kind.
    pub fn kind(&self) -> &Name {
        &self.0.job.spec.kind
    }

    /// The job's queue.
    pub fn queue(&self) -> &Name {
        &self.0.job.spec.queue
    }

    /// The job's priority.
    pub fn priority(&self) -> Priority {
        self.0.job.spec.priority
    }

    /// The job's args as they were given.
    pub fn args(&self) -> &Args {
        &self.0.job.spec.args
    }

    /// The job's tags.
    pub fn tags(&self) -> &[Name] {
        &self.0.job.spec.tags
    }

    /// What travels with the job.
    pub fn metadata(&self) -> &Metadata {
        &self.0.job.spec.metadata
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u16 {
        self.0.job.attempt
    }

    /// How many attempts the job gets, the first one included.
    pub fn max_attempts(&self) -> u16 {
        self.0.job.spec.max_attempts.get()
    }

    /// Number of this run of the job, from 1. Unlike the attempt it is never refunded or reset.
    pub fn run(&self) -> u32 {
        self.lease().run
    }

    /// When the job became due, by the store's clock.
    pub fn run_at(&self) -> Timestamp {
        self.0.job.run_at
    }

    /// When this attempt was started, by the worker's clock.
    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// How long the attempt may still take; `None` without a timeout.
    pub fn time_left(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// When the attempt's timeout passes, by the worker's clock; `None` without a timeout.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.time_left().map(|left| self.0.client.now() + left)
    }

    /// A text that is the same in every attempt of the job, for systems that recognise repeats.
    pub fn idempotency_key(&self) -> String {
        self.id().to_string()
    }

    /// The fencing token of this run, for systems that refuse an older one: of two runs of a job the later
    /// one's is the greater text. SQLite numbers the runs of a job anew after 4,194,303 of them; the text
    /// falls once then.
    pub fn token(&self) -> String {
        self.lease().fencing_token()
    }

    /// Signals that the attempt should stop: a cancel, its timeout, a lost lease or the end of the worker's
    /// grace.
    pub fn cancellation(&self) -> CancellationToken {
        self.0.cancel.token()
    }

    /// Whether the attempt should stop. Cheaper than [`Self::cancellation`]; for loops and blocking handlers.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancel.why().is_some()
    }

    /// The client the worker was built with, for enqueueing at once. For jobs that exist only if this
    /// attempt's end is accepted use [`Self::enqueue`].
    pub fn client(&self) -> &Client {
        &self.0.client
    }
}
