//! What any worker does for all: promote, rescue, prune, audit.
//!
//! No leader is needed: each round is idempotent and safe beside others. Every loop ends when the worker
//! stops.

mod auditor;
pub(crate) mod due;
mod promoter;
mod pruner;
mod rescuer;
mod round;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fetcher::appetite::Appetite;
use super::store::Store;
use crate::hooks::Hooks;
use crate::report::Counters;
use crate::watchdog::{Watchdog, Watched};
use auditor::Auditor;
use due::Due;
use promoter::Promoter;
use pruner::Pruner;
use rescuer::Rescuer;

/// What the loops of maintenance use of a worker.
#[derive(Debug)]
pub(crate) struct Maintenance {
    pub(super) store: Store,
    pub(super) stopping: CancellationToken,
    pub(super) lease: Duration,
    pub(super) due: Arc<Due>,
    pub(super) appetite: Arc<Appetite>,
    pub(super) counters: Arc<Counters>,
    pub(super) hooks: Hooks,
}

impl Maintenance {
    /// Starts the loops.
    pub(crate) fn start(self, watchdog: &Watchdog) -> Vec<Watched> {
        let Self { store, stopping, lease, due, appetite, counters, hooks } = self;
        let promoter = Promoter {
            store: store.clone(),
            stopping: stopping.clone(),
            due: due.clone(),
            appetite: appetite.clone(),
        };
        let pruner = Pruner { store: store.clone(), stopping: stopping.clone() };
        let auditor = Auditor {
            store: store.clone(),
            stopping: stopping.clone(),
            counters: counters.clone(),
            appetite: appetite.clone(),
        };
        let rescuer = Rescuer { store, stopping, lease, counters, hooks, appetite, due };
        vec![
            watchdog.watch("promoter", move || promoter.clone().run()),
            watchdog.watch("rescuer", move || rescuer.clone().run()),
            watchdog.watch("pruner", move || pruner.clone().run()),
            watchdog.watch("auditor", move || auditor.clone().run()),
        ]
    }
}
