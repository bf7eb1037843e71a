//! What any worker does for all: promote, rescue, prune, audit.
//!
//! No leader is needed: each round is idempotent and safe beside others. Every loop ends when the worker stops.

mod auditor;
pub(crate) mod due;
mod promoter;
mod pruner;
mod rescuer;

use std::sync::Arc;

use crate::worker::shared::Shared;
use crate::worker::watchdog::{Watched, watch};

/// At most this many jobs a round.
const ROUND: usize = 1_000;

/// Starts the loops of a worker; none where its options say so.
pub(crate) fn start(shared: &Arc<Shared>) -> Vec<Watched> {
    if !shared.options.maintenance {
        return Vec::new();
    }
    vec![
        watch("promoter", shared, promoter::promote),
        watch("rescuer", shared, rescuer::rescue),
        watch("pruner", shared, pruner::prune),
        watch("auditor", shared, auditor::audit),
    ]
}
