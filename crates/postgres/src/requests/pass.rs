//! How far a process has come in the requests.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::failing::Failing;
use super::looks::Looks;

/// Each call begins at the first row, since one with a lower number may have been committed meanwhile, and is
/// to come before later ones of its job. Where rows were left, calls go on after them for this long at most.
const PASS: Duration = Duration::from_secs(1);
/// As [`PASS`], where rows were applied one by one because some of them fail: many such rows must not keep
/// those behind them from their turn.
const PASS_OVER_FAILURES: Duration = Duration::from_secs(30);

/// How far this process has come in its pass over the requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pass: Mutex<Pass>,
    looks: Mutex<Looks>,
    pub(super) failing: Failing,
}

#[derive(Debug, Default)]
pub(super) struct Pass {
    /// When it began.
    pub(super) began: Option<Instant>,
    /// The number of the last row that was looked at.
    pub(super) position: i64,
    /// Up to this number rows are applied one by one.
    pub(super) singly_until: i64,
    /// Jobs of which a row was left: their later rows are left, too.
    pub(super) left: HashSet<Uuid>,
    pub(super) has_left: bool,
    /// Rows failed together, and were applied one by one.
    pub(super) has_failed: bool,
    /// A lock was waited for in vain: jobs that are locked where they are, are left without waiting.
    pub(super) is_careful: bool,
    /// Requests that were done since some pass has found none behind them.
    pub(super) done: u64,
    /// The end of the pause, in a flood.
    pub(super) resume_at: Option<Instant>,
}

impl Pass {
    /// Begins at the first row again, unless rows were left there a short time ago.
    pub(super) fn begin_again_in_time(&mut self) {
        let is_clear = !self.has_left && self.singly_until <= self.position;
        let most = if self.has_failed { PASS_OVER_FAILURES } else { PASS };
        if is_clear || self.began.is_some_and(|began| began.elapsed() > most) {
            *self = Self { done: self.done, is_careful: self.is_careful, ..Self::default() };
        }
        self.began.get_or_insert_with(Instant::now);
    }

    /// The pass after this one, which has ended.
    pub(super) fn next(self) -> Self {
        Self { is_careful: self.is_careful && self.has_left, ..Self::default() }
    }
}

impl Requests {
    /// In a pause it is not looked whether there are requests. The end of the pause.
    pub(crate) fn paused_until(&self, now: Instant) -> Option<Instant> {
        let pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner).resume_at;
        pass.filter(|at| *at > now).max(self.looks().paused_until(now))
    }

    /// A look ended at `now`, took the server so long and found a request or not.
    pub(crate) fn looked(&self, now: Instant, took: Duration, has_found: bool) {
        self.looks().looked(now, took, has_found);
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another store is in its place.
    pub(crate) fn forget(&self) {
        self.put(Pass::default());
        self.failing.forget();
        *self.looks() = Looks::default();
    }

    /// Takes the pass. A call that is dropped begins a new one.
    pub(super) fn take(&self) -> Pass {
        std::mem::take(&mut self.pass.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn put(&self, pass: Pass) {
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = pass;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(ago: Duration, has_failed: bool) -> Pass {
        let began = Instant::now().checked_sub(ago);
        Pass { began, position: 7, singly_until: 100, has_left: true, has_failed, ..Pass::default() }
    }

    #[test]
    fn a_pass_over_failing_rows_reaches_those_behind_them() {
        let second = Duration::from_secs(1);
        for (ago, has_failed, position) in
            [(second / 2, false, 7), (2 * second, false, 0), (2 * second, true, 7), (31 * second, true, 0)]
        {
            let mut pass = begun(ago, has_failed);
            pass.begin_again_in_time();
            assert_eq!(pass.position, position, "{ago:?} {has_failed}");
        }
    }
}
