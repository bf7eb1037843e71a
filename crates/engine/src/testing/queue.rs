//! A queue whose time stands still and whose jobs run when the test says so.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use gristmill_core::{
    Call, ClaimId, Ending, Enqueue, Error, FetchRequest, FetchedJob, FinishItem, FinishRequest, Finished,
    Job, JobId, JobState, ManualClock, Name, Outcome, QueueWant, RegisterWorker, When, WorkerId,
};

use crate::client::IntoBackend;
use crate::handler::panicked::panicked;
use crate::handler::route::Routes;
use crate::worker::{Ended, Ready};
use crate::{Attempted, Client, JobContext, Worker, WorkerBuilder};

/// More jobs than a drain runs: one of them enqueues itself for ever.
const DRAIN_LIMIT: usize = 10_000;
/// Far longer than any test moves its clock at once.
const LEASE: Duration = Duration::from_secs(365 * 24 * 3600);

/// A store, a clock that the test moves, and handlers that run when the test says so, on its own task.
///
/// Jobs pass through everything they pass through in a worker (serialisation, the store, decoding, extraction,
/// middleware, the decision about what follows) except its loops: no timeouts, no heartbeats, no events.
#[derive(Debug)]
pub struct TestQueue {
    client: Client,
    clock: Arc<ManualClock>,
    routes: Routes,
}

/// What one run of a job came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Performed {
    /// Which job.
    pub id: JobId,
    /// Its kind.
    pub kind: Name,
    /// What its handler said.
    pub outcome: Outcome,
    /// How the run is recorded.
    pub ending: Ending,
    /// Where the job went; `None` when the run had lost its lease.
    pub state: Option<JobState>,
}

impl TestQueue {
    /// A queue over a store that is told the time by `clock`.
    pub fn over<M>(backend: impl IntoBackend<M>, clock: Arc<ManualClock>) -> Self {
        let client = Client::with_clock(backend, clock.clone());
        Self { client, clock, routes: Routes::default() }
    }

    /// Adds the handlers, middleware and state of a worker: `queue.with_handlers(|worker| worker.handle(welcome))`.
    ///
    /// # Panics
    /// When the worker is not valid.
    pub fn with_handlers<S: Send + Sync + 'static>(
        mut self,
        add: impl FnOnce(WorkerBuilder<()>) -> WorkerBuilder<S>,
    ) -> Self {
        let parts = add(Worker::builder(self.client.clone())).into_parts();
        self.routes = parts.unwrap_or_else(|error| panic!("{error}")).routes;
        self
    }

    /// The client, for enqueueing and looking.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The clock of store and client.
    pub fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    /// Moves the clock forward. What comes due by it runs with the next [`Self::drain`].
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Enqueues a job and runs one attempt of it now, whatever its delay; answers what its handler said. Other jobs
    /// stay where they are.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) when the job is not valid, its unique key is held, its queue is
    /// paused or there is no handler for it; else the store's.
    ///
    /// # Cancel safety
    /// Dropped, the attempt is stopped and the job stays leased.
    pub async fn perform<J: Job>(&self, job: impl Into<Enqueue<J>>) -> Result<Outcome, Error> {
        if self.routes.find(&Name::new(J::KIND)?).is_none() {
            return Err(Error::invalid(format!("there is no handler for kind `{}`", J::KIND)));
        }
        let prepared = self.client.prepare(job)?.when(When::Now);
        let (id, queue) = (prepared.id, prepared.spec.queue.clone());
        let receipts = self.client.enqueue_prepared(vec![prepared]).await?;
        if let Some(receipt) = receipts.iter().find(|receipt| !receipt.is_new()) {
            return Err(Error::invalid(format!("the job was not stored: {:?}", receipt.enqueued)));
        }
        let session = Session::start(self).await?;
        let (mine, others): (Vec<_>, Vec<_>) =
            session.fetch(queue.clone(), 1_000).await?.into_iter().partition(|job| job.lease.job == id);
        for other in others {
            session.finish(FinishItem::give_back(other.lease, Duration::ZERO)).await?;
        }
        let Some(job) = mine.into_iter().next() else {
            return Err(Error::invalid(format!(
                "the job is not the next one of queue `{queue}`; is it paused?"
            )));
        };
        let performed = session.run(job).await?;
        session.end().await?;
        Ok(performed.outcome)
    }

    /// Runs everything that is due, queue by queue in their order, and what that enqueues, until nothing is due. Jobs
    /// without a handler are parked, as in a fleet without one: they are scheduled, with the reason `no handler`.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) after 10,000 runs: some job enqueues itself for ever. Else the
    /// store's.
    ///
    /// # Cancel safety
    /// Dropped, the job that runs is stopped and stays leased.
    pub async fn drain(&self) -> Result<Vec<Performed>, Error> {
        let mut performed = Vec::new();
        if self.routes.kinds().is_empty() {
            return Ok(performed);
        }
        let session = Session::start(self).await?;
        loop {
            while self.client.backend().promote(Call::new(), 1_000).await?.more {}
            let Some(job) = session.next().await? else { break };
            performed.push(session.run(job).await?);
            if performed.len() >= DRAIN_LIMIT {
                let message = format!("{DRAIN_LIMIT} runs and still jobs are due: does one enqueue itself?");
                return Err(Error::invalid(message));
            }
        }
        session.end().await?;
        Ok(performed)
    }
}

