//! When this process has last read the version of the schema.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a schema that was found to serve this program is taken to do so. A worker that runs reads the version with
/// each heartbeat, which costs no statement. Other programs check again with the first call after this time.
const HOLDS_FOR: Duration = Duration::from_secs(30);

/// When the schema was last found to serve this program.
#[derive(Debug, Default)]
pub(crate) struct Checked(Mutex<Option<Instant>>);

impl Checked {
    /// Whether the caller has to check the schema before it goes on. While it was never found to serve this program,
    /// each caller has to; later on, one caller at a time.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            None => true,
            Some(at) if now.saturating_duration_since(at) < HOLDS_FOR => false,
            Some(_) => {
                *last = Some(now);
                true
            }
        }
    }

    /// The schema serves this program.
    pub(crate) fn passed(&self) {
        self.set(Some(Instant::now()));
    }

    /// It does not, or could not be read: each call checks again.
    pub(crate) fn forget(&self) {
        self.set(None);
    }

    fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_checks_again_after_a_while_and_each_after_a_failure() {
        let checked = Checked::default();
        assert!(checked.is_due() && checked.is_due());
        checked.passed();
        let now = Instant::now();
        assert!(!checked.is_due_at(now));
        let later = now + HOLDS_FOR;
        assert!(checked.is_due_at(later));
        assert!(!checked.is_due_at(later));
        checked.forget();
        assert!(checked.is_due_at(later) && checked.is_due_at(later));
    }
}
