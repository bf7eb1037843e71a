//! Spans of the program's log, none of which can harm what runs in them.
//!
//! A subscriber is the program's code: it may panic when a span is made, entered, left or closed.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;

use gristmill_core::{contain, dispose};
use tracing::Span;

/// A span, or none where it could not be made.
#[derive(Debug)]
pub(crate) struct SafeSpan(Option<Span>);

impl SafeSpan {
    pub(crate) fn new(make: impl FnOnce() -> Span) -> Self {
        Self(contain(make).filter(|span| !span.is_disabled()))
    }

    /// Whether no subscriber wants it.
    pub(crate) fn is_disabled(&self) -> bool {
        self.0.is_none()
    }

    /// Runs code in the span.
    pub(crate) fn within<T>(&self, code: impl FnOnce() -> T) -> T {
        let Some(span) = &self.0 else { return code() };
        let entered = contain(|| span.enter());
        let came_to = catch_unwind(AssertUnwindSafe(code));
        dispose(entered);
        came_to.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs a future in the span.
    pub(crate) async fn around<F: Future>(self, future: F) -> F::Output {
        if self.is_disabled() {
            return future.await;
        }
        let mut future = pin!(future);
        poll_fn(|task| self.within(|| future.as_mut().poll(task))).await
    }
}

impl Drop for SafeSpan {
    fn drop(&mut self) {
        dispose(self.0.take());
    }
}
