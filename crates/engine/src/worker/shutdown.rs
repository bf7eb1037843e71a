//! The end of a worker: nothing waits for a lease to expire.
//!
//! In order: no more fetches; what has not started is given back; running handlers have the grace; then they are told,
//! have a moment, and the async ones are dropped and given back; blocking ones keep their leases until they return or
//! the worker leaves; ends are stored; the worker retires. A second stop ends the grace. All of it ends within
//! the grace and a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Life;
use super::executor::give_back_unstarted;
use super::incarnation::Incarnation;
use super::report::WorkerReport;
use super::running::{Which, abort_all, stop_attempts};
use super::shared::Shared;
use super::watchdog::Watched;
use crate::call::later;
use crate::cancel::StopWhy;

/// How long a fetch in flight is waited for.
const LAST_FETCH: Duration = Duration::from_millis(400);
/// How long a cooperative handler has after the grace.
const COOPERATION: Duration = Duration::from_millis(150);
/// Everything after the grace: the moment above, blocking handlers that are about to return, the last calls.
const AFTER_GRACE: Duration = Duration::from_millis(900);
/// The part of it that is kept for the last calls.
const LAST_CALLS: Duration = Duration::from_millis(400);

/// Stops a worker whose loops still run but shall fetch no more.
pub(crate) async fn shut_down(
    shared: &Arc<Shared>,
    incarnation: &Incarnation,
    fetcher: Watched,
) -> WorkerReport {
    // The grace counts from here for everything that runs, whatever the fetch in flight does.
    let last_fetch = async {
        fetcher.end(LAST_FETCH).await;
        give_back_unstarted(shared);
    };
    let (all_over, ()) = tokio::join!(stop_handlers(shared, incarnation), last_fetch);
    let _ = tokio::time::timeout_at(all_over - LAST_CALLS / 2, shared.finishes.emptied()).await;
    let mut report = report(shared);
    if report.is_clean() {
        retire(shared, incarnation, all_over).await;
    }
    report.stats = shared.counters.snapshot();
    report
}

/// Gives back what has not started and lets the rest run within the grace; then stops it. Says when the worker leaves.
async fn stop_handlers(shared: &Arc<Shared>, incarnation: &Incarnation) -> Instant {
    let grace_ends = later(shared.options.grace);
    give_back_unstarted(shared);
    tokio::select! {
        () = all_ended(shared) => {}
        () = tokio::time::sleep_until(grace_ends) => {}
        () = shared.control.forced.cancelled() => {}
        () = incarnation.gone.cancelled() => {}
    }
    let all_over = Instant::now() + AFTER_GRACE;
    stop_the_rest(shared, all_over - LAST_CALLS).await;
    all_over
}

/// Goes on behind a worker that has left, for handlers that block a thread and cannot be stopped: their leases are
/// renewed until they return, and how they ended is stored.
pub(crate) async fn outlive(shared: Arc<Shared>, life: Life, completer: Watched) {
    tokio::select! {
        () = all_ended(&shared) => {}
        () = life.incarnation.gone.cancelled() => {}
    }
    let until = Instant::now() + AFTER_GRACE;
    let stored = tokio::time::timeout_at(until, shared.finishes.emptied()).await.is_ok();
    if stored && shared.slots.used() == 0 {
        retire(&shared, &life.incarnation, until + LAST_CALLS).await;
    }
    completer.end(Duration::ZERO).await;
    life.heartbeat.end(Duration::ZERO).await;
}

/// Stops what is left of a worker that the store no longer knows.
pub(crate) async fn without_incarnation(shared: &Arc<Shared>) -> WorkerReport {
    let all_over = Instant::now() + AFTER_GRACE;
    give_back_unstarted(shared);
    stop_the_rest(shared, all_over - LAST_CALLS).await;
    let _ = tokio::time::timeout_at(all_over, shared.finishes.emptied()).await;
    report(shared)
}

fn report(shared: &Shared) -> WorkerReport {
    let report = WorkerReport {
        stats: shared.counters.snapshot(),
        left_running: shared.slots.used(),
        unrecorded: shared.finishes.len(),
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

async fn stop_the_rest(shared: &Arc<Shared>, until: Instant) {
    if shared.slots.used() == 0 {
        return;
    }
    gristmill_core::log!(
        warn,
        name: "grace_over", target: "gristmill::worker", running = shared.slots.used(),
        "handlers still run at the end of the grace: they are stopped and their jobs given back"
    );
    stop_attempts(shared, Which::All, StopWhy::Shutdown, COOPERATION);
    if tokio::time::timeout(COOPERATION, all_ended(shared)).await.is_err() {
        abort_all(shared);
        let _ = tokio::time::timeout_at(until, all_ended(shared)).await;
    }
}

/// Waits until no job is in hand.
///
/// # Cancel safety
/// It only looks.
async fn all_ended(shared: &Shared) {
    while shared.slots.used() > 0 {
        shared.slots.until_fewer(1).await;
    }
}

/// The store gives back at once whatever it believes the worker still holds.
async fn retire(shared: &Shared, incarnation: &Incarnation, until: Instant) {
    let call = shared.backend().retire_worker(shared.call(), incarnation.id);
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
