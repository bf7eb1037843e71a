//! One job at a time.

use bytes::Bytes;
use gristmill_core::{
    Args, BackendError, BackendErrorKind, Enqueue, EnqueueRequest, Enqueued, Error, ErrorKind, Event,
    EventKind, Job, JobOptions, NewJob, time_for_bytes,
};

use super::{Client, Receipt};

impl Client {
    /// Stores a job: by itself, or with options of this one enqueue (`Welcome { user_id: 7 }.delay(HOUR)`).
    ///
    /// When it returns, the job is as durable as the backend promises. A job whose unique key is held by
    /// another one is not stored; the receipt names the holder.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] lists everything that is wrong with the job; nothing was sent.
    /// [`ErrorKind::Refused`] when the store does not take it. Else the store's error, whose
    /// [`certainty`](Error::certainty) says whether the job may have been stored. To repeat safely then, keep
    /// the [prepared](Self::prepare) job: its id makes the repeat harmless.
    ///
    /// # Cancel safety
    /// Dropped, the job is stored or not, like after a lost reply.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), gristmill_core::Error> {
    /// use gristmill_core::{Job, JobExt};
    /// use gristmill_engine::Client;
    /// use std::time::Duration;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Welcome { user_id: i64 }
    /// impl Job for Welcome { const KIND: &'static str = "email.welcome"; type Output = (); }
    ///
    /// let client = Client::new(gristmill_memory::Memory::new());
    /// let hour = Duration::from_secs(3600);
    /// let receipt = client.enqueue(Welcome { user_id: 7 }.delay(hour).priority(-5)).await?;
    /// assert!(receipt.is_new());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn enqueue<J: Job>(&self, job: impl Into<Enqueue<J>>) -> Result<Receipt, Error> {
        self.enqueue_one(self.prepare(job)?).await
    }

    /// Stores a job without a Rust type: any kind, JSON as args.
    ///
    /// # Errors
    /// As [`Self::enqueue`].
    ///
    /// # Cancel safety
    /// As [`Self::enqueue`].
    pub async fn enqueue_raw(
        &self,
        kind: &str,
        json: impl Into<Bytes>,
        options: JobOptions,
    ) -> Result<Receipt, Error> {
        self.enqueue_one(self.prepare_raw(kind, json, options)?).await
    }

    /// Checks a job and gives it its id, without storing it. For enqueueing it with
    /// [`enqueue_prepared`](Self::enqueue_prepared), as often as need be: the id makes repeats harmless.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] lists everything that is wrong with the job.
    pub fn prepare<J: Job>(&self, job: impl Into<Enqueue<J>>) -> Result<NewJob, Error> {
        self.layered(job.into().prepare(self.mint_id())?)
    }

    /// As [`Self::prepare`], without a Rust type.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn prepare_raw(
        &self,
        kind: &str,
        json: impl Into<Bytes>,
        options: JobOptions,
    ) -> Result<NewJob, Error> {
        let args = Args::from_json(json).map_err(|error| Error::invalid(format!("args: {error}")))?;
        self.layered(options.prepare(self.mint_id(), kind, args)?)
    }

    fn layered(&self, mut job: NewJob) -> Result<NewJob, Error> {
        for layer in &self.0.layers {
            layer.0.prepare(&mut job)?;
            job.spec.check()?;
        }
        Ok(job)
    }

    async fn enqueue_one(&self, job: NewJob) -> Result<Receipt, Error> {
        let receipt = self.send(vec![job]).await?.pop();
        let receipt = receipt.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the store answered an enqueue without a word on the job")
        })?;
        match receipt.enqueued {
            Enqueued::Refused { why } => Err(Error::new(ErrorKind::Refused, why)),
            Enqueued::Created | Enqueued::Existing { .. } | Enqueued::Replaced { .. } => Ok(receipt),
        }
    }

    /// One call of the backend.
    pub(super) async fn send(&self, jobs: Vec<NewJob>) -> Result<Vec<Receipt>, Error> {
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        let events = self.events_of(&jobs);
        let time = time_for_bytes(jobs.iter().map(NewJob::bytes).sum());
        let request = EnqueueRequest::new(jobs);
        let reply = self.call_for(time, "enqueue", |backend, call| backend.enqueue(call, request)).await?;
        if reply.jobs.len() != ids.len() {
            let message = format!("`enqueue` answered {} of {} jobs", reply.jobs.len(), ids.len());
            return Err(BackendError::new(BackendErrorKind::Internal, message).maybe_stored().into());
        }
        let receipts: Vec<_> =
            ids.into_iter().zip(reply.jobs).map(|(id, enqueued)| Receipt::new(id, enqueued)).collect();
        for (event, receipt) in events.iter().zip(&receipts) {
            if receipt.is_new() {
                self.0.hooks.emit(event);
            }
        }
        Ok(receipts)
    }

    /// Empty if there is no hook.
    pub(super) fn events_of(&self, jobs: &[NewJob]) -> Vec<Event> {
        if self.0.hooks.is_empty() {
            return Vec::new();
        }
        let event = |job: &NewJob| {
            let mut event = Event::new(EventKind::Enqueued, job.id);
            event.job_kind = Some(job.spec.kind.clone());
            event.queue = Some(job.spec.queue.clone());
            event
        };
        jobs.iter().map(event).collect()
    }
}
