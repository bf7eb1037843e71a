//! Jobs that are stored together with the attempt's end, or not at all.

use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use gristmill_core::{Enqueue, Error, ErrorKind, Job, JobId, JobOptions, NewJob};

use super::JobContext;

impl JobContext {
    /// The most jobs one attempt may enqueue with its end.
    pub const MAX_FOLLOW_UPS: usize = 1_000;

    /// Enqueues a job in the act that finishes this attempt: both are stored, or neither.
    ///
    /// An attempt that fails, is stopped or loses its lease leaves nothing behind: its next run would enqueue the same
    /// jobs again. A job whose unique key is held is left out and does not spoil the finish.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] lists what is wrong with the job; [`ErrorKind::Refused`] beyond
    /// [`Self::MAX_FOLLOW_UPS`].
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
        if effects.len() >= Self::MAX_FOLLOW_UPS {
            let message =
                format!("an attempt may enqueue {} jobs with its end, not more", Self::MAX_FOLLOW_UPS);
            let hint = "enqueue a job that enqueues the others, or use `context.client().enqueue_many(..)`";
            return Err(Error::new(ErrorKind::Refused, message).with_hint(hint));
        }
        let id = job.id;
        effects.push(job);
        Ok(id)
    }

    pub(crate) fn take_effects(&self) -> Vec<NewJob> {
        if self.0.notes.get().is_none() {
            return Vec::new();
        }
        std::mem::take(&mut *self.effects())
    }

    fn effects(&self) -> MutexGuard<'_, Vec<NewJob>> {
        self.notes().effects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
