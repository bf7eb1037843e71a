//! The end of a worker: nothing waits for a lease to expire.
//!
//! In order: no more fetches; what has not started is given back; running handlers have the grace; then they
//! are signalled, have a moment, and the async ones are dropped and given back; blocking ones keep their
//! leases until they return, also after the worker has left; ends are stored; the worker retires. A second
//! stop ends the grace. All of it ends within the grace and a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::control::Control;
use super::incarnation::Incarnation;
use crate::call::later;
use crate::cancel::StopWhy;
use crate::report::{Counters, WorkerReport};
use crate::watchdog::Watched;
use crate::worker::executor::Executor;
use crate::worker::executor::attempt_tasks::Which;
use crate::worker::store::Store;

/// How long a fetch in flight is waited for.
const LAST_FETCH: Duration = Duration::from_millis(400);
/// How long a cooperative handler has after the grace.
const COOPERATION: Duration = Duration::from_millis(150);
/// Everything after the grace: the moment above, blocking handlers that are about to return, the last calls.
const AFTER_GRACE: Duration = Duration::from_millis(900);
/// The part of it that is kept for the last calls.
const LAST_CALLS: Duration = Duration::from_millis(400);

/// What keeps the leases of an incarnation.
pub(crate) struct LeaseKeeper {
    pub(crate) incarnation: Arc<Incarnation>,
    pub(crate) heartbeat: Watched,
}

/// What the end of a worker uses of it.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    pub(crate) store: Store,
    pub(crate) grace: Duration,
    pub(crate) control: Arc<Control>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) counters: Arc<Counters>,
}

impl Shutdown {
    /// Stops a worker whose loops still run but shall fetch no more.
    pub(crate) async fn shut_down(&self, incarnation: &Incarnation, fetcher: Watched) -> WorkerReport {
        // The grace counts from here for everything that runs, whatever the fetch in flight does.
        let last_fetch = async {
            fetcher.end(LAST_FETCH).await;
            self.executor.give_back_unstarted();
        };
        let (all_over, ()) = tokio::join!(self.stop_handlers(incarnation), last_fetch);
        let _ = tokio::time::timeout_at(all_over - LAST_CALLS / 2, self.executor.finishes.emptied()).await;
        let mut report = self.report();
        if report.is_clean() {
            self.retire(incarnation, all_over).await;
        }
        report.stats = self.counters.snapshot();
        report
    }

    /// Gives back what has not started and lets the rest run within the grace; then stops it. Says when the
    /// worker leaves.
    async fn stop_handlers(&self, incarnation: &Incarnation) -> Instant {
        let grace_ends = later(self.grace);
        self.executor.give_back_unstarted();
        tokio::select! {
            () = self.all_ended() => {}
            () = tokio::time::sleep_until(grace_ends) => {}
            () = self.control.forced.cancelled() => {}
            () = incarnation.gone.cancelled() => {}
        }
        let all_over = Instant::now() + AFTER_GRACE;
        self.stop_the_rest(all_over - LAST_CALLS).await;
        all_over
    }

    /// Goes on behind a worker that has left, for handlers that block a thread and cannot be stopped: their
    /// leases are renewed until they return, and how they ended is stored.
    pub(crate) async fn outlive(self, keeper: LeaseKeeper, completer: Watched) {
        tokio::select! {
            () = self.all_ended() => {}
            () = keeper.incarnation.gone.cancelled() => {}
        }
        let until = Instant::now() + AFTER_GRACE;
        let stored = tokio::time::timeout_at(until, self.executor.finishes.emptied()).await.is_ok();
        if stored && self.executor.slots.used() == 0 {
            self.retire(&keeper.incarnation, until + LAST_CALLS).await;
        }
        completer.end(Duration::ZERO).await;
        keeper.heartbeat.end(Duration::ZERO).await;
    }

    /// Stops what is left of a worker that the store no longer knows.
    pub(crate) async fn without_incarnation(&self) -> WorkerReport {
        let all_over = Instant::now() + AFTER_GRACE;
        self.executor.give_back_unstarted();
        self.stop_the_rest(all_over - LAST_CALLS).await;
        let _ = tokio::time::timeout_at(all_over, self.executor.finishes.emptied()).await;
        self.report()
    }

    fn report(&self) -> WorkerReport {
        let report = WorkerReport {
            stats: self.counters.snapshot(),
            left_running: self.executor.slots.used(),
            unrecorded: self.executor.finishes.len(),
        };
        if !report.is_clean() {
            gristmill_core::log!(
                error,
                name: "unclean_stop", target: "gristmill::worker",
                left_running = report.left_running, unrecorded = report.unrecorded,
                "the worker leaves before everything has ended: what still runs keeps its lease while this process lives, \
                 and is rescued after it"
            );
        }
        report
    }

    async fn stop_the_rest(&self, until: Instant) {
        if self.executor.slots.used() == 0 {
            return;
        }
        gristmill_core::log!(
            warn,
            name: "grace_over", target: "gristmill::worker", running = self.executor.slots.used(),
            "handlers still run at the end of the grace: they are stopped and their jobs given back"
        );
        self.executor.stop(Which::All, StopWhy::Shutdown, COOPERATION);
        if tokio::time::timeout(COOPERATION, self.all_ended()).await.is_err() {
            self.executor.abort_all();
            let _ = tokio::time::timeout_at(until, self.all_ended()).await;
        }
    }

    /// Waits until no job is in hand.
    ///
    /// # Cancel safety
    /// It only looks.
    async fn all_ended(&self) {
        while self.executor.slots.used() > 0 {
            self.executor.slots.until_fewer(1).await;
        }
    }

    /// The store gives back at once whatever it believes the worker still holds.
    async fn retire(&self, incarnation: &Incarnation, until: Instant) {
        let call = self.store.backend().retire_worker(self.store.call(), incarnation.id);
        match tokio::time::timeout_at(until, call).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => gristmill_core::log!(
                warn,
                name: "retire_failed", target: "gristmill::worker", error = %format_args!("{error:#}"),
                "the worker could not retire; its registration ends with its lease"
            ),
            Err(_) => gristmill_core::log!(
                warn,
                name: "retire_failed", target: "gristmill::worker",
                "the worker's retirement was not answered; its registration ends with its lease"
            ),
        }
    }
}
