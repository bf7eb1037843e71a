//! One registration of a worker: its id, its lease's local end, its death.
//!
//! A worker whose lease has ended at the store starts again with a new id; slots, running handlers and
//! unanswered finishes outlive that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gristmill_core::{BackendError, BackendErrorKind, Error, RegisterWorker, WorkerId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::host::Host;
use crate::call::{Trouble, is_outage};
use crate::cancel::StopWhy;
use crate::lease::LocalLease;
use crate::worker::executor::Executor;
use crate::worker::executor::attempt_tasks::Which;
use crate::worker::executor::pace::Kinds;
use crate::worker::executor::slots::Slots;
use crate::worker::options::WorkerOptions;
use crate::worker::store::Store;

/// A registered worker.
#[derive(Debug)]
pub(crate) struct Incarnation {
    pub(crate) id: WorkerId,
    /// The store does not know it any more.
    pub(crate) gone: CancellationToken,
    lease: Mutex<LocalLease>,
    fenced: AtomicBool,
}

impl Incarnation {
    fn new(id: WorkerId, renewed: Instant, length: Duration) -> Self {
        Self {
            id,
            gone: CancellationToken::new(),
            lease: Mutex::new(LocalLease { renewed, length }),
            fenced: AtomicBool::new(false),
        }
    }

    fn lease(&self) -> LocalLease {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A renewal that was sent then succeeded. Says whether that ended a fence.
    pub(crate) fn renewed(&self, host: &Host, sent: Instant, length: Duration) -> bool {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = LocalLease { renewed: sent, length };
        let was_fenced = self.fenced.swap(false, Ordering::SeqCst);
        if was_fenced {
            host.say(|| {
                gristmill_core::log!(
                    error,
                    name: "lease_regained", target: "gristmill::worker", "the lease is renewed again"
                );
            });
        }
        was_fenced
    }

    /// When the worker has to stop believing in its lease.
    pub(crate) fn fence_at(&self) -> Instant {
        self.lease().fence_at()
    }

    /// Whether it has stopped believing: nothing is fetched until a renewal succeeds.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::SeqCst)
    }

    /// Stops all handlers before the lease ends; the async ones are dropped half-way from here to there.
    /// Called again while it lasts, for a handler that was just starting.
    pub(crate) fn fence(&self, store: &Store, executor: &Arc<Executor>, late: Lateness) {
        let lease = self.lease();
        if !self.fenced.swap(true, Ordering::SeqCst) {
            // Others could not reach the store either, and shall have their chance to renew before they are
            // rescued.
            store.was_out();
            let (worker, in_hand, since) = (self.id, executor.reserve.in_hand(), lease.renewed.elapsed());
            // Half of the time without a renewal passed while this process did not run.
            let hint = if late.0 >= since / 2 {
                "the process was not run: give it more processor time, and expect this where it is suspended"
            } else {
                "the store did not answer for most of the lease; lengthen the lease if it is slow at times"
            };
            executor.host.say(move || {
                gristmill_core::log!(
                    error,
                    name: "self_fenced", target: "gristmill::worker",
                    worker = %worker, in_hand, unrenewed_for = ?since, timer_late_by = ?late.0, hint,
                    "the lease could not be renewed: handlers are stopped before it ends"
                );
            });
        }
        executor.give_back_unstarted();
        executor.stop(Which::All, StopWhy::LeaseLost, lease.left() / 2);
    }
}

/// How late the heartbeat's own timer was since the latest renewal: a process that does not run cannot renew.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lateness(pub(crate) Duration);

impl Lateness {
    pub(crate) fn woke(&mut self, due: Instant) {
        self.0 = self.0.max(due.elapsed());
    }
}

/// How a registration is to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegisterMode {
    /// A store that cannot serve at all is the caller's error.
    FirstStart,
    /// A running worker never gives up.
    Again,
}

/// What a registration takes of a worker.
#[derive(Debug)]
pub(crate) struct Registrar {
    pub(crate) store: Store,
    pub(crate) stopping: CancellationToken,
    pub(crate) options: Arc<WorkerOptions>,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) slots: Arc<Slots>,
}

impl Registrar {
    /// Registers a new incarnation; `None` when a stop came first.
    ///
    /// # Errors
    /// At the first start only: what no wait will mend, such as a schema that is missing.
    pub(crate) async fn register(&self, mode: RegisterMode) -> Result<Option<Incarnation>, Error> {
        let Self { store, stopping, options, .. } = self;
        let mut trouble = Trouble::new("register_worker");
        let mut id = WorkerId::random();
        while !stopping.is_cancelled() {
            let sent = Instant::now();
            let request = self.request(id);
            let registered =
                store.ask("register_worker", |backend, call| backend.register_worker(call, request));
            let answered = tokio::select! {
                answered = registered => answered,
                // A registration that is stored all the same holds nothing, and ends with its lease.
                () = stopping.cancelled() => break,
            };
            let error = match answered {
                Ok(()) => {
                    trouble.over();
                    return Ok(Some(Incarnation::new(id, sent, options.lease)));
                }
                Err(error) => error,
            };
            if is_outage(&error) {
                // The others could not reach the store either, and shall have their chance to renew.
                store.was_out();
            }
            if mode == RegisterMode::FirstStart && is_final(&error) {
                return Err(error.into());
            }
            if error.kind() == BackendErrorKind::WorkerGone {
                id = WorkerId::random();
            }
            let delay = trouble.failed(&error);
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
        Ok(None)
    }

    fn request(&self, id: WorkerId) -> RegisterWorker {
        let mut request = RegisterWorker::new(id, self.options.label.clone(), self.options.lease);
        request.slots = u32::try_from(self.slots.limit()).unwrap_or(u32::MAX);
        request.queues = self.options.queues();
        request.queues.dedup();
        request.kinds = self.kinds.names();
        request
    }
}

fn is_final(error: &BackendError) -> bool {
    !error.is_retryable() && error.kind() != BackendErrorKind::WorkerGone
}
