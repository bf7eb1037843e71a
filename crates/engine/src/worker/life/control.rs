//! Stop signals, and the handle that gives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use crate::report::{Counters, WorkerStats};
use crate::worker::fetcher::appetite::Appetite;
use crate::worker::fetcher::reserve::Reserve;

/// The signals to a running worker. Only ever goes from running to stopping to forced.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// No more fetches; running handlers have their grace.
    pub(crate) stopping: CancellationToken,
    /// The grace is over.
    pub(crate) forced: CancellationToken,
    /// `run` has ended: what goes on does so for code that could not be stopped.
    pub(crate) left: CancellationToken,
    quiet: AtomicBool,
}

impl Control {
    /// The first call stops, the second one ends the grace.
    pub(crate) fn stop(&self) {
        if self.stopping.is_cancelled() {
            self.forced.cancel();
        } else {
            self.stopping.cancel();
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::SeqCst)
    }
}

/// Steers a worker from outside: from a signal handler, an endpoint, a test. Cloning is cheap.
///
/// Taken from [`Worker::handle`](crate::Worker::handle) before the worker runs; it may be used before, while
/// and after it does.
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    pub(crate) control: Arc<Control>,
    pub(crate) appetite: Arc<Appetite>,
    pub(crate) reserve: Arc<Reserve>,
    pub(crate) counters: Arc<Counters>,
}

impl WorkerHandle {
    /// Asks the worker to stop: it fetches no more, gives back what has not started and lets running handlers
    /// finish within the grace. A second call ends the grace at once. Returns immediately; the worker's `run`
    /// returns when it has stopped.
    pub fn stop(&self) {
        self.control.stop();
    }

    /// Stops fetching while everything else goes on, until [`resume`](Self::resume).
    pub fn quiet(&self) {
        self.control.quiet.store(true, Ordering::SeqCst);
    }

    /// Lets a quiet worker fetch again.
    pub fn resume(&self) {
        self.control.quiet.store(false, Ordering::SeqCst);
        self.appetite.wake_all();
    }

    /// Whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        self.control.stopping.is_cancelled()
    }

    /// How many jobs the worker has in hand: fetched, and their code not ended.
    pub fn in_hand(&self) -> usize {
        self.reserve.in_hand()
    }

    /// What the worker has counted so far.
    pub fn stats(&self) -> WorkerStats {
        self.counters.snapshot()
    }
}
