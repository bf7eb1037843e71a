//! A queue whose jobs run when the test says so.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Call, Enqueue, Error, Job, ManualClock, Name, Outcome, When};

use super::Performed;
use super::session::{Session, check_needs};
use crate::client::IntoBackend;
use crate::handler::route::Routes;
use crate::worker::builder::Needs;
use crate::{Client, Worker, WorkerBuilder};

/// More jobs than a drain runs: one of them enqueues itself for ever.
const DRAIN_LIMIT: usize = 10_000;

/// A store and handlers that run when the test says so, on the task of the test.
///
/// Jobs pass through everything they pass through in a worker (serialisation, the store, decoding,
/// extraction, middleware, the handler's transaction, the decision about what follows) except its loops:
/// there are no timeouts, no heartbeats and no events.
///
/// The store belongs to the test alone: [`drain`](Self::drain) runs every due job in it.
///
/// | | [`on`](Self::on) a store | [`with_clock`](Self::with_clock) |
/// |---|---|---|
/// | backends | all | memory and SQLite, opened with the same clock |
/// | time | passes as the store measures it | stands still until [`advance`](Self::advance) |
/// | `perform` of a job with a delay | at once | at once |
/// | a retry, a snooze or another job with a delay | due after its delay; no call shortens it | due after `advance` |
#[derive(Debug)]
pub struct TestQueue {
    client: Client,
    clock: Option<Arc<ManualClock>>,
    routes: Routes,
}

impl TestQueue {
    /// A queue over any store, which keeps the time itself. The store is migrated and has no other jobs.
    ///
    /// On PostgreSQL, this tests handlers that take a [`Tx`](crate::Tx), and code that enqueues through an
    /// outbox. [`Self::advance`] and [`Self::clock`] panic.
    pub fn on<M>(backend: impl IntoBackend<M>) -> Self {
        Self { client: Client::new(backend), clock: None, routes: Routes::default() }
    }

    /// A queue over a store that was opened with this clock, which the test moves.
    pub fn with_clock<M>(backend: impl IntoBackend<M>, clock: Arc<ManualClock>) -> Self {
        let client = Client::with_clock(backend, clock.clone());
        Self { client, clock: Some(clock), routes: Routes::default() }
    }

