//! When the next waiting job is due, as far as the worker knows.

use std::sync::{Mutex, PoisonError};

use gristmill_core::Timestamp;
use tokio::sync::Notify;

/// Fed by fetches, finishes and promotions; the promoter sleeps until then.
#[derive(Debug, Default)]
pub(crate) struct Due {
    next: Mutex<Option<Timestamp>>,
    earlier: Notify,
}

impl Due {
    /// A job will be due then, by the store's clock.
    pub(crate) fn at(&self, due: Timestamp) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none_or(|known| due < known) {
            *next = Some(due);
            drop(next);
            self.earlier.notify_one();
        }
    }

    /// Forgets what is known, for a round that will find out anew.
    pub(crate) fn take(&self) -> Option<Timestamp> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What is known.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a job is due earlier than was known.
    ///
    /// # Cancel safety
    /// Nothing is lost: the time stays.
    pub(crate) async fn earlier(&self) {
        self.earlier.notified().await;
    }
}
