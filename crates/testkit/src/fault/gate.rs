//! Holds calls until they are let go.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Calls wait at it; opening it lets all that wait go on, and closes it behind them.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How often it was opened.
    openings: u64,
    waiting: Vec<Waker>,
}

impl Gate {
    /// Waits for the next opening.
    ///
    /// # Cancel safety
    /// A dropped wait leaves a waker behind. Waking it has no effect.
    pub(super) async fn wait(&self) {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).openings;
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.openings > before {
                return Poll::Ready(());
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Lets all that wait go on.
    pub(super) fn open(&self) {
        let waiting = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.openings += 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}
