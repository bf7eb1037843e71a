//! Renews the leases, and brings what the store has to say: lost claims, cancels.
//!
//! It has its own thread, and a backend gives its calls their own connection where there are several, so no
//! other call and no handler can delay it. It also renews after the worker has stopped, until blocking
//! handlers have returned. What it does besides renewing, it
//! leaves to tasks of the runtime that runs the handlers: they start, stop and log.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendError, BackendErrorKind, RenewReply, RenewRequest};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::executor::Executor;
use super::executor::attempt_tasks::Which;
use super::fetcher::appetite::Appetite;
use super::life::incarnation::{Incarnation, Lateness};
use super::store::Store;
use crate::call::Trouble;
use crate::cancel::StopWhy;
use crate::claims::{Claims, Listed};

/// With jobs in hand, where no hint tells of a cancel: it reaches its handler within a second, the call and
/// the handler's waking included.
const UNHINTED_INTERVAL: Duration = Duration::from_millis(700);
/// With jobs in hand, where hints arrive: a cancel whose hint is lost reaches its handler this much later.
const HINTED_INTERVAL: Duration = Duration::from_secs(5);
/// The longest wait after a renewal that failed: the lease may be about to end.
const LONGEST_RETRY: Duration = Duration::from_millis(700);
/// How often this process looks whether a renewal is due. Costs no call.
const TICK: Duration = UNHINTED_INTERVAL;
/// However many hints come, renewals keep this distance.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);
/// How long a cancelled handler may take to come to its end by itself.
const COOPERATION: Duration = Duration::from_secs(1);

/// What renewing uses of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    pub(super) store: Store,
    pub(super) lease: Duration,
    pub(super) cancel_grace: Option<Duration>,
    pub(super) claims: Arc<Claims>,
    /// A renewal is wanted now: a job may be to be cancelled, or a fetch's answer was lost.
    pub(super) pulse: Arc<Notify>,
    pub(super) appetite: Arc<Appetite>,
    pub(super) executor: Arc<Executor>,
    /// The worker's `run` has ended.
    pub(super) left: CancellationToken,
}

impl Heartbeat {
    /// The worker's `run` has ended, and so has all code of its jobs.
    async fn is_left(&self) {
        self.left.cancelled().await;
        self.executor.at_work.over().await;
    }

    /// Runs until the incarnation is gone, its owner aborts it, or its owner has left and no code of a job
    /// runs.
    pub(crate) async fn run(self, incarnation: Arc<Incarnation>) {
        let mut trouble = Trouble::new("renew").on(self.executor.host.runtime());
        let mut late = Lateness::default();
        let mut renewed = Instant::now();
        let mut retry: Option<Instant> = None;
        // A run that is to be cancelled may be on its way, or wait for a slot: it gets the cancel with a
        // later renewal.
        let mut has_cancels = false;
        loop {
            // Jobs may come and go, and hints fall silent, while it waits.
            let now = Instant::now();
            let mut next = retry.unwrap_or(renewed + self.interval(has_cancels)).min(now + TICK);
            if !incarnation.is_fenced() {
                next = next.min(incarnation.fence_at());
            }
            let is_wanted = tokio::select! {
                () = incarnation.gone.cancelled() => return,
                () = self.is_left() => return,
                () = tokio::time::sleep_until(next) => {
                    late.woke(next);
                    false
                }
                () = self.pulse.notified() => {
                    tokio::time::sleep(SHORTEST_INTERVAL).await;
                    true
                }
            };
            self.executor.free_stuck();
            let now = Instant::now();
            let is_due = retry.unwrap_or(renewed + self.interval(has_cancels)) <= now;
            if !is_wanted && !is_due && (incarnation.is_fenced() || now < incarnation.fence_at()) {
                continue;
            }
            if Instant::now() >= incarnation.fence_at() {
                incarnation.fence(&self.store, &self.executor, late);
            }
            let sent = Instant::now();
            retry = match self.renew_or_fence(&incarnation, late).await {
                Ok((reply, listed)) => {
                    trouble.over();
                    late = Lateness::default();
                    if incarnation.renewed(&self.executor.host, sent, reply.expires_in) {
                        // The fetcher held still; what hints reported meanwhile is worth a look now.
                        self.appetite.wake_all();
                    }
                    self.obey(&reply, &listed);
                    has_cancels = !reply.cancels.is_empty();
                    renewed = sent;
                    None
                }
                Err(error) if error.kind() == BackendErrorKind::WorkerGone => {
                    trouble.over();
                    incarnation.gone.cancel();
                    return;
                }
                Err(error) => Some(
                    Instant::now()
                        + trouble.failed(&error).min(LONGEST_RETRY.min(self.interval(has_cancels))),
                ),
            };
        }
    }

