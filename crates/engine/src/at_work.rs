//! Counts code of jobs that cannot be stopped: while some runs, the leases of its worker are renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the code of jobs that runs on threads of its own and cannot be stopped.
#[derive(Debug, Default)]
pub(crate) struct AtWork {
    count: AtomicUsize,
    none: Notify,
}

/// Code that runs.
#[derive(Debug)]
pub(crate) struct Working(Arc<AtWork>);

impl AtWork {
    pub(crate) fn begin(self: &Arc<Self>) -> Working {
        self.count.fetch_add(1, Ordering::SeqCst);
        Working(Arc::clone(self))
    }

    /// Waits until none runs.
    ///
    /// # Cancel safety
    /// It only looks.
    pub(crate) async fn over(&self) {
        loop {
            let ended = self.none.notified();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none.notify_waiters();
        }
    }
}
