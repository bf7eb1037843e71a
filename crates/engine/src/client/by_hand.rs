//! The worker that a client becomes while jobs are fetched by hand: registered, with a heartbeat of its own.
//!
//! Its task owns the heartbeat, gives back what was dropped, and does the little maintenance without which snoozed jobs
//! would never come back where no other worker runs. The one lock guards plain memory and is never held over an await.
//! The task ends when the last handle is dropped, and retires the worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gristmill_core::{
    Backend, BackendErrorKind, Call, ClaimId, Error, ErrorKind, FetchRequest, FetchedJob, FinishItem,
    FinishRequest, Finished, Lease, Name, QueueWant, RegisterWorker, RenewReply, RenewRequest, WorkerId,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::JobContext;
use crate::context::StopWhy;
use crate::worker::builder::default_label;
use crate::worker::call::answer;

/// How long its leases hold without a heartbeat.
const LEASE: Duration = Duration::from_secs(30);
/// At this part of a lease without a renewal the worker stops believing in it.
const FENCE_AT: Duration = Duration::from_secs(24);
/// How often it shows life while it holds leases: a cancel arrives within it.
const BUSY_INTERVAL: Duration = Duration::from_secs(1);
/// How often it does while it holds none.
const IDLE_INTERVAL: Duration = Duration::from_secs(10);
/// How much one round of maintenance does.
const MAINTAIN_LIMIT: usize = 1_000;

/// A handle on the worker; dropping the last one ends it.
#[derive(Debug)]
pub(super) struct ByHand {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    _ends: DropGuard,
}

#[derive(Debug)]
struct Shared {
    backend: Arc<dyn Backend>,
    deadline: Duration,
    worker: WorkerId,
    held: Mutex<Held>,
    /// Something was given back, or a renewal is wanted now.
    wake: Notify,
    gone: CancellationToken,
}

#[derive(Debug)]
struct Held {
    next_claim: u64,
    /// The attempts of each claim, and the claims of fetches in flight.
    claims: HashMap<ClaimId, Vec<JobContext>>,
    /// Leases that were dropped; at most as many as were fetched.
    dropped: Vec<Lease>,
    renewed: Instant,
}

impl ByHand {
    /// Registers a worker and starts its task.
    pub(super) async fn start(backend: Arc<dyn Backend>, deadline: Duration) -> Result<Self, Error> {
        let sent = Instant::now();
        let worker = WorkerId::random();
        let label = format!("{} by hand", default_label());
        let request = RegisterWorker::new(worker, label, LEASE);
        let call = Call::new().within(deadline);
        answer(deadline, "register_worker", backend.register_worker(call, request)).await?;
        let held = Held { next_claim: 0, claims: HashMap::new(), dropped: Vec::new(), renewed: sent };
        let shared = Arc::new(Shared {
            backend,
            deadline,
            worker,
            held: Mutex::new(held),
            wake: Notify::new(),
            gone: CancellationToken::new(),
        });
        let end = CancellationToken::new();
        let task = tokio::spawn(live(shared.clone(), end.clone()));
        Ok(Self { shared, task, _ends: end.drop_guard() })
    }

    /// Whether it can still fetch.
    pub(super) fn is_alive(&self) -> bool {
        !self.shared.gone.is_cancelled() && !self.task.is_finished()
    }

