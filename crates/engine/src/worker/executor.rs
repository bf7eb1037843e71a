//! Gives fetched jobs their slots and their tasks, and takes their ends.
//!
//! A batch is cut into chunks, one task each ([`batch`]), in which its [attempts](attempt) begin.
//! Their ends are handed over here, many at once: they go to the completer, and their slots to the jobs that
//! wait for one. So an attempt that ends may start the next, and these three modules need each other.

mod attempt;
pub(crate) mod attempt_tasks;
mod batch;
pub(crate) mod chunk;
mod code;
pub(crate) mod pace;
pub(crate) mod ready;
pub(crate) mod slots;
pub(crate) mod start;
pub(crate) mod timeouts;
pub(crate) mod transaction;

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::ClaimId;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::completer::answers::Answers;
use super::completer::finishes::Finishes;
use super::fetcher::reserve::Reserve;
use super::life::host::Host;
use crate::at_work::AtWork;
use crate::cancel::StopWhy;
use crate::claims::Claims;
use crate::run_result::RunResult;
use attempt_tasks::{AttemptTasks, Which};
use chunk::Chunks;
use ready::Ready;
use slots::Slots;
use start::Starter;

/// A task of its own is worth it for this many jobs at least.
const SMALLEST_CHUNK: usize = 64;
/// How long handlers whose lease is lost may take to come to their end.
const BURIED_WITHIN: Duration = Duration::from_millis(100);

/// What attempts use of a worker, from their slot to their hand-over.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(super) starter: Starter,
    pub(super) host: Host,
    pub(super) stopping: CancellationToken,
    pub(super) slots: Arc<Slots>,
    pub(super) reserve: Arc<Reserve>,
    pub(super) chunks: Chunks,
    pub(super) running: Arc<AttemptTasks>,
    pub(super) at_work: Arc<AtWork>,
    pub(super) claims: Arc<Claims>,
    pub(super) finishes: Arc<Finishes>,
    pub(super) answers: Answers,
}

/// Jobs in.
impl Executor {
    /// Starts of a fetched batch what may run; the rest waits for slots.
    pub(crate) fn admit(self: &Arc<Self>, jobs: Vec<Ready>) {
        self.start(self.reserve.pass(jobs));
    }

    /// Starts jobs that have their slots.
    fn start(self: &Arc<Self>, mut jobs: Vec<Ready>) {
        if jobs.is_empty() {
            return;
        }
        let chunks = jobs.len().div_ceil(SMALLEST_CHUNK).min(self.host.threads()).max(1);
        let length = jobs.len().div_ceil(chunks);
        while jobs.len() > length {
            let rest = jobs.split_off(jobs.len() - length);
            batch::spawn(self, rest);
        }
        batch::spawn(self, jobs);
    }

    /// Lets another task run what waits behind a handler that does not yield, and gives back what waits for
    /// slots in vain.
    pub(crate) fn free_stuck(self: &Arc<Self>) {
        let (ended, rest) = self.chunks.take_stuck();
        self.hand_over(ended);
        self.start(rest);
        self.give_back(self.reserve.take_idle());
    }
}

/// Ends out.
impl Executor {
    /// Ends go to the completer; then their slots are free. In this order, so that an empty worker has
    /// nothing left to record.
    pub(crate) fn hand_over(self: &Arc<Self>, ended: Vec<RunResult>) {
        let Some(first) = ended.first().map(|ended| ended.lane) else { return };
        let mut others: Vec<usize> = Vec::new();
        others.extend(ended.iter().map(|ended| ended.lane).filter(|lane| *lane != first));
        let count = ended.len() - others.len();
        self.finishes.push_all(ended);
        self.free(first, count);
        for lane in others {
            self.free(lane, 1);
        }
    }

    /// Frees slots, and starts on them what waits for some.
    pub(crate) fn free(self: &Arc<Self>, lane: usize, count: usize) {
        self.slots.release(lane, count);
        if self.reserve.is_empty() {
            return;
        }
        // A task that is dropped with its runtime, or after it, cannot start another.
        if self.stopping.is_cancelled() || Handle::try_current().is_err() {
            self.give_back(self.reserve.take_all());
        } else {
            self.start(self.reserve.start());
        }
    }

    /// Gives back jobs that have not started. Those of a claim that is lost only free their slots: the store
    /// would count them as stale.
    pub(crate) fn give_back(self: &Arc<Self>, jobs: Vec<Ready>) {
        let (held, lost): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|ready| self.claims.holds(ready.job.lease.claim));
        for ready in lost {
            self.free(ready.lane, 1);
        }
        self.hand_over(held.into_iter().map(RunResult::not_started).collect());
    }

    /// Gives back everything that has not started.
    pub(crate) fn give_back_unstarted(self: &Arc<Self>) {
        // First what waits for slots, so that none of it starts on those that are freed here.
        let mut jobs = self.reserve.take_all();
        jobs.extend(self.chunks.take_unstarted());
        self.give_back(jobs);
    }

    /// Frees the slots of what has not started of claims that are lost.
    pub(crate) fn give_back_unstarted_of(self: &Arc<Self>, claims: &[ClaimId]) {
        let mut jobs = self.reserve.take_of(claims);
        jobs.extend(self.chunks.take_unstarted_of(claims));
        self.give_back(jobs);
    }

    /// The store has ended the worker's lease: what runs has lost the right to, and what is given back would
    /// be stale. Called again when nothing is fetched any more, for a handler that was just starting.
    pub(crate) fn bury(self: &Arc<Self>) {
        self.claims.forget_all();
        self.give_back_unstarted();
        self.stop(Which::All, StopWhy::LeaseLost, BURIED_WITHIN);
    }

    /// Signals attempts to stop before it returns; after `patience` a task drops the async ones that are
    /// still there. Blocking ones go on until they return.
    pub(crate) fn stop(&self, which: Which, why: StopWhy, patience: Duration) {
        let keys = self.running.stop(which, why);
        if keys.is_empty() {
            return;
        }
        let running = self.running.clone();
        self.host.spawn(async move {
            tokio::time::sleep(patience).await;
            running.abort(&keys);
        });
    }

    /// Drops every async attempt now.
    pub(crate) fn abort_all(&self) {
        self.running.abort_all();
    }

    /// Drops everything, for a worker that is dropped while it runs. Jobs keep their leases.
    pub(crate) fn abandon(&self) {
        drop(self.chunks.take_unstarted());
        drop(self.reserve.take_all());
        self.abort_all();
    }
}
