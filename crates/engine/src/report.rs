//! What a worker counts, and what it reports when it has stopped.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a worker has counted since it started.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct WorkerStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The live numbers behind [`WorkerStats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> WorkerStats {
                WorkerStats { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Jobs fetched.
    fetched,
    /// Jobs that ended `completed`.
    completed,
    /// Attempts that failed and will be tried again: errors, panics, timeouts.
    failed,
    /// Jobs that ended `discarded`.
    discarded,
    /// Jobs that ended `cancelled`.
    cancelled,
    /// Attempts whose handler asked to run later.
    snoozed,
    /// Leases given back with their attempt refunded: not started, stopped at shutdown, deferred, without a
    /// handler.
    released,
    /// Finishes that came after their lease had passed on.
    stale_finishes,
    /// Ends of runs that the store refused for good.
    refused_finishes,
    /// Jobs of dead workers that this one took back.
    rescued,
    /// Jobs that an audit found in no place and made available again. Anything but 0 is a defect.
    repaired,
    /// Loops of the worker that died of a panic and were started again.
    restarts,
    /// Times the worker had to start again with a new id, because its lease had ended.
    incarnations_lost,
}

/// One number.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a worker stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WorkerReport {
    /// What it counted.
    pub stats: WorkerStats,
    /// Handlers that still ran when the worker left: blocking ones that did not return in time. Their jobs
    /// keep their leases and are rescued when these end.
    pub left_running: usize,
    /// Ends of runs that could not be stored in time. Their jobs run again.
    pub unrecorded: usize,
}

impl WorkerReport {
    /// Whether everything that ran is recorded and everything else is given back.
    pub fn is_clean(&self) -> bool {
        self.left_running == 0 && self.unrecorded == 0
    }
}
