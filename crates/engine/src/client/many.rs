//! Many jobs at a time, in chunks.

use std::fmt;

use gristmill_core::{Enqueue, Error, Job, NewJob, batch_len};

use super::{Client, Receipt};

/// The most jobs of one call of the backend.
const CHUNK: usize = 1_000;

/// An enqueue of many jobs that ended in the middle: what is certain, what failed, and what is left to do.
///
/// Of the first thousand of [`Self::rest`] some or all may have been stored if the [error](Self::error) says
/// so; enqueueing the rest again with [`Client::enqueue_prepared`] is safe in any case, since the ids are the
/// same. It converts into [`Error`], so `?` works where the caller gives up.
pub struct PartlyEnqueued {
    /// What became of the jobs before, in their order.
    pub receipts: Vec<Receipt>,
    /// The jobs without an answer, in their order.
    pub rest: Vec<NewJob>,
    /// What went wrong.
    pub error: Error,
}

impl Client {
    /// Stores many jobs, a thousand or 8 MiB a call, in their order. All are checked before the first one is
    /// sent.
    ///
    /// One answer a job; a job that the store does not take is answered
    /// [`Refused`](gristmill_core::Enqueued::Refused) and does not affect its neighbours. Each call is stored
    /// atomically per job, not as a whole.
    ///
    /// # Errors
    /// [`PartlyEnqueued`] says which jobs were stored, which were not or perhaps not, and why. An invalid job
    /// fails everything before anything is sent, and its place is named.
    ///
    /// # Cancel safety
    /// Dropped, a prefix of the jobs is stored.
    pub async fn enqueue_many<J, I>(&self, jobs: I) -> Result<Vec<Receipt>, PartlyEnqueued>
    where
        J: Job,
        I: IntoIterator,
        I::Item: Into<Enqueue<J>>,
    {
        let prepared: Result<Vec<_>, _> = jobs
            .into_iter()
            .enumerate()
            .map(|(place, job)| {
                self.prepare(job).map_err(|error| Error::invalid(format!("job {}: {error}", place + 1)))
            })
            .collect();
        match prepared {
            Ok(prepared) => self.enqueue_prepared(prepared).await,
            Err(error) => Err(PartlyEnqueued { receipts: Vec::new(), rest: Vec::new(), error }),
        }
    }

    /// Stores jobs that were [prepared](Self::prepare), a thousand or 8 MiB a call. Repeating it with the
    /// same jobs is harmless: those that are there answer [`Existing`](gristmill_core::Enqueued::Existing) by
    /// their id.
    ///
    /// # Errors
    /// [`PartlyEnqueued`] says which jobs were stored, which were not or perhaps not, and why.
    ///
    /// # Cancel safety
    /// Dropped, a prefix of the jobs is stored.
    pub async fn enqueue_prepared(&self, mut jobs: Vec<NewJob>) -> Result<Vec<Receipt>, PartlyEnqueued> {
        let checked = jobs.iter().try_for_each(|job| {
            job.spec.check().map_err(|error| Error::invalid(format!("job {}: {error}", job.id)))
        });
        if let Err(error) = checked {
            return Err(PartlyEnqueued { receipts: Vec::new(), rest: jobs, error });
        }
        let mut receipts = Vec::with_capacity(jobs.len());
        while !jobs.is_empty() {
            let count = batch_len(jobs.iter().map(NewJob::bytes), CHUNK);
            let later = jobs.split_off(count);
            // A copy stays, so that the caller can send the same ids again after a failure.
            match self.send(jobs.clone()).await {
                Ok(answers) => receipts.extend(answers),
                Err(error) => {
                    jobs.extend(later);
                    return Err(PartlyEnqueued { receipts, rest: jobs, error });
                }
            }
            jobs = later;
        }
        Ok(receipts)
    }
}

impl fmt::Debug for PartlyEnqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartlyEnqueued")
            .field("receipts", &self.receipts.len())
            .field("rest", &self.rest.len())
            .field("error", &self.error)
            .finish()
    }
}

impl fmt::Display for PartlyEnqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, all) = (self.receipts.len(), self.receipts.len() + self.rest.len());
        if answered == 0 {
            f.write_str("no job was certainly stored")
        } else {
            write!(f, "{answered} of {all} jobs were stored")
        }
    }
}

impl std::error::Error for PartlyEnqueued {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<PartlyEnqueued> for Error {
    fn from(partly: PartlyEnqueued) -> Self {
        if partly.receipts.is_empty() {
            return partly.error;
        }
        let error = Self::new(partly.error.kind(), partly.to_string());
        match partly.error.hint().map(str::to_owned) {
            Some(hint) => error.with_hint(hint).with_source(partly.error),
            None => error.with_source(partly.error),
        }
    }
}
