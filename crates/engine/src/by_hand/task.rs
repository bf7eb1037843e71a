//! The tasks of the worker: heartbeat; give-backs and maintenance.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::call::{Trouble, answer};
use crate::lease::{DEFAULT_LEASE, LocalLease};

/// How often it shows life while it holds leases: a cancel arrives within it.
const BUSY_INTERVAL: Duration = Duration::from_secs(1);
/// How often it does while it holds none, and how often it maintains the store.
const IDLE_INTERVAL: Duration = Duration::from_secs(10);
/// How much one round of maintenance does.
const MAINTAIN_LIMIT: usize = 1_000;

/// Renews until `end`, or until the store does not know the worker any more. On a thread of its own: neither
/// code of a job nor another call of the client holds it up.
pub(super) async fn beat(shared: Arc<Shared>, end: CancellationToken) {
    let mut beaten = Instant::now();
    let mut trouble = Trouble::new("renew").on(shared.runtime());
    loop {
        // Counted from the latest heartbeat: however often it is woken, the next one comes in time.
        let interval = interval(&shared);
        tokio::select! {
            () = end.cancelled() => return,
            () = shared.gone.cancelled() => return,
            () = shared.arrived.notified() => {}
            () = tokio::time::sleep_until(beaten + interval) => {
                beaten = Instant::now();
                shared.held().hurry = false;
                match shared.renew().await {
                    Ok(()) => trouble.over(),
                    Err(error) => drop(trouble.failed(&error)),
                }
            }
        }
        let lease = LocalLease { renewed: shared.held().renewed, length: DEFAULT_LEASE };
        if lease.fence_at() <= Instant::now() {
            shared.say(|| {
                gristmill_core::log!(
                    error,
                    "the lease of jobs fetched by hand could not be renewed: they are stopped"
                );
            });
            shared.lose_all();
        }
    }
}

/// Gives back what was dropped and maintains the store, until `end`; then retires the worker.
pub(super) async fn tend(shared: Arc<Shared>, end: CancellationToken) {
    let mut maintained = Instant::now();
    let mut trouble = Trouble::new("finish");
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            () = shared.gone.cancelled() => return,
            () = shared.wake.notified() => {}
            () = tokio::time::sleep_until(maintained + IDLE_INTERVAL) => {}
            () = tokio::time::sleep(BUSY_INTERVAL), if shared.has_dropped() => {}
        }
        shared.give_back_dropped(&mut trouble).await;
        if maintained.elapsed() >= IDLE_INTERVAL {
            maintain(&shared).await;
            maintained = Instant::now();
        }
    }
    shared.give_back_dropped(&mut trouble).await;
    let retired = shared.backend.retire_worker(shared.call(), shared.worker);
    if let Err(error) = answer(shared.deadline, "retire_worker", retired).await {
        gristmill_core::log!(
            debug,
            error = %format_args!("{error:#}"),
            "a worker by hand was not retired; its lease ends by itself"
        );
    }
}

fn interval(shared: &Shared) -> Duration {
    let held = shared.held();
    match (held.hurry, held.is_empty()) {
        (true, _) => Duration::ZERO,
        (false, false) => BUSY_INTERVAL,
        (false, true) => IDLE_INTERVAL,
    }
}

/// What keeps a store going where no other worker runs. Failures wait for the next round.
async fn maintain(shared: &Shared) {
    let promoted = shared.promote().await.err();
    let rescued = shared.backend.rescue(shared.call(), MAINTAIN_LIMIT);
    let rescued = answer(shared.deadline, "rescue", rescued).await.err().map(Into::into);
    let pruned = shared.backend.prune(shared.call(), MAINTAIN_LIMIT);
    let pruned = answer(shared.deadline, "prune", pruned).await.err().map(Into::into);
    for error in [promoted, rescued, pruned].into_iter().flatten() {
        gristmill_core::log!(debug, error = %format_args!("{error:#}"), "a round of maintenance was left out");
    }
}
