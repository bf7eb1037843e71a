//! What the handles and the task of the worker share: the store, and what is held of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gristmill_core::{
    Backend, BackendError, BackendErrorKind, Call, Error, FinishItem, FinishRequest, Finished, Lease,
    RenewReply, RenewRequest, WorkerId,
};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::held::{Held, HeldRun};
use crate::call::{Trouble, answer};
use crate::cancel::StopWhy;
use crate::claims::{Claims, Listed};
use crate::lease::DEFAULT_LEASE;

/// The most items of one call.
const BATCH: usize = 1_000;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    /// Of every call.
    pub(super) deadline: Duration,
    pub(super) worker: WorkerId,
    /// What every heartbeat lists.
    pub(super) claims: Claims,
    held: Mutex<Held>,
    /// Held by the heartbeat in flight.
    renewing: tokio::sync::Mutex<()>,
    /// Something was dropped: it is given back.
    pub(super) wake: Notify,
    /// Something was fetched, or may have been: the heartbeat looks again when it is due.
    pub(super) arrived: Notify,
    /// Where the log is written: one that blocks must not hold up the heartbeat.
    runtime: Handle,
    /// The store does not know the worker any more.
    pub(super) gone: CancellationToken,
}

impl Shared {
    pub(super) fn new(backend: Arc<dyn Backend>, deadline: Duration, worker: WorkerId) -> Self {
        Self {
            backend,
            deadline,
            worker,
            claims: Claims::default(),
            held: Mutex::new(Held::new()),
            renewing: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            arrived: Notify::new(),
            runtime: Handle::current(),
            gone: CancellationToken::new(),
        }
    }

    /// Whether something waits to be given back.
    pub(super) fn has_dropped(&self) -> bool {
        !self.held().dropped.is_empty()
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(super) fn say(&self, line: impl FnOnce() + Send + 'static) {
        self.runtime.spawn(async move { line() });
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn call(&self) -> Call {
        Call::new().within(self.deadline)
    }

    /// A run has its end; a claim without runs is no longer listed.
    pub(super) fn forget(&self, lease: &Lease) {
        if self.held().forget(lease) {
            self.claims.closed([lease.claim]);
        }
    }

    async fn finish(&self, items: Vec<FinishItem>) -> Result<Vec<Finished>, BackendError> {
        let reply = self.backend.finish(self.call(), FinishRequest::new(items));
        Ok(answer(self.deadline, "finish", reply).await?.items)
    }

    /// Makes available what is due; says whether there was any.
    pub(super) async fn promote(&self) -> Result<bool, Error> {
        let reply = self.backend.promote(self.call(), BATCH);
        Ok(answer(self.deadline, "promote", reply).await?.done > 0)
    }

    /// One heartbeat.
    pub(super) async fn renew(&self) -> Result<(), BackendError> {
        let sent = Instant::now();
        // Heartbeats may overlap, of the task and of a user's renewal: one at a time, so that fetches know
        // which list counts.
        let _one = self.renewing.lock().await;
        let renewing = Renewing::begin(&self.claims);
        // Given up early enough for another one before the lease ends.
        let deadline = self.deadline.min(DEFAULT_LEASE / 4);
        let call = Call::new().within(deadline);
        let reply = self.backend.renew(call, RenewRequest::new(self.worker, renewing.listed.known.clone()));
        match answer(deadline, "renew", reply).await {
            Ok(reply) => {
                self.held().renewed = sent;
                self.obey(&reply, &renewing.listed);
                Ok(())
            }
            Err(error) => {
                if error.kind() == BackendErrorKind::WorkerGone {
                    self.lose_all();
                }
                Err(error)
            }
        }
    }

    fn obey(&self, reply: &RenewReply, listed: &Listed) {
        for claim in listed.lost(&reply.lost) {
            self.claims.forget(claim);
            let lost = self.held().take(claim);
            stop(&lost, StopWhy::LeaseLost);
        }
        let cancelled = self.held().find(&reply.cancels);
        stop(&cancelled, StopWhy::Cancelled);
    }

    /// The store does not know the worker any more.
    pub(super) fn lose_all(&self) {
        self.gone.cancel();
        self.claims.forget_all();
        let lost = self.held().take_all();
        stop(&lost, StopWhy::LeaseLost);
    }

    /// Gives back what was dropped. What fails is tried again with the next heartbeat; the lease's end gives
    /// it back in any case.
    pub(super) async fn give_back_dropped(&self, trouble: &mut Trouble) {
        loop {
            let leases = {
                let dropped = &mut self.held().dropped;
                let count = dropped.len().min(BATCH);
                dropped.drain(..count).collect::<Vec<_>>()
            };
            if leases.is_empty() {
                return;
            }
            let give_back = |lease: &Lease| FinishItem::give_back(lease.clone(), Duration::ZERO);
            let finished = self.finish(leases.iter().map(give_back).collect()).await;
            let finished = match finished {
                Ok(finished) => finished,
                Err(error) => {
                    trouble.failed(&error);
                    self.held().dropped.extend(leases);
                    return;
                }
            };
            trouble.over();
            let mut busy = Vec::new();
            for (lease, finished) in leases.into_iter().zip(finished) {
                if finished == Finished::Busy {
                    busy.push(lease);
                } else {
                    self.forget(&lease);
                }
            }
            if !busy.is_empty() {
                self.held().dropped.extend(busy);
                return;
            }
        }
    }
}

/// A heartbeat in flight, and what it lists.
struct Renewing<'a> {
    claims: &'a Claims,
    listed: Listed,
}

impl<'a> Renewing<'a> {
    fn begin(claims: &'a Claims) -> Self {
        Self { claims, listed: claims.begin_renewal() }
    }
}

impl Drop for Renewing<'_> {
    fn drop(&mut self) {
        self.claims.end_renewal();
    }
}

/// Never called under the lock: a waker runs in `stop`.
fn stop(runs: &[Arc<dyn HeldRun>], why: StopWhy) {
    for run in runs {
        run.stop(why);
    }
}
