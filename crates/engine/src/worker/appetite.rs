//! Which queues may have something to fetch.
//!
//! A hint, a promotion or a full answer makes a lane hungry; an exhausted one is left alone until the next hint or its
//! time to be looked at again. The flag is cleared before the fetch is sent, so that a hint that comes meanwhile counts.

use std::sync::atomic::{AtomicBool, Ordering};

use gristmill_core::Name;
use tokio::sync::Notify;

use super::options::WorkerOptions;

/// The lanes' flags, and the bell of the fetcher.
#[derive(Debug)]
pub(crate) struct Appetite {
    lanes: Vec<(Name, AtomicBool)>,
    bell: Notify,
}

impl Appetite {
    /// Everything is worth a first look.
    pub(crate) fn new(options: &WorkerOptions) -> Self {
        let lanes = options.queues.iter().map(|lane| (lane.queue.clone(), AtomicBool::new(true))).collect();
        Self { lanes, bell: Notify::new() }
    }

    /// The queue may have something.
    pub(crate) fn wake(&self, queue: &Name) {
        let mut news = false;
        for (_, hungry) in self.lanes.iter().filter(|(name, _)| name == queue) {
            news |= !hungry.swap(true, Ordering::SeqCst);
        }
        if news {
            self.bell.notify_one();
        }
    }

    /// Every queue may have something.
    pub(crate) fn wake_all(&self) {
        for (_, hungry) in &self.lanes {
            hungry.store(true, Ordering::SeqCst);
        }
        self.bell.notify_one();
    }

    /// The lane had more, or nobody looked.
    pub(crate) fn keep(&self, lane: usize) {
        self.lanes[lane].1.store(true, Ordering::SeqCst);
    }

    /// Whether the lane is hungry.
    pub(crate) fn is_hungry(&self, lane: usize) -> bool {
        self.lanes[lane].1.load(Ordering::SeqCst)
    }

    /// Whether the lane was hungry; it no longer is.
    pub(crate) fn begin(&self, lane: usize) -> bool {
        self.lanes[lane].1.swap(false, Ordering::SeqCst)
    }

    /// Whether any lane is hungry.
    pub(crate) fn any(&self) -> bool {
        self.lanes.iter().any(|(_, hungry)| hungry.load(Ordering::SeqCst))
    }

    /// Waits for the bell.
    ///
    /// # Cancel safety
    /// Nothing is lost: the flags stay.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}
