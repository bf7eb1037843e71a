//! When this process has last read the version of the schema.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a schema that was found to serve this program is taken to do so. A worker that runs reads the
/// version with each heartbeat, which costs no statement. Other programs check again with the first call
/// after this time.
const HOLDS_FOR: Duration = Duration::from_secs(30);

/// What the last check of the schema found.
#[derive(Debug, Default)]
pub(crate) struct Checked(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Last,
    /// Until then no check is tried on a connection of its own: the last try got none.
    apart_from: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Never,
    Served(Instant),
    Refused,
}

/// A check that one caller makes. Without a result, such as when its call is dropped, the check stays due.
#[derive(Debug)]
#[must_use]
pub(crate) struct Check<'c> {
    checked: &'c Checked,
    before: Last,
    during: Last,
}

impl Checked {
    /// The check that the caller has to make before it goes on, if one is due. While the schema was never
    /// found to serve this program, each caller has to make one; later on, one caller at a time.
    pub(crate) fn due(&self) -> Option<Check<'_>> {
        self.due_at(Instant::now())
    }

    /// As [`Self::due`], for a check that takes a second connection. There is none before the first check.
    pub(crate) fn due_apart(&self) -> Option<Check<'_>> {
        self.due_apart_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<Check<'_>> {
        self.begin(&mut self.state(), now)
    }

    fn due_apart_at(&self, now: Instant) -> Option<Check<'_>> {
        let mut state = self.state();
        match state.last {
            Last::Never => None,
            Last::Served(_) if state.apart_from.is_some_and(|from| now < from) => None,
            Last::Served(_) | Last::Refused => self.begin(&mut state, now),
        }
    }

    fn begin(&self, state: &mut State, now: Instant) -> Option<Check<'_>> {
        let before = state.last;
        if let Last::Served(at) = before {
            if now.saturating_duration_since(at) < HOLDS_FOR {
                return None;
            }
            state.last = Last::Served(now);
        }
        Some(Check { checked: self, before, during: state.last })
    }

    /// The schema serves this program.
    pub(crate) fn passed(&self) {
        *self.state() = State { last: Last::Served(Instant::now()), apart_from: None };
    }

    /// It does not: each call checks again.
    pub(crate) fn refused(&self) {
        self.state().last = Last::Refused;
    }

    /// The store may be another one, which was never checked.
    pub(crate) fn forget(&self) {
        *self.state() = State::default();
    }

    /// Makes a check due.
    #[cfg(test)]
    pub(crate) fn passed_long_ago(&self) {
        let then = Instant::now().checked_sub(HOLDS_FOR).expect("the machine runs for longer");
        *self.state() = State { last: Last::Served(then), apart_from: None };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check<'_> {
    /// Puts off the next check on a connection of its own if the last check passed. Returns whether it did:
    /// then the caller may go on without a result.
    pub(crate) fn put_off(&self) -> bool {
        self.put_off_at(Instant::now())
    }

    fn put_off_at(&self, now: Instant) -> bool {
        let has_served = matches!(self.before, Last::Served(_));
        if has_served {
            self.checked.state().apart_from = Some(now + HOLDS_FOR);
        }
        has_served
    }
}

impl Drop for Check<'_> {
    fn drop(&mut self) {
        let mut state = self.checked.state();
        if state.last == self.during {
            state.last = self.before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_checks_again_after_a_while_and_each_after_a_refusal() {
        let checked = Checked::default();
        assert!(checked.due().is_some() && checked.due().is_some());
        checked.passed();
        let now = Instant::now();
        assert!(checked.due_at(now).is_none());
        let later = now + HOLDS_FOR;
        let check = checked.due_at(later);
        assert!(check.is_some() && checked.due_at(later).is_none());
        checked.refused();
        drop(check);
        assert!(checked.due_at(later).is_some() && checked.due_at(later).is_some());
    }

    #[test]
    fn a_check_that_is_dropped_stays_due_and_one_that_passed_does_not() {
        let checked = Checked::default();
        checked.passed();
        let later = Instant::now() + HOLDS_FOR;
        drop(checked.due_at(later).expect("it is due"));
        let again = checked.due_at(later).expect("it is due still");
        checked.passed();
        drop(again);
        assert!(checked.due().is_none());
    }

    #[test]
    fn a_check_on_a_connection_of_its_own_is_put_off_only_while_the_last_one_passed() {
        let checked = Checked::default();
        assert!(checked.due_apart().is_none(), "none has passed");
        checked.passed();
        let later = Instant::now() + HOLDS_FOR;
        assert!(checked.due_apart_at(later).expect("it is due").put_off_at(later));
        assert!(checked.due_apart_at(later).is_none());
        assert!(checked.due_at(later).is_some(), "a call with a connection checks");
        assert!(checked.due_apart_at(later + HOLDS_FOR).is_some());
        checked.refused();
        assert!(!checked.due_apart_at(later).expect("it is due").put_off_at(later));
    }
}