    /// Leases jobs; each is handed to `keep` to make what is watched over.
    pub(super) async fn fetch<T>(
        &self,
        queue: Name,
        max: usize,
        keep: impl Fn(FetchedJob) -> (JobContext, T),
    ) -> Result<Vec<T>, Error> {
        let Shared { backend, deadline, worker, .. } = &*self.shared;
        let call = Call::new().within(*deadline);
        // A snoozed or failed job comes back although no other worker may run.
        answer(*deadline, "promote", backend.promote(call, MAINTAIN_LIMIT)).await?;
        // Listed before the fetch is sent: a heartbeat would give it back otherwise.
        let mut claim = self.shared.claim();
        let request = FetchRequest::new(*worker, claim.id, vec![QueueWant::new(queue, max)]);
        let reply = answer(*deadline, "fetch", backend.fetch(call, request)).await;
        if reply.as_ref().is_err_and(|error| error.kind() == BackendErrorKind::WorkerGone) {
            self.shared.lose_all();
        }
        let mut kept = Vec::new();
        for job in reply?.jobs {
            let (context, made) = keep(job);
            claim.contexts.push(context);
            kept.push(made);
        }
        Ok(kept)
    }

    /// Stores the end of a run.
    pub(super) async fn finish(&self, item: FinishItem) -> Result<Finished, Error> {
        let lease = item.lease.clone();
        let reply = self.shared.send(vec![item]).await?;
        self.shared.held().forget(&lease);
        let answer = reply.into_iter().next();
        answer.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the store answered a finish without a word on it")
        })
    }

    /// Shows life now; answers whether the lease still holds.
    pub(super) async fn renew(&self, lease: &Lease) -> Result<bool, Error> {
        self.shared.renew().await?;
        Ok(self.shared.held().holds(lease))
    }

    /// Gives a lease back soon, without waiting for it.
    pub(super) fn give_back(&self, lease: Lease) {
        self.shared.held().dropped.push(lease);
        self.shared.wake.notify_one();
    }
}

/// A claim while its fetch is in flight; what was fetched is watched over from its drop on.
struct Claiming<'a> {
    shared: &'a Shared,
    id: ClaimId,
    contexts: Vec<JobContext>,
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        let mut held = self.shared.held();
        if self.contexts.is_empty() {
            // Also a fetch whose answer never came: the next heartbeat gives its jobs back.
            held.claims.remove(&self.id);
        } else {
            held.claims.insert(self.id, std::mem::take(&mut self.contexts));
        }
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self) -> Claiming<'_> {
        let mut held = self.held();
        held.next_claim += 1;
        let id = ClaimId(held.next_claim);
        held.claims.insert(id, Vec::new());
        Claiming { shared: self, id, contexts: Vec::new() }
    }

    async fn send(&self, items: Vec<FinishItem>) -> Result<Vec<Finished>, Error> {
        let call = Call::new().within(self.deadline);
        let reply = self.backend.finish(call, FinishRequest::new(items));
        Ok(answer(self.deadline, "finish", reply).await?.items)
    }

    /// One heartbeat.
    async fn renew(&self) -> Result<(), Error> {
        let sent = Instant::now();
        // Only claims whose jobs have arrived can be lost; those of fetches in flight may not be there yet.
        let (known, arrived) = self.held().listed();
        let call = Call::new().within(self.deadline);
        let reply = self.backend.renew(call, RenewRequest::new(self.worker, known));
        match answer(self.deadline, "renew", reply).await {
            Ok(reply) => {
                self.held().renewed = sent;
                self.obey(&reply, &arrived);
                Ok(())
            }
            Err(error) => {
                if error.kind() == BackendErrorKind::WorkerGone {
                    self.lose_all();
                }
                Err(error.into())
            }
        }
    }

    fn obey(&self, reply: &RenewReply, arrived: &[ClaimId]) {
        let mut stops = Vec::new();
        {
            let mut held = self.held();
            for claim in reply.lost.iter().filter(|claim| arrived.contains(claim)) {
                let lost = held.claims.remove(claim).unwrap_or_default();
                stops.extend(lost.into_iter().map(|context| (context, StopWhy::LeaseLost)));
            }
            let cancelled = |context: &&JobContext| {
                let lease = context.lease();
                reply.cancels.contains(&(lease.job, lease.run))
            };
            let contexts = held.claims.values().flatten().filter(cancelled);
            stops.extend(contexts.map(|context| (context.clone(), StopWhy::Cancelled)));
        }
        // A waker runs in `stop`: not under the lock.
        for (context, why) in stops {
            context.attempt_state().cancel.stop(why);
        }
    }

    /// The store does not know the worker any more.
    fn lose_all(&self) {
        self.gone.cancel();
        let lost: Vec<_> = self.held().claims.drain().flat_map(|(_, contexts)| contexts).collect();
        for context in lost {
            context.attempt_state().cancel.stop(StopWhy::LeaseLost);
        }
    }

    async fn give_back_dropped(&self) {
        let leases = std::mem::take(&mut self.held().dropped);
        if leases.is_empty() {
            return;
        }
        let items = leases.iter().map(|lease| FinishItem::give_back(lease.clone(), Duration::ZERO)).collect();
        let sent = self.send(items).await;
        let mut held = self.held();
        match sent {
            Ok(_) => leases.iter().for_each(|lease| held.forget(lease)),
            // Tried again with the next heartbeat; the lease's end gives them back in any case.
            Err(error) => {
                held.dropped.extend(leases);
                drop(held);
                tracing::warn!(%error, "dropped jobs could not be given back yet");
            }
        }
    }

    /// What keeps a store going where no other worker runs. Failures wait for the next round.
    async fn maintain(&self) {
        let call = Call::new().within(self.deadline);
        let rescued = answer(self.deadline, "rescue", self.backend.rescue(call, MAINTAIN_LIMIT)).await;
        let pruned = answer(self.deadline, "prune", self.backend.prune(call, MAINTAIN_LIMIT)).await;
        for error in [rescued.err(), pruned.err()].into_iter().flatten() {
            tracing::debug!(%error, "a round of maintenance was left out");
        }
    }
}