    /// The time between two renewals. Without jobs in hand there is nothing to cancel: the lease alone
    /// decides.
    ///
    /// As long as the store names runs to cancel, it is short: their hints have come, and will not again.
    fn interval(&self, has_cancels: bool) -> Duration {
        let of_lease = self.lease / 3;
        if has_cancels {
            of_lease.min(UNHINTED_INTERVAL)
        } else if self.executor.slots.used() == 0 {
            of_lease
        } else if self.store.hears_hints() {
            of_lease.min(HINTED_INTERVAL)
        } else {
            of_lease.min(UNHINTED_INTERVAL)
        }
    }

    /// One renewal. The lease may run out while the store keeps it waiting: the fence does not wait for its
    /// answer.
    async fn renew_or_fence(
        &self,
        incarnation: &Incarnation,
        late: Lateness,
    ) -> Result<(RenewReply, Listed), BackendError> {
        let mut renewal = std::pin::pin!(self.renew(incarnation));
        if !incarnation.is_fenced() {
            tokio::select! {
                biased;
                answer = &mut renewal => return answer,
                () = tokio::time::sleep_until(incarnation.fence_at()) => incarnation.fence(&self.store, &self.executor, late),
            }
        }
        renewal.await
    }

    /// One renewal. It is given up early enough for another one before the lease ends.
    async fn renew(&self, incarnation: &Incarnation) -> Result<(RenewReply, Listed), BackendError> {
        let _renewing = Renewing(&self.claims);
        let listed = self.claims.begin_renewal();
        let deadline = self.store.deadline().min(self.lease / 4);
        let request = RenewRequest::new(incarnation.id, listed.known.clone());
        let renewed = self.store.ask_within(deadline, "renew", |backend, call| backend.renew(call, request));
        renewed.await.map(|reply| (reply, listed))
    }

    fn obey(&self, reply: &RenewReply, listed: &Listed) {
        let lost: Vec<_> = listed.lost(&reply.lost).filter(|claim| self.claims.holds(*claim)).collect();
        if !lost.is_empty() {
            for claim in &lost {
                self.claims.forget(*claim);
            }
            self.executor.give_back_unstarted_of(&lost);
            self.executor.stop(Which::Claims(lost), StopWhy::LeaseLost, Duration::ZERO);
        }
        if !reply.cancels.is_empty() {
            let cooperation = self.cancel_grace.unwrap_or(COOPERATION);
            self.executor.stop(Which::Runs(reply.cancels.clone()), StopWhy::Cancelled, cooperation);
        }
        if !reply.given_back.is_empty() {
            let claims = reply.given_back.len();
            self.executor.host.say(move || {
                gristmill_core::log!(
                    debug,
                    name: "claims_given_back", target: "gristmill::worker", claims,
                    "jobs of a fetch whose answer was lost are given back"
                );
            });
        }
    }
}

/// Fetches wait for a renewal in flight only while it is.
struct Renewing<'a>(&'a Claims);

impl Drop for Renewing<'_> {
    fn drop(&mut self) {
        self.0.end_renewal();
    }
}
