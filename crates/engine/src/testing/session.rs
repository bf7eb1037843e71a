//! A registered worker for the length of one call of the kit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use gristmill_core::{
    BackendErrorKind, BackendTx, Call, Certainty, ClaimId, Ending, Error, ErrorKind, FetchRequest,
    FetchedJob, FinishItem, FinishRequest, Finished, JobId, JobState, Name, Outcome, QueueWant,
    RegisterWorker, WorkerId,
};

use super::Performed;
use crate::context::Left;
use crate::handler::panicked::panicked;
use crate::handler::route::{Route, Routes, obstacle};
use crate::run_result::RunResult;
use crate::worker::{Ready, not_committed, still_in_use};
use crate::{Attempted, Client, JobContext};

/// Longer than a test moves its clock at once, and than a developer stays in a debugger.
const LEASE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Jobs of one fetch.
const FETCH: usize = 1_000;
/// An end that meets a lock of another transaction is repeated after this delay, at most this often.
const BUSY: (Duration, u32) = (Duration::from_millis(20), 250);

/// A registered worker. Dropped without [`Self::end`], it stays registered with the jobs it has leased.
pub(super) struct Session<'a> {
    client: &'a Client,
    routes: &'a Routes,
    worker: WorkerId,
    claims: AtomicU64,
}

impl<'a> Session<'a> {
    pub(super) async fn start(client: &'a Client, routes: &'a Routes) -> Result<Self, Error> {
        let worker = WorkerId::random();
        let mut request = RegisterWorker::new(worker, "test", LEASE);
        request.kinds = routes.kinds();
        client.backend().register_worker(Call::new(), request).await?;
        Ok(Self { client, routes, worker, claims: AtomicU64::new(1) })
    }

    /// Retires the worker, which releases every job it still holds, and passes the result on. An error of the
    /// result precedes one of the retirement.
    pub(super) async fn end<T>(self, result: Result<T, Error>) -> Result<T, Error> {
        let retired = self.client.backend().retire_worker(Call::new(), self.worker).await;
        let value = result?;
        retired?;
        Ok(value)
    }