impl Held {
    fn listed(&self) -> (Vec<ClaimId>, Vec<ClaimId>) {
        let known = self.claims.keys().copied().collect();
        let arrived = self.claims.iter().filter(|(_, contexts)| !contexts.is_empty());
        (known, arrived.map(|(claim, _)| *claim).collect())
    }

    fn holds(&self, lease: &Lease) -> bool {
        self.claims.get(&lease.claim).is_some_and(|contexts| contexts.iter().any(|own| own.lease() == lease))
    }

    /// A run has its end; a claim without runs is no longer listed.
    fn forget(&mut self, lease: &Lease) {
        if let Some(contexts) = self.claims.get_mut(&lease.claim) {
            contexts.retain(|context| context.lease() != lease);
            if contexts.is_empty() {
                self.claims.remove(&lease.claim);
            }
        }
    }
}

/// The task of the worker.
async fn live(shared: Arc<Shared>, end: CancellationToken) {
    let mut maintained = Instant::now();
    loop {
        let busy = !shared.held().claims.is_empty();
        let interval = if busy { BUSY_INTERVAL } else { IDLE_INTERVAL };
        tokio::select! {
            () = end.cancelled() => break,
            () = shared.gone.cancelled() => return,
            () = shared.wake.notified() => shared.give_back_dropped().await,
            () = tokio::time::sleep(interval) => {
                if let Err(error) = shared.renew().await {
                    tracing::warn!(%error, "a heartbeat failed");
                }
                shared.give_back_dropped().await;
            }
        }
        if shared.held().renewed.elapsed() >= FENCE_AT {
            tracing::error!("the lease of jobs fetched by hand could not be renewed: they are stopped");
            shared.lose_all();
        }
        if maintained.elapsed() >= IDLE_INTERVAL {
            shared.maintain().await;
            maintained = Instant::now();
        }
    }
    shared.give_back_dropped().await;
    let call = Call::new().within(shared.deadline);
    let retired = answer(shared.deadline, "retire_worker", shared.backend.retire_worker(call, shared.worker));
    if let Err(error) = retired.await {
        tracing::debug!(%error, "a worker by hand was not retired; its lease ends by itself");
    }
}
