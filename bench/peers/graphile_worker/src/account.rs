//! Counts every job by its number.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// How often each job of a run was seen.
#[derive(Debug)]
pub(crate) struct Account {
    runs: Vec<AtomicU8>,
    seen: AtomicUsize,
}

impl Account {
    /// Expects the jobs `0..jobs`.
    pub(crate) fn new(jobs: u32) -> Self {
        Self { runs: (0..jobs).map(|_| AtomicU8::new(0)).collect(), seen: AtomicUsize::new(0) }
    }

    /// Notes that job `number` ran.
    pub(crate) fn saw(&self, number: u32) {
        let Some(runs) = self.runs.get(number as usize) else { return };
        if runs.fetch_add(1, Ordering::Relaxed) == 0 {
            self.seen.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many jobs are expected.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// How many of them ran.
    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }

    /// Jobs that never ran.
    pub(crate) fn lost(&self) -> usize {
        self.len() - self.seen()
    }

    /// Jobs that ran more than once.
    pub(crate) fn duplicated(&self) -> usize {
        self.runs.iter().filter(|runs| runs.load(Ordering::Relaxed) > 1).count()
    }
}