    /// Adds the handlers, middleware and state of a worker: `queue.with_handlers(|worker|
    /// worker.handle(welcome))`.
    ///
    /// A handler that needs what the backend does not promise, such as a [`Tx`](crate::Tx) on memory, is
    /// accepted. Only running it is an error.
    ///
    /// # Panics
    /// If the worker is not valid.
    pub fn with_handlers<S: Send + Sync + 'static>(
        mut self,
        add: impl FnOnce(WorkerBuilder<()>) -> WorkerBuilder<S>,
    ) -> Self {
        let parts = add(Worker::builder(self.client.clone())).into_parts(Needs::Deferred);
        self.routes = parts.unwrap_or_else(|error| panic!("{error}")).routes;
        self
    }

    /// The client, for enqueueing and looking.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The clock of store and client.
    ///
    /// # Panics
    /// If the queue was made by [`Self::on`].
    pub fn clock(&self) -> &Arc<ManualClock> {
        self.clock.as_ref().unwrap_or_else(|| {
            panic!(
                "the store of this queue keeps the time itself, so a test cannot move it \
                 (hint: use `TestQueue::with_clock` with a memory or SQLite store that was opened with that clock)"
            )
        })
    }

    /// Moves the clock forward. Jobs that become due run with the next [`Self::drain`].
    ///
    /// # Panics
    /// If the queue was made by [`Self::on`].
    pub fn advance(&self, by: Duration) {
        self.clock().advance(by);
    }

    /// Enqueues a job, runs one attempt of it now, whatever its delay, and returns the outcome. Other jobs
    /// stay where they are.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) if the job is not valid, its unique key is held, its
    /// queue is paused, there is no handler for it, or its handler needs what the backend does not promise.
    /// Otherwise the store's error.
    ///
    /// # Cancel safety
    /// If the future is dropped, the attempt is stopped and the job stays leased.
    pub async fn perform<J: Job>(&self, job: impl Into<Enqueue<J>>) -> Result<Outcome, Error> {
        Ok(self.perform_one(job.into()).await?.outcome)
    }

    /// As [`Self::perform`], but returns the output of the handler, as the type that the job declares.
    ///
    /// ```
    /// # use gristmill_core::{Job, JobError};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Add { a: i64, b: i64 }
    /// # impl Job for Add { const KIND: &'static str = "add"; type Output = i64; }
    /// # async fn add(job: Add) -> Result<i64, JobError> { Ok(job.a + job.b) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), gristmill_core::Error> {
    /// use gristmill_engine::testing::TestQueue;
    /// use gristmill_memory::Memory;
    ///
    /// let queue = TestQueue::on(Memory::new()).with_handlers(|worker| worker.handle(add));
    /// assert_eq!(queue.output_of(Add { a: 1, b: 2 }).await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refused`](gristmill_core::ErrorKind::Refused) if the attempt did not complete the job; the message
    /// has the reason. Otherwise as [`Self::perform`].
    ///
    /// # Cancel safety
    /// As [`Self::perform`].
    pub async fn output_of<J: Job>(&self, job: impl Into<Enqueue<J>>) -> Result<J::Output, Error> {
        self.perform_one(job.into()).await?.output::<J>()
    }

    async fn perform_one<J: Job>(&self, job: Enqueue<J>) -> Result<Performed, Error> {
        let kind = Name::new(J::KIND)?;
        let Some(route) = self.routes.find(&kind) else {
            return Err(Error::invalid(format!("there is no handler for kind `{kind}`")));
        };
        check_needs(&self.client, &kind, route)?;
        let prepared = self.client.prepare(job)?.when(When::Now);
        let (id, queue) = (prepared.id, prepared.spec.queue.clone());
        let receipts = self.client.enqueue_prepared(vec![prepared]).await?;
        if let Some(receipt) = receipts.iter().find(|receipt| !receipt.is_new()) {
            return Err(Error::invalid(format!("the job was not stored: {:?}", receipt.enqueued)));
        }
        let session = Session::start(&self.client, &self.routes).await?;
        let performed = session.run_only(id, &queue).await;
        session.end(performed).await
    }

    /// Applies the requests of committed outbox transactions (cancel, update, delete), then runs every due
    /// job, queue by queue in their order, and the jobs that these enqueue, until none is due. Jobs without a
    /// handler are parked, as in a fleet without one: they are scheduled, with the reason `no handler`.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) after 10,000 runs, since some job enqueues itself for
    /// ever, and at a job whose handler needs what the backend does not promise; that job stays available.
    /// Otherwise the store's error.
    ///
    /// # Cancel safety
    /// If the future is dropped, the running attempt is stopped and its job stays leased.
    pub async fn drain(&self) -> Result<Vec<Performed>, Error> {
        if self.routes.kinds().is_empty() {
            return Ok(Vec::new());
        }
        let session = Session::start(&self.client, &self.routes).await?;
        let performed = self.run_due(&session).await;
        session.end(performed).await
    }

    async fn run_due(&self, session: &Session<'_>) -> Result<Vec<Performed>, Error> {
        let mut performed = Vec::new();
        loop {
            while self.client.backend().promote(Call::new(), 1_000).await?.more {}
            let Some(job) = session.next().await? else { return Ok(performed) };
            performed.push(session.run(job).await?);
            if performed.len() >= DRAIN_LIMIT {
                let message = format!("{DRAIN_LIMIT} runs and still jobs are due: does one enqueue itself?");
                return Err(Error::invalid(message));
            }
        }
    }
}