/// A registered worker for the length of one call.
struct Session<'a> {
    queue: &'a TestQueue,
    worker: WorkerId,
    claims: std::sync::atomic::AtomicU64,
}

impl<'a> Session<'a> {
    async fn start(queue: &'a TestQueue) -> Result<Self, Error> {
        let worker = WorkerId::random();
        let mut request = RegisterWorker::new(worker, "test", LEASE);
        request.kinds = queue.routes.kinds();
        queue.client.backend().register_worker(Call::new(), request).await?;
        Ok(Self { queue, worker, claims: std::sync::atomic::AtomicU64::new(1) })
    }

    async fn end(self) -> Result<(), Error> {
        Ok(self.queue.client.backend().retire_worker(Call::new(), self.worker).await?)
    }

    async fn fetch(&self, queue: Name, max: usize) -> Result<Vec<FetchedJob>, Error> {
        loop {
            let claim = ClaimId(self.claims.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            let request = FetchRequest::new(self.worker, claim, vec![QueueWant::new(queue.clone(), max)]);
            let reply = self.queue.client.backend().fetch(Call::new(), request).await?;
            // A fetch that parked jobs may give none although there are some.
            if !reply.jobs.is_empty() || reply.queues.iter().all(|queue| queue.exhausted || queue.paused) {
                return Ok(reply.jobs);
            }
        }
    }

    /// The next job of the first queue that has one.
    async fn next(&self) -> Result<Option<FetchedJob>, Error> {
        for queue in self.queue.client.queues().list().await? {
            if let Some(job) = self.fetch(queue.name, 1).await?.pop() {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    async fn run(&self, job: FetchedJob) -> Result<Performed, Error> {
        let (id, kind) = (job.lease.job, job.spec.kind.clone());
        let Some(route) = self.queue.routes.find(&kind) else {
            let state = self.finish(Ended::no_handler(Ready { lane: 0, job }).item).await?;
            let outcome = Outcome::Deferred { after: Duration::ZERO, reason: "no handler".to_owned() };
            return Ok(Performed { id, kind, outcome, ending: Ending::UnknownKind, state });
        };
        let client = Arc::new(self.queue.client.clone());
        let now = client.now();
        let context = JobContext::new(job, client, now, None);
        let attempt = AssertUnwindSafe(route.start.start(context.clone())).catch_unwind();
        let attempted = attempt.await.unwrap_or_else(panicked);
        context.flush_log().await;
        let Attempted { outcome, ending } = attempted.clone();
        let state = self.finish(Ended::of(0, &context, attempted, route.delay.as_ref()).item).await?;
        Ok(Performed { id, kind, outcome, ending, state })
    }

    async fn finish(&self, item: FinishItem) -> Result<Option<JobState>, Error> {
        let request = FinishRequest::new(vec![item]);
        let reply = self.queue.client.backend().finish(Call::new(), request).await?;
        Ok(match reply.items.first() {
            Some(Finished::Accepted { state }) => Some(*state),
            _ => None,
        })
    }
}
