//! What a handler may ask and say during one attempt.

mod cancel;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gristmill_core::{FetchedJob, JobId, Lease, Metadata, Name, NewJob, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use cancel::Cancel;

use crate::Client;

/// One attempt of one job, as its handler sees it. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct JobContext(Arc<Attempt>);

/// What the executor and the handler share of an attempt: one allocation a job.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) job: FetchedJob,
    pub(crate) client: Client,
    pub(crate) cancel: Cancel,
    /// When the worker started the handler, by its own clock.
    pub(crate) started_at: Timestamp,
    /// When the attempt's timeout passes.
    pub(crate) deadline: Option<Instant>,
    /// Follow-up jobs, stored if and only if the finish is accepted.
    effects: Mutex<Vec<NewJob>>,
}

impl JobContext {
    pub(crate) fn new(
        job: FetchedJob,
        client: Client,
        started_at: Timestamp,
        deadline: Option<Instant>,
    ) -> Self {
        Self(Arc::new(Attempt {
            job,
            client,
            cancel: Cancel::new(),
            started_at,
            deadline,
            effects: Mutex::default(),
        }))
    }

    pub(crate) fn attempt_state(&self) -> &Attempt {
        &self.0
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

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u16 {
        self.0.job.attempt
    }

    /// How many attempts the job gets, the first one included.
    pub fn max_attempts(&self) -> u16 {
        self.0.job.spec.max_attempts.get()
    }

    /// What travels with the job.
    pub fn metadata(&self) -> &Metadata {
        &self.0.job.spec.metadata
    }

    /// How long the attempt may still take; `None` without a timeout.
    pub fn time_left(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// A text that is the same in every attempt of the job, for systems that recognise repeats.
    pub fn idempotency_key(&self) -> String {
        self.id().to_string()
    }

    /// The fencing token of this run, for systems that refuse an older one.
    pub fn token(&self) -> String {
        self.lease().fencing_token()
    }

    /// Signals that the attempt should stop: a cancel, its timeout, a lost lease or the end of the worker's grace.
    pub fn cancellation(&self) -> CancellationToken {
        self.0.cancel.token()
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.0.job.lease
    }

    /// Adds a follow-up job, stored if and only if this attempt's finish is accepted.
    pub(crate) fn add_effect(&self, job: NewJob) {
        self.effects().push(job);
    }

    pub(crate) fn take_effects(&self) -> Vec<NewJob> {
        std::mem::take(&mut *self.effects())
    }

    fn effects(&self) -> MutexGuard<'_, Vec<NewJob>> {
        self.0.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
