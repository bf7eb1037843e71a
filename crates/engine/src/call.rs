//! Calls of the backend: each has a deadline, none is trusted to return; and what to do when one fails.

use std::time::Duration;

use gristmill_core::{BackendError, BackendErrorKind, Reply};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The backend may answer with its own error a little after the deadline; only then it is given up.
const SLACK: Duration = Duration::from_millis(100);
/// Longer than any process lives, and within the reach of every clock.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Whether the error says that the store could not be reached, by others neither.
pub(crate) fn is_outage(error: &BackendError) -> bool {
    matches!(error.kind(), BackendErrorKind::Unavailable | BackendErrorKind::TimedOut)
}

/// The instant this much later; of a duration beyond the end of the clock, one that never comes.
pub(crate) fn later(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or_else(|| now + NEVER)
}

/// Waits for an answer, at most a little longer than the call's deadline.
///
/// # Errors
/// The backend's own, or [`TimedOut`](BackendErrorKind::TimedOut), maybe stored.
///
/// # Cancel safety
/// Like a lost reply: the call may have taken effect.
pub(crate) async fn answer<T>(
    deadline: Duration,
    operation: &'static str,
    reply: Reply<'_, T>,
) -> Result<T, BackendError> {
    tokio::time::timeout(deadline.saturating_add(SLACK), reply).await.unwrap_or_else(|_| {
        let message = format!("`{operation}` was not answered within {deadline:?}");
        Err(BackendError::new(BackendErrorKind::TimedOut, message).maybe_stored())
    })
}

/// Delays between the tries of one loop, and its log: one line a change, not one a try.
#[derive(Debug)]
pub(crate) struct Trouble {
    operation: &'static str,
    kind: Option<BackendErrorKind>,
    tries: u32,
    /// Where the log is written, unless it is written at once.
    runtime: Option<Handle>,
}

impl Trouble {
    const FIRST_DELAY: Duration = Duration::from_millis(20);
    const LONGEST_DELAY: Duration = Duration::from_secs(5);

    pub(crate) fn new(operation: &'static str) -> Self {
        Self { operation, kind: None, tries: 0, runtime: None }
    }

    /// The same, its log written by tasks of this runtime.
    pub(crate) fn on(self, runtime: &Handle) -> Self {
        let mut trouble = self;
        trouble.runtime = Some(runtime.clone());
        trouble
    }

    fn say(&self, line: impl FnOnce() + Send + 'static) {
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(async move { line() })),
            None => line(),
        }
    }

    /// A try failed. Says how long to wait: twice as long each time, half of it at random.
    pub(crate) fn failed(&mut self, error: &BackendError) -> Duration {
        if self.kind.replace(error.kind()) != Some(error.kind()) {
            let (operation, kind, text) = (self.operation, error.kind(), error.chain());
            let hint = error.hint().map(str::to_owned);
            self.say(move || {
                gristmill_core::log!(
                    warn,
                    name: "backend_trouble", target: "gristmill::worker",
                    operation, ?kind, hint, error = %text,
                    "the backend fails"
                );
            });
        }
        let full = Self::FIRST_DELAY.saturating_mul(1 << self.tries.min(12)).min(Self::LONGEST_DELAY);
        self.tries += 1;
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// A try succeeded. Its line has the level of the one that reported the trouble: a log that shows one
    /// shows both.
    pub(crate) fn over(&mut self) {
        if self.kind.take().is_some() {
            let (operation, tries) = (self.operation, self.tries);
            self.say(move || {
                gristmill_core::log!(
                    warn,
                    name: "backend_recovered", target: "gristmill::worker",
                    operation, tries, "the backend answers again"
                );
            });
        }
        self.tries = 0;
    }

    /// Another loop makes the calls from here on, and says itself what becomes of them.
    pub(crate) fn passed_on(&mut self) {
        self.kind = None;
        self.tries = 0;
    }
}

impl Drop for Trouble {
    /// Logs the end of a trouble in which its loop ends, such as the loop of a worker that has lost its
    /// leases. Without it the log shows an outage that never ends.
    fn drop(&mut self) {
        if self.kind.is_some() {
            let (operation, tries) = (self.operation, self.tries);
            self.say(move || {
                gristmill_core::log!(
                    warn,
                    name: "backend_left", target: "gristmill::worker",
                    operation, tries, "the calls that failed are not repeated any more"
                );
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_bound_and_start_again() {
        let mut trouble = Trouble::new("fetch");
        let error = BackendError::new(BackendErrorKind::Unavailable, "gone");
        let delays: Vec<Duration> = (0..40).map(|_| trouble.failed(&error)).collect();
        assert!(delays[0] <= Trouble::FIRST_DELAY);
        assert!(
            delays[20..]
                .iter()
                .all(|delay| { (Trouble::LONGEST_DELAY / 2..=Trouble::LONGEST_DELAY).contains(delay) })
        );
        trouble.over();
        assert!(trouble.failed(&error) <= Trouble::FIRST_DELAY);
    }
}