    /// Runs this one job of a queue and releases all others that a fetch returns before it.
    pub(super) async fn run_only(&self, id: JobId, queue: &Name) -> Result<Performed, Error> {
        let mut others = Vec::new();
        let job = loop {
            let jobs = self.fetch(queue.clone(), FETCH).await?;
            if jobs.is_empty() {
                let message = format!("the job is not the next one of queue `{queue}`; is it paused?");
                return Err(Error::invalid(message));
            }
            let (mut mine, rest): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.lease.job == id);
            others.extend(rest.into_iter().map(|job| FinishItem::give_back(job.lease, Duration::ZERO)));
            if let Some(job) = mine.pop() {
                break job;
            }
        };
        while !others.is_empty() {
            let later = others.split_off(others.len().min(FETCH));
            let request = FinishRequest::new(std::mem::replace(&mut others, later));
            self.client.backend().finish(Call::new(), request).await?;
        }
        self.run(job).await
    }

    /// The next job of the first queue that has one.
    pub(super) async fn next(&self) -> Result<Option<FetchedJob>, Error> {
        for queue in self.client.queues().list().await? {
            if let Some(job) = self.fetch(queue.name, 1).await?.pop() {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    /// Runs a leased job and stores the end of the run.
    pub(super) async fn run(&self, job: FetchedJob) -> Result<Performed, Error> {
        let kind = job.spec.kind.clone();
        let Some(route) = self.routes.find(&kind) else { return self.park(job).await };
        check_needs(self.client, &kind, route)?;
        let client = Arc::new(self.client.clone());
        let now = client.now();
        let context = JobContext::new(job, client, now, None);
        let attempt = AssertUnwindSafe(route.start.start(context.clone())).catch_unwind();
        let attempted = attempt.await.unwrap_or_else(panicked);
        context.flush_log().await;
        let completes = matches!(attempted.outcome, Outcome::Completed { .. });
        match context.take_transaction() {
            Left::Open(transaction) if completes => {
                self.commit(route, &context, transaction, attempted).await
            }
            Left::Open(transaction) => {
                transaction.roll_back(Call::new()).await?;
                self.finish(route, &context, attempted).await
            }
            Left::Kept if completes => self.finish(route, &context, still_in_use()).await,
            Left::Kept | Left::Nothing => self.finish(route, &context, attempted).await,
        }
    }

    async fn fetch(&self, queue: Name, max: usize) -> Result<Vec<FetchedJob>, Error> {
        loop {
            let claim = ClaimId(self.claims.fetch_add(1, Ordering::Relaxed));
            let request = FetchRequest::new(self.worker, claim, vec![QueueWant::new(queue.clone(), max)]);
            let reply = self.client.backend().fetch(Call::new(), request).await?;
            // A fetch that parked jobs may return none although there are some.
            if !reply.jobs.is_empty() || reply.queues.iter().all(|queue| queue.exhausted || queue.paused) {
                return Ok(reply.jobs);
            }
        }
    }

    /// Gives back a job without a handler, which the store parks.
    async fn park(&self, job: FetchedJob) -> Result<Performed, Error> {
        let (id, kind) = (job.lease.job, job.spec.kind.clone());
        let state = self.store(RunResult::no_handler(Ready { lane: 0, job }).item).await?;
        let outcome = Outcome::Deferred { after: Duration::ZERO, reason: "no handler".to_owned() };
        Ok(Performed { id, kind, outcome, ending: Ending::UnknownKind, state })
    }

    /// Ends the run in the handler's transaction. A commit that stores nothing is a failure of the attempt,
    /// as in a worker.
    async fn commit(
        &self,
        route: &Route,
        context: &JobContext,
        transaction: Box<dyn BackendTx>,
        attempted: Attempted,
    ) -> Result<Performed, Error> {
        let ended = RunResult::of(0, context, attempted.clone(), route.delay.as_ref());
        match transaction.finish(Call::new(), ended.item).await {
            Ok(Finished::Busy) => {
                let failed = not_committed("another transaction has locked what the end of the run needs");
                self.finish(route, context, failed).await
            }
            Ok(finished) => Ok(performed(context, attempted, state_after(finished))),
            Err(error) if error.certainty() == Certainty::NotStored => {
                self.finish(route, context, not_committed(&error.chain())).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the run in the ordinary way.
    async fn finish(
        &self,
        route: &Route,
        context: &JobContext,
        attempted: Attempted,
    ) -> Result<Performed, Error> {
        let ended = RunResult::of(0, context, attempted.clone(), route.delay.as_ref());
        let state = self.store(ended.item).await?;
        Ok(performed(context, attempted, state))
    }

    async fn store(&self, item: FinishItem) -> Result<Option<JobState>, Error> {
        let (delay, tries) = BUSY;
        for _ in 0..tries {
            let request = FinishRequest::new(vec![item.clone()]);
            let reply = self.client.backend().finish(Call::new(), request).await?;
            match reply.items.into_iter().next() {
                Some(Finished::Busy) => tokio::time::sleep(delay).await,
                finished => return Ok(finished.and_then(state_after)),
            }
        }
        let message = format!("the end of job {} waits for a lock of another transaction", item.lease.job);
        let hint = "end the transactions that the test holds open before the handler returns";
        Err(Error::new(ErrorKind::Backend(BackendErrorKind::Busy), message).with_hint(hint))
    }
}

/// Refuses a handler that needs what the backend does not promise.
pub(super) fn check_needs(client: &Client, kind: &Name, route: &Route) -> Result<(), Error> {
    match obstacle(kind.as_str(), &route.needs, &**client.backend()) {
        None => Ok(()),
        Some(obstacle) => Err(Error::invalid(obstacle)
            .with_hint("run it with `TestQueue::on` over a store that does, such as PostgreSQL")),
    }
}

fn state_after(finished: Finished) -> Option<JobState> {
    match finished {
        Finished::Accepted { state } => Some(state),
        Finished::AlreadyAccepted | Finished::LeaseLost { .. } | Finished::Busy => None,
    }
}

fn performed(context: &JobContext, attempted: Attempted, state: Option<JobState>) -> Performed {
    let Attempted { outcome, ending } = attempted;
    Performed { id: context.id(), kind: context.kind().clone(), outcome, ending, state }
}
