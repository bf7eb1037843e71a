//! When the next waiting job is due, as far as the worker knows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gristmill_core::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Fed by fetches, finishes and promotions; the promoter sleeps until then.
#[derive(Debug, Default)]
pub(crate) struct Due {
    known: Mutex<Known>,
    earlier: Notify,
}

#[derive(Debug, Default)]
struct Known {
    next: Option<Timestamp>,
    /// What is due by this instant of the store's clock cannot be had before that one of ours.
    held: Option<(Timestamp, Instant)>,
}

impl Due {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job will be due then, by the store's clock.
    pub(crate) fn at(&self, due: Timestamp) {
        let mut known = self.known();
        if known.held.is_some_and(|(through, until)| due <= through && Instant::now() < until) {
            return;
        }
        if known.next.is_none_or(|next| due < next) {
            known.next = Some(due);
            drop(known);
            self.earlier.notify_one();
        }
    }

    /// What is due by `through` could not be taken: it does not wake the promoter before `until`. Otherwise
    /// each fetch that sees such a job would.
    pub(crate) fn hold(&self, through: Timestamp, until: Instant) {
        self.known().held = Some((through, until));
    }

    /// Forgets what is known, for a round that will find out anew.
    pub(crate) fn take(&self) -> Option<Timestamp> {
        let mut known = self.known();
        known.held = None;
        known.next.take()
    }

    /// What is known.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.known().next
    }

    /// Waits until a job is due earlier than was known.
    ///
    /// # Cancel safety
    /// Nothing is lost: the time stays.
    pub(crate) async fn earlier(&self) {
        self.earlier.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_held_wakes_nothing_for_a_while_and_what_comes_later_does() {
        let due = Due::default();
        let at = Timestamp::from_millis;
        due.hold(at(100), Instant::now() + Duration::from_secs(1));
        due.at(at(90));
        assert_eq!(due.next(), None);
        due.at(at(150));
        assert_eq!(due.next(), Some(at(150)));
        tokio::time::advance(Duration::from_secs(1)).await;
        due.at(at(90));
        assert_eq!(due.next(), Some(at(90)));
    }
}
