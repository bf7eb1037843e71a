//! One fetch on its way: sent until it is answered, its claim number known meanwhile.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gristmill_core::{BackendErrorKind, ClaimId, FetchReply, FetchRequest};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use crate::call::Trouble;
use crate::claims::Claims;
use crate::report::Counters;
use crate::worker::life::incarnation::Incarnation;
use crate::worker::store::Store;

/// What the calls of a fetcher have in common.
pub(super) struct FetchCalls<'a> {
    pub(super) store: &'a Store,
    pub(super) claims: &'a Claims,
    pub(super) pulse: &'a Notify,
    pub(super) counters: &'a Counters,
    pub(super) stopping: &'a CancellationToken,
    pub(super) incarnation: &'a Incarnation,
    /// The longest deadline of a call.
    pub(super) lease: Duration,
    pub(super) trouble: Mutex<Trouble>,
}

/// An answer, the plan it is for, and how long it took.
pub(super) struct Fetched {
    pub(super) reply: FetchReply,
    pub(super) plan: Plan,
    pub(super) took: Duration,
}

impl FetchCalls<'_> {
    /// Sends the plan until it is answered: a repeat has the same number and gets the same jobs. `None` when
    /// there is no answer to wait for any more; what the claim holds is given back by the next renewal.
    pub(super) async fn send(&self, plan: Plan) -> Option<Fetched> {
        let trouble = || self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, incarnation) = (self.store, self.incarnation);
        let claim = OpenFetch::begin(self.claims, self.pulse).await;
        // What one claim holds may be too much for the usual deadline, and a repeat gets the same jobs.
        let mut deadline = store.deadline();
        loop {
            let sent = Instant::now();
            let request = FetchRequest::new(incarnation.id, claim.id, plan.wants());
            let fetched = store.ask_within(deadline, "fetch", |backend, call| backend.fetch(call, request));
            let error = match fetched.await {
                Ok(reply) => {
                    trouble().over();
                    claim.granted(reply.jobs.len());
                    self.counters.fetched.add(reply.jobs.len() as u64);
                    return Some(Fetched { reply, plan, took: sent.elapsed() });
                }
                Err(error) => error,
            };
            if error.kind() == BackendErrorKind::WorkerGone {
                incarnation.gone.cancel();
                return None;
            }
            if error.kind() == BackendErrorKind::TimedOut {
                deadline = (deadline * 2).min(self.lease.max(store.deadline()));
            }
            let delay = trouble().failed(&error);
            tokio::select! {
                () = self.stopping.cancelled() => return None,
                () = incarnation.gone.cancelled() => return None,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }
}

/// A claim number whose fetch is in flight; forgotten when it is dropped without an answer.
#[derive(Debug)]
struct OpenFetch<'a> {
    id: ClaimId,
    claims: &'a Claims,
    pulse: &'a Notify,
    answered: bool,
}

impl<'a> OpenFetch<'a> {
    async fn begin(claims: &'a Claims, pulse: &'a Notify) -> Self {
        Self { id: claims.begin().await, claims, pulse, answered: false }
    }

    fn granted(mut self, jobs: usize) {
        self.answered = true;
        self.claims.granted(self.id, jobs);
    }
}

impl Drop for OpenFetch<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.claims.forget(self.id);
            // The sooner a renewal leaves it out, the sooner its jobs are back.
            self.pulse.notify_one();
        }
    }
}
