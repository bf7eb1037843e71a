//! Jobs that are stored together with the attempt's end, or not at all.

use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use gristmill_core::{Enqueue, Error, ErrorKind, Job, JobId, JobOptions, NewJob};

use super::JobContext;

/// Follow-up jobs, and how many bytes they are.
#[derive(Debug, Default)]
pub(super) struct Effects {
    jobs: Vec<NewJob>,
    bytes: usize,
}

impl JobContext {
    /// The most jobs one attempt may enqueue with its end.
    pub const MAX_FOLLOW_UPS: usize = 1_000;
    /// The most bytes of such jobs: they are stored in one act, which holds up other ends for as long as it
    /// takes.
    pub const MAX_FOLLOW_UP_BYTES: usize = 32 * 1024 * 1024;

    /// Enqueues a job in the act that finishes this attempt: both are stored, or neither.
    ///
    /// An attempt that fails, is stopped or loses its lease leaves nothing behind: its next run would enqueue
    /// the same jobs again. A job whose unique key is held is left out and does not spoil the finish.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] lists what is wrong with the job; [`ErrorKind::Refused`] beyond
    /// [`Self::MAX_FOLLOW_UPS`] or [`Self::MAX_FOLLOW_UP_BYTES`].
    pub fn enqueue<J: Job>(&self, job: impl Into<Enqueue<J>>) -> Result<JobId, Error> {
        let job = self.client().prepare(job)?;
        self.follow_with(job)
    }

    /// As [`Self::enqueue`], without a Rust type: any kind, JSON as args.
    ///
    /// # Errors
    /// As [`Self::enqueue`].
    pub fn enqueue_raw(
        &self,
        kind: &str,
        json: impl Into<Bytes>,
        options: JobOptions,
    ) -> Result<JobId, Error> {
        let job = self.client().prepare_raw(kind, json, options)?;
        self.follow_with(job)
    }

    fn follow_with(&self, job: NewJob) -> Result<JobId, Error> {
        let mut effects = self.effects();
        let bytes = effects.bytes.saturating_add(job.bytes());
        let fault = if effects.jobs.len() >= Self::MAX_FOLLOW_UPS {
            format!("an attempt may enqueue {} jobs with its end, not more", Self::MAX_FOLLOW_UPS)
        } else if bytes > Self::MAX_FOLLOW_UP_BYTES {
            let mebibytes = Self::MAX_FOLLOW_UP_BYTES / (1024 * 1024);
            format!("an attempt may enqueue {mebibytes} MiB of jobs with its end, not more")
        } else {
            effects.bytes = bytes;
            let id = job.id;
            effects.jobs.push(job);
            return Ok(id);
        };
        let hint = "enqueue a job that enqueues the others, or use `context.client().enqueue_many(..)`";
        Err(Error::new(ErrorKind::Refused, fault).with_hint(hint))
    }

    pub(crate) fn take_effects(&self) -> Vec<NewJob> {
        if self.0.notes.get().is_none() {
            return Vec::new();
        }
        std::mem::take(&mut *self.effects()).jobs
    }

    fn effects(&self) -> MutexGuard<'_, Effects> {
        self.notes().effects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
