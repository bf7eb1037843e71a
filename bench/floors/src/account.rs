//! Counts every job by its id: what ran or was stored, and how often.

use std::sync::atomic::{AtomicU8, Ordering};

/// How often each job of a run was seen.
#[derive(Debug)]
pub(crate) struct Account {
    seen: Vec<AtomicU8>,
}

impl Account {
    /// Expects the jobs `0..jobs`.
    pub(crate) fn new(jobs: u32) -> Self {
        Self { seen: (0..jobs).map(|_| AtomicU8::new(0)).collect() }
    }

    /// Notes that job `number` was seen. A number that was never given out counts for no job, so that the job
    /// it stood for shows as lost.
    pub(crate) fn saw(&self, number: u32) {
        if let Some(seen) = self.seen.get(number as usize) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Jobs that were never seen.
    pub(crate) fn lost(&self) -> usize {
        self.seen.iter().filter(|seen| seen.load(Ordering::Relaxed) == 0).count()
    }

    /// Jobs that were seen more than once.
    pub(crate) fn duplicated(&self) -> usize {
        self.seen.iter().filter(|seen| seen.load(Ordering::Relaxed) > 1).count()
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn lost_and_duplicated_jobs_are_counted() {
        let account = Account::new(4);
        for number in [0, 1, 1, 9] {
            account.saw(number);
        }
        assert_eq!((account.lost(), account.duplicated()), (2, 1));
    }
}
