//! Jobs fetched one by one, without a worker's loops.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Error, ErrorKind, Finished, Lease, Name, Outcome, Output, classify};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::by_hand::ByHand;
use crate::by_hand::held::HeldRun;
use crate::cancel::StopWhy;
use crate::context::Attempt;
use crate::run_result::RunResult;
use crate::{Attempted, BoxError, Client, JobContext};

/// A job that was fetched by hand: the right to run one attempt of it. From [`Client::fetch`].
///
/// Its lease is renewed in the background as long as it lives. Say what became of it with one of the methods
/// that take it; dropped without a word it is given back, its attempt refunded.
#[must_use = "a job that is dropped is given back"]
pub struct Leased {
    context: JobContext,
    by_hand: Arc<ByHand>,
    /// Its end is stored, or on its way.
    ended: bool,
}

impl Client {
    /// Leases up to `max` available jobs of a queue (at most 1,000), for programs that want to run them by
    /// themselves: an empty answer means that there is none now. The client becomes a worker of its own for
    /// that, with a heartbeat in the background, until it is dropped.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) when the name is none; else the store's.
    ///
    /// # Cancel safety
    /// Dropped, what may have been leased is given back by the next heartbeat.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), gristmill_core::Error> {
    /// use gristmill_core::JobOptions;
    /// use gristmill_engine::Client;
    ///
    /// let client = Client::new(gristmill_memory::Memory::new());
    /// client.enqueue_raw("sum", "[1,2,3]", JobOptions::new()).await?;
    /// for job in client.fetch("default", 10).await? {
    ///     let numbers: Vec<i64> = job.decode()?;
    ///     job.complete(&numbers.iter().sum::<i64>()).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch(&self, queue: &str, max: usize) -> Result<Vec<Leased>, Error> {
        let queue = Name::new(queue)?;
        if max == 0 {
            return Ok(Vec::new());
        }
        let by_hand = self.by_hand().await?;
        let client = Arc::new(self.clone());
        let keep = |job| {
            let context = JobContext::new(job, client.clone(), self.now(), None);
            (
                context.attempt_state().clone() as Arc<dyn HeldRun>,
                Leased { context, by_hand: by_hand.clone(), ended: false },
            )
        };
        by_hand.fetch(&queue, max.min(1_000), keep).await
    }
}

impl Leased {
    /// The attempt: id, kind, args, metadata, attempt, token, progress, checkpoint, log and follow-up jobs.
    /// Its signal reports a cancel or the loss of the lease.
    pub fn context(&self) -> &JobContext {
        &self.context
    }

    /// Decodes the args.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) with serde's error; the job stays leased.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.context.args().decode().map_err(|error| {
            let type_name = std::any::type_name::<T>();
            Error::invalid(format!("args do not decode as {type_name}")).with_source(error)
        })
    }

    /// Renews the lease now, instead of with the next heartbeat; answers whether it still holds.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Dropped, it is renewed or not.
    pub async fn renew(&self) -> Result<bool, Error> {
        self.by_hand.renew(self.context.lease()).await
    }

    /// The job is completed, with this output.
    ///
    /// # Errors
    /// As [`Self::finish`].
    ///
    /// # Cancel safety
    /// As [`Self::finish`].
    pub async fn complete<T: Serialize + Sync + ?Sized>(self, output: &T) -> Result<Finished, Error> {
        let output = Some(Output::encode(output));
        self.finish(Outcome::Completed { output }).await
    }

    /// The attempt failed. What a [`JobError`](gristmill_core::JobError) anywhere in the error says, else the
    /// retry policy, decides what becomes of the job.
    ///
    /// # Errors
    /// As [`Self::finish`].
    ///
    /// # Cancel safety
    /// As [`Self::finish`].
    pub async fn fail(self, error: impl Into<BoxError>) -> Result<Finished, Error> {
        let outcome = {
            let error = error.into();
            let error: &(dyn std::error::Error + 'static) = &*error;
            classify(error)
        };
        self.finish(outcome).await
    }

    /// The job shall run later; costs no attempt.
    ///
    /// # Errors
    /// As [`Self::finish`].
    ///
    /// # Cancel safety
    /// As [`Self::finish`].
    pub async fn snooze(self, after: Duration) -> Result<Finished, Error> {
        self.finish(Outcome::Snoozed { after }).await
    }

    /// The job is stopped on purpose: it ends `cancelled`.
    ///
    /// # Errors
    /// As [`Self::finish`].
    ///
    /// # Cancel safety
    /// As [`Self::finish`].
    pub async fn cancel(self, reason: impl Into<String>) -> Result<Finished, Error> {
        self.finish(Outcome::Cancelled { reason: reason.into() }).await
    }

    /// The job is given up: it ends `discarded`.
    ///
    /// # Errors
    /// As [`Self::finish`].
    ///
    /// # Cancel safety
    /// As [`Self::finish`].
    pub async fn discard(self, reason: impl Into<String>) -> Result<Finished, Error> {
        self.finish(Outcome::Discarded { reason: reason.into() }).await
    }

    /// Gives the lease back now and waits until that is stored; costs no attempt.
    ///
    /// # Errors
    /// As [`Self::finish`].
    ///
    /// # Cancel safety
    /// As [`Self::finish`].
    pub async fn release(mut self) -> Result<Finished, Error> {
        let ended = RunResult::released(&self.context);
        self.store(ended).await
    }

    /// Stores any outcome, with log lines and follow-up jobs. Of an end that the store refuses in full, long
    /// words, the output and at last the follow-up jobs are left out, step by step. Without them a completed
    /// attempt has failed.
    ///
    /// # Errors
    /// The store's; then the job is given back. That the lease was lost is an answer.
    ///
    /// # Cancel safety
    /// Dropped, the outcome is stored, or the job is given back.
    pub async fn finish(mut self, outcome: Outcome) -> Result<Finished, Error> {
        if self.context.has_transaction() {
            let message =
                format!("job {} was fetched by hand: it cannot end with a transaction", self.context.id());
            return Err(Error::new(ErrorKind::Refused, message)
                .with_hint("run it in a worker, or write without the `Tx` extractor"));
        }
        self.context.flush_log().await;
        let ended = RunResult::of(0, &self.context, Attempted::from(outcome), None);
        self.store(ended).await
    }

    async fn store(&mut self, ended: RunResult) -> Result<Finished, Error> {
        let finished = self.by_hand.finish(ended).await?;
        self.ended = true;
        Ok(finished)
    }
}

impl HeldRun for Attempt {
    fn lease(&self) -> &Lease {
        &self.job.lease
    }

    fn stop(&self, why: StopWhy) {
        self.cancel.stop(why);
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if !self.ended {
            self.by_hand.give_back(self.context.lease().clone());
        }
    }
}

impl fmt::Debug for Leased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leased")
            .field("id", &self.context.id())
            .field("kind", self.context.kind())
            .field("attempt", &self.context.attempt())
            .finish_non_exhaustive()
    }
}
