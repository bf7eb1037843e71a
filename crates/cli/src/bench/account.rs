//! Counts every job by its number.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

const CHUNK_BITS: u32 = 16;
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNKS: usize = 1 << (u32::BITS - CHUNK_BITS);

/// A place for every number, made in chunks when it is first asked for: a run need not know its length, and
/// nothing moves while handlers write.
#[derive(Debug)]
pub(super) struct Places<T>(Box<[OnceLock<Box<[T]>>]>);

impl<T: Default> Default for Places<T> {
    fn default() -> Self {
        Self((0..CHUNKS).map(|_| OnceLock::new()).collect())
    }
}

impl<T: Default> Places<T> {
    /// Makes the places of the first numbers.
    pub(super) fn expect(&self, numbers: u32) {
        for first in (0..numbers).step_by(CHUNK) {
            self.at(first);
        }
    }

    /// The place of a number.
    pub(super) fn at(&self, number: u32) -> &T {
        let number = number as usize;
        let chunk = self.0[number >> CHUNK_BITS].get_or_init(|| (0..CHUNK).map(|_| T::default()).collect());
        &chunk[number & (CHUNK - 1)]
    }
}

/// How often each job ran to its end.
#[derive(Debug, Default)]
pub(super) struct Account(Places<AtomicU8>);

impl Account {
    /// Makes room, so that a measured phase need not.
    pub(super) fn expect(&self, jobs: u32) {
        self.0.expect(jobs);
    }

    /// A job ran to its end.
    pub(super) fn ran(&self, number: u32) {
        self.0.at(number).fetch_add(1, Ordering::Relaxed);
    }

    /// Of the first `jobs`: how many ran, and how many more than once.
    pub(super) fn of(&self, jobs: u32) -> Runs {
        let mut runs = Runs::default();
        for number in 0..jobs {
            match self.0.at(number).load(Ordering::Relaxed) {
                0 => {}
                1 => runs.ran += 1,
                _ => {
                    runs.ran += 1;
                    runs.repeated += 1;
                }
            }
        }
        runs
    }
}

/// What an account comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Runs {
    /// Jobs that ran to their end.
    pub(super) ran: u64,
    /// Those among them that did so more than once.
    pub(super) repeated: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_and_missing_jobs_are_seen_across_chunks() {
        let account = Account::default();
        let last = 1 << CHUNK_BITS;
        for number in [0, 1, 1, last, last + 5] {
            account.ran(number);
        }
        assert_eq!(account.of(last + 1), Runs { ran: 3, repeated: 1 });
    }
}
