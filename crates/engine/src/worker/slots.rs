//! How many jobs may run at once, by lane and in all.
//!
//! A slot is taken before a fetch and freed when the job's code has ended. Plain atomics: the fetcher is the only one
//! that takes, everybody frees. A lane is one entry of the worker's queues; two lanes may name the same queue with
//! different priorities.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::options::WorkerOptions;

/// The slots of a worker.
#[derive(Debug)]
pub(crate) struct Slots {
    lanes: Vec<Lane>,
    limit: usize,
    used: AtomicUsize,
    /// The fetcher wants to be told when this many are free.
    wanted: AtomicUsize,
    freed: Notify,
}

#[derive(Debug)]
struct Lane {
    limit: usize,
    used: AtomicUsize,
}

impl Slots {
    pub(crate) fn new(options: &WorkerOptions) -> Self {
        let lanes: Vec<Lane> = options
            .queues
            .iter()
            .map(|queue| Lane { limit: queue.slots, used: AtomicUsize::new(0) })
            .collect();
        let sum = lanes.iter().map(|lane| lane.limit).sum();
        Self {
            lanes,
            limit: options.slots.unwrap_or(sum).min(sum),
            used: AtomicUsize::new(0),
            wanted: AtomicUsize::new(usize::MAX),
            freed: Notify::new(),
        }
    }

    /// How many there are.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// How many are taken: for jobs in hand, and for those a fetch in flight may bring.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// How many are free over all lanes.
    pub(crate) fn free(&self) -> usize {
        self.limit.saturating_sub(self.used())
    }

    /// Takes at most `max` of a lane; says how many.
    pub(crate) fn take(&self, lane: usize, max: usize) -> usize {
        let Lane { limit, used } = &self.lanes[lane];
        let taken = limit.saturating_sub(used.load(Ordering::SeqCst)).min(self.free()).min(max);
        used.fetch_add(taken, Ordering::SeqCst);
        self.used.fetch_add(taken, Ordering::SeqCst);
        taken
    }

    /// Frees some of a lane.
    pub(crate) fn release(&self, lane: usize, count: usize) {
        if count == 0 {
            return;
        }
        self.lanes[lane].used.fetch_sub(count, Ordering::SeqCst);
        self.used.fetch_sub(count, Ordering::SeqCst);
        if self.free() >= self.wanted.load(Ordering::SeqCst) {
            self.freed.notify_one();
        }
    }

    /// Tells a fetcher that waits for slots to look again.
    pub(crate) fn nudge(&self) {
        self.freed.notify_one();
    }

    /// Waits until at least `count` are free, or a nudge. May return early, never late.
    ///
    /// # Cancel safety
    /// Nothing is lost: the condition is looked at again.
    pub(crate) async fn wait_for(&self, count: usize) {
        self.wanted.store(count, Ordering::SeqCst);
        if self.free() < count {
            self.freed.notified().await;
        }
        self.wanted.store(usize::MAX, Ordering::SeqCst);
    }
}
