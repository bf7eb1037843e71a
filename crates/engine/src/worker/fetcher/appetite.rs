//! Which queues may have something to fetch.
//!
//! A hint, a promotion or a full answer makes a lane hungry; an exhausted one is left alone until the next
//! hint or its time to be looked at again. The flag is cleared before the fetch is sent, so that a hint that
//! comes meanwhile counts.
//!
//! To find out which lanes have something, where no hint names them, a worker looks at all of them in one
//! call and fetches from those alone. Only a few lanes are fetched from at once, since a fetch costs little
//! more than a look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use gristmill_core::Name;
use tokio::sync::Notify;

use crate::worker::options::WorkerOptions;

/// So many lanes are fetched from without a look at which of them have something.
const FEW_LANES: usize = 8;

/// The lanes' flags, and the bell of the fetcher.
#[derive(Debug)]
pub(crate) struct Appetite {
    lanes: Vec<AtomicBool>,
    /// The lanes of each queue.
    of_queue: HashMap<Name, Vec<usize>>,
    /// All lanes are worth a look.
    look: AtomicBool,
    bell: Notify,
}

impl Appetite {
    /// Everything is worth a first look.
    pub(crate) fn new(options: &WorkerOptions) -> Self {
        let is_many = options.queues.len() > FEW_LANES;
        let lanes = options.queues.iter().map(|_| AtomicBool::new(!is_many)).collect();
        let mut of_queue: HashMap<Name, Vec<usize>> = HashMap::new();
        for (lane, queue) in options.queues.iter().enumerate() {
            of_queue.entry(queue.queue.clone()).or_default().push(lane);
        }
        Self { lanes, of_queue, look: AtomicBool::new(is_many), bell: Notify::new() }
    }

    /// The queue may have something.
    pub(crate) fn wake(&self, queue: &Name) {
        let mut news = false;
        for lane in self.lanes_of(queue) {
            news |= !self.lanes[*lane].swap(true, Ordering::SeqCst);
        }
        if news {
            self.bell.notify_one();
        }
    }

    /// Every queue may have something.
    pub(crate) fn wake_all(&self) {
        if self.lanes.len() > FEW_LANES {
            self.look();
        } else {
            (0..self.lanes.len()).for_each(|lane| self.mark_hungry(lane));
        }
        self.bell.notify_one();
    }

    /// All lanes are worth a look.
    pub(crate) fn look(&self) {
        self.look.store(true, Ordering::SeqCst);
    }

    /// Whether all lanes are worth a look; they no longer are.
    pub(crate) fn begin_look(&self) -> bool {
        self.look.swap(false, Ordering::SeqCst)
    }

    /// The lanes of a queue.
    pub(crate) fn lanes_of(&self, queue: &Name) -> &[usize] {
        self.of_queue.get(queue).map_or(&[], Vec::as_slice)
    }

    /// The lane had more, or was not looked at: marks it hungry.
    pub(crate) fn mark_hungry(&self, lane: usize) {
        self.lanes[lane].store(true, Ordering::SeqCst);
    }

    /// Whether the lane is hungry.
    pub(crate) fn is_hungry(&self, lane: usize) -> bool {
        self.lanes[lane].load(Ordering::SeqCst)
    }

    /// Clears the lane's flag. Returns whether it was hungry.
    pub(crate) fn clear(&self, lane: usize) -> bool {
        self.lanes[lane].swap(false, Ordering::SeqCst)
    }

    /// Whether any lane is hungry.
    pub(crate) fn any(&self) -> bool {
        self.lanes.iter().any(|hungry| hungry.load(Ordering::SeqCst))
    }

    /// Waits for the bell.
    ///
    /// # Cancel safety
    /// Nothing is lost: the flags stay.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}
