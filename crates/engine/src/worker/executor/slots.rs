//! How many jobs may run at once, by lane and in all, and how many are in hand.
//!
//! A unit is taken before a fetch and freed when the job's code has ended. The counts are plain atomics: only
//! the [reserve] takes units, under its lock; any task frees them. More units than the limits are taken only
//! for jobs that wait in the reserve or are on their way to it. A lane is one entry of the worker's
//! queues; two lanes may name the same queue with different priorities.
//!
//! [reserve]: crate::worker::fetcher::reserve

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::worker::options::WorkerOptions;

/// The slots of a worker.
#[derive(Debug)]
pub(crate) struct Slots {
    lanes: Vec<Lane>,
    limit: usize,
    used: AtomicUsize,
    /// A waiter wants to wake when fewer than this many are taken; 0 without one.
    wanted: AtomicUsize,
    freed: Notify,
}

#[derive(Debug)]
struct Lane {
    limit: usize,
    used: AtomicUsize,
    /// How many were freed by now; wraps.
    ended: AtomicUsize,
}

impl Slots {
    pub(crate) fn new(options: &WorkerOptions) -> Self {
        let lane = |limit| Lane { limit, used: AtomicUsize::new(0), ended: AtomicUsize::new(0) };
        let lanes: Vec<Lane> = options.queues.iter().map(|queue| lane(queue.slots)).collect();
        let sum = lanes.iter().map(|lane| lane.limit).sum();
        Self {
            lanes,
            limit: options.slots.unwrap_or(sum).min(sum),
            used: AtomicUsize::new(0),
            wanted: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// How many jobs run at once at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// How many jobs of a lane run at once at most.
    pub(crate) fn limit_of(&self, lane: usize) -> usize {
        self.lanes[lane].limit
    }

    /// How many units are taken: for jobs in hand, and for those a fetch in flight may bring.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// How many of them are a lane's.
    pub(crate) fn used_of(&self, lane: usize) -> usize {
        self.lanes[lane].used.load(Ordering::SeqCst)
    }

    /// How many jobs of a lane have ended by now; wraps.
    pub(crate) fn ended_of(&self, lane: usize) -> usize {
        self.lanes[lane].ended.load(Ordering::Relaxed)
    }

    /// Takes units of a lane. How many it may be decides the caller, who is the only one to take.
    pub(crate) fn take(&self, lane: usize, count: usize) {
        self.lanes[lane].used.fetch_add(count, Ordering::SeqCst);
        self.used.fetch_add(count, Ordering::SeqCst);
    }

    /// Frees what was taken for jobs that did not come. Wakes no waiter.
    pub(crate) fn put_back(&self, lane: usize, count: usize) {
        self.lanes[lane].used.fetch_sub(count, Ordering::SeqCst);
        self.used.fetch_sub(count, Ordering::SeqCst);
    }

    /// Frees the units of jobs that have ended.
    pub(crate) fn release(&self, lane: usize, count: usize) {
        if count > 0 {
            self.lanes[lane].ended.fetch_add(count, Ordering::Relaxed);
            self.put_back(lane, count);
            self.wake();
        }
    }

    /// Wakes the waiter for as few units as are taken now.
    pub(crate) fn wake(&self) {
        if self.used() < self.wanted.load(Ordering::SeqCst) {
            self.freed.notify_one();
        }
    }

    /// Tells a fetcher that waits for slots to look again.
    pub(crate) fn nudge(&self) {
        self.freed.notify_one();
    }

    /// Waits until fewer than `count` are taken, or a nudge. May return early, never late.
    ///
    /// # Cancel safety
    /// Nothing is lost: the condition is looked at again.
    pub(crate) async fn until_fewer(&self, count: usize) {
        self.wanted.store(count, Ordering::SeqCst);
        if self.used() >= count {
            self.freed.notified().await;
        }
        self.wanted.store(0, Ordering::SeqCst);
    }
}
