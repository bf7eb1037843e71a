//! Whether a worker has something to do.

use std::sync::Arc;

use crate::report::Counters;
use crate::worker::completer::finishes::Finishes;
use crate::worker::executor::slots::Slots;

/// What it is seen by: jobs in hand, ends on their way to the store, fetches that brought jobs.
#[derive(Debug, Clone)]
pub(crate) struct Activity {
    counters: Arc<Counters>,
    slots: Arc<Slots>,
    finishes: Arc<Finishes>,
    /// The number of fetched jobs at the last look.
    fetched: u64,
}

impl Activity {
    pub(crate) fn new(counters: Arc<Counters>, slots: Arc<Slots>, finishes: Arc<Finishes>) -> Self {
        Self { counters, slots, finishes, fetched: 0 }
    }

    /// Whether jobs were fetched since the last call.
    pub(crate) fn has_fetched(&mut self) -> bool {
        let now = self.counters.snapshot().fetched;
        std::mem::replace(&mut self.fetched, now) != now
    }

    /// Whether a job is in hand or an end is not stored.
    pub(crate) fn is_busy(&self) -> bool {
        self.slots.used() > 0 || self.finishes.len() > 0
    }
}
