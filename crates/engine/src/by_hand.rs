//! The worker that a client becomes while jobs are fetched by hand: registered, with a heartbeat of its own.
//!
//! Its heartbeat has a thread of its own. Another [`task`] gives back what was dropped, and does the little
//! maintenance without which snoozed jobs would never come back where no other worker runs. The one lock
//! guards plain memory and is never held over an await. Both end when the last handle is dropped, and the
//! worker retires.

pub(crate) mod held;
mod shared;
mod task;

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{
    Backend, BackendErrorKind, ClaimId, Error, ErrorKind, FetchRequest, FetchedJob, Finished, Lease, Name,
    QueueWant, RegisterWorker, WorkerId,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::apart::spawn_apart;
use crate::call::answer;
use crate::label::default_label;
use crate::lease::DEFAULT_LEASE;
use crate::lessen::store_alone;
use crate::run_result::RunResult;
use held::HeldRun;
use shared::Shared;

/// The wait before a busy end is repeated.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// A handle on the worker; dropping the last one ends it.
#[derive(Debug)]
pub(crate) struct ByHand {
    shared: Arc<Shared>,
    heartbeat: JoinHandle<()>,
    tending: JoinHandle<()>,
    _ends: DropGuard,
}

impl ByHand {
    /// Registers a worker and starts its task.
    pub(crate) async fn start(backend: Arc<dyn Backend>, deadline: Duration) -> Result<Self, Error> {
        let shared = Shared::new(backend, deadline, WorkerId::random());
        let label = format!("{} by hand", default_label());
        let request = RegisterWorker::new(shared.worker, label, DEFAULT_LEASE);
        let call = shared.backend.register_worker(shared.call(), request);
        answer(deadline, "register_worker", call).await?;
        let (shared, end) = (Arc::new(shared), CancellationToken::new());
        let heartbeat = spawn_apart("gristmill-by-hand", task::beat(shared.clone(), end.clone()));
        let tending = tokio::spawn(task::tend(shared.clone(), end.clone()));
        Ok(Self { shared, heartbeat, tending, _ends: end.drop_guard() })
    }

    /// Whether it can still fetch.
    pub(crate) fn is_alive(&self) -> bool {
        !self.shared.gone.is_cancelled() && !self.heartbeat.is_finished() && !self.tending.is_finished()
    }

    /// Leases jobs; `keep` makes of each what is watched over and what is handed out.
    pub(crate) async fn fetch<T>(
        &self,
        queue: &Name,
        max: usize,
        keep: impl Fn(FetchedJob) -> (Arc<dyn HeldRun>, T),
    ) -> Result<Vec<T>, Error> {
        let mut jobs = self.fetch_once(queue, max, &keep).await?;
        // Where no other worker runs, no other process makes available what is due.
        if jobs.is_empty() && self.shared.promote().await? {
            jobs = self.fetch_once(queue, max, &keep).await?;
        }
        Ok(jobs)
    }

    async fn fetch_once<T>(
        &self,
        queue: &Name,
        max: usize,
        keep: &impl Fn(FetchedJob) -> (Arc<dyn HeldRun>, T),
    ) -> Result<Vec<T>, Error> {
        let shared = &*self.shared;
        // Listed before the fetch is sent: a heartbeat would give it back otherwise.
        let id = shared.claims.begin().await;
        let mut claim = Claiming { shared, id, runs: Vec::new(), answered: false };
        let request = FetchRequest::new(shared.worker, claim.id, vec![QueueWant::new(queue.clone(), max)]);
        let reply = answer(shared.deadline, "fetch", shared.backend.fetch(shared.call(), request)).await;
        match reply {
            Ok(reply) => {
                claim.answered = true;
                let (runs, kept) = reply.jobs.into_iter().map(keep).unzip();
                claim.runs = runs;
                Ok(kept)
            }
            Err(error) => {
                if error.kind() == BackendErrorKind::WorkerGone {
                    shared.lose_all();
                }
                Err(error.into())
            }
        }
    }

    /// Stores the end of a run. While it is [`Busy`](Finished::Busy) it is repeated, until a call's deadline
    /// has passed.
    pub(crate) async fn finish(&self, mut ended: RunResult) -> Result<Finished, Error> {
        let shared = &*self.shared;
        let until = Instant::now() + shared.deadline;
        loop {
            match store_alone(&*shared.backend, shared.deadline, &mut ended).await? {
                Finished::Busy if Instant::now() < until => tokio::time::sleep(BUSY_PAUSE).await,
                Finished::Busy => {
                    let message = "another transaction has locked what the end of the run needs";
                    return Err(Error::new(ErrorKind::Backend(BackendErrorKind::Busy), message)
                        .with_hint("commit that transaction first"));
                }
                finished @ (Finished::Accepted { .. }
                | Finished::AlreadyAccepted
                | Finished::LeaseLost { .. }) => {
                    shared.forget(&ended.item.lease);
                    return Ok(finished);
                }
            }
        }
    }

    /// Shows life now; answers whether the lease still holds.
    pub(crate) async fn renew(&self, lease: &Lease) -> Result<bool, Error> {
        self.shared.renew().await?;
        Ok(self.shared.held().holds(lease))
    }

    /// Gives a lease back soon, without waiting for it.
    pub(crate) fn give_back(&self, lease: Lease) {
        self.shared.held().dropped.push(lease);
        self.shared.wake.notify_one();
    }
}

/// A claim while its fetch is in flight; what was fetched is watched over from its drop on.
struct Claiming<'a> {
    shared: &'a Shared,
    id: ClaimId,
    runs: Vec<Arc<dyn HeldRun>>,
    answered: bool,
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        if self.answered {
            let runs = std::mem::take(&mut self.runs);
            let count = runs.len();
            if count > 0 {
                self.shared.held().arrived(self.id, runs);
            }
            self.shared.claims.granted(self.id, count);
        } else {
            // No longer listed, so that a heartbeat gives back what may have been leased.
            self.shared.claims.forget(self.id);
            self.shared.held().hurry = true;
        }
        self.shared.arrived.notify_one();
    }
}
