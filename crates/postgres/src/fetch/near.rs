//! Chooses how the rows of fetched jobs are read: as one range of ids, or each by its id.

use std::sync::atomic::{AtomicI64, Ordering};

/// Least number of jobs for which a range is read. For fewer, the look-ups take no noticeable time.
const LEAST: i64 = 32;
/// After a range that missed jobs, this many fetches use look-ups. Each further miss doubles the number.
const FIRST_PAUSE: i64 = 16;
const LONGEST_PAUSE: i64 = 1_024;

/// Learns whether jobs that a handle fetches together are stored close together.
///
/// A range with too many other jobs misses some of the fetched ones, and these cost a further round trip.
/// Fetches then use look-ups for a while, so that a mixture of queues hardly pays for the tries.
#[derive(Debug)]
pub(crate) struct Near {
    /// How many more fetches use look-ups.
    left: AtomicI64,
    /// How many fetches will use look-ups after the next miss.
    pause: AtomicI64,
}

impl Default for Near {
    fn default() -> Self {
        Self { left: AtomicI64::new(0), pause: AtomicI64::new(FIRST_PAUSE) }
    }
}

impl Near {
    /// Least number of jobs for which the next fetch reads a range. Counts that fetch.
    pub(super) fn next_least(&self) -> i64 {
        if self.left.load(Ordering::Relaxed) > 0 {
            self.left.fetch_sub(1, Ordering::Relaxed);
            return i64::MAX;
        }
        LEAST
    }

    /// Learns from a fetch of `taken` jobs that read a range if there were at least `least`. `missed`: the
    /// range did not hold all of them.
    pub(super) fn learn(&self, least: i64, taken: usize, missed: bool) {
        if i64::try_from(taken).is_ok_and(|taken| taken < least) {
            return;
        }
        if missed {
            let pause = self.pause.load(Ordering::Relaxed);
            self.left.store(pause, Ordering::Relaxed);
            self.pause.store((pause * 2).min(LONGEST_PAUSE), Ordering::Relaxed);
        } else {
            self.pause.store(FIRST_PAUSE, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fetches until the next one that reads a range, that one among them.
    fn fetches_to_a_range(near: &Near) -> i64 {
        (1..2 * LONGEST_PAUSE).find(|_| near.next_least() == LEAST).expect("each pause ends")
    }

    #[test]
    fn a_range_that_missed_jobs_is_not_tried_again_for_a_while() {
        let near = Near::default();
        assert_eq!(fetches_to_a_range(&near), 1);
        for pause in [16, 32, 64] {
            near.learn(LEAST, 1_000, true);
            assert_eq!(fetches_to_a_range(&near), pause + 1);
        }
        for _ in 0..10 {
            near.learn(LEAST, 1_000, true);
        }
        assert_eq!(fetches_to_a_range(&near), LONGEST_PAUSE + 1);
        near.learn(LEAST, 1_000, false);
        near.learn(LEAST, 1_000, true);
        assert_eq!(fetches_to_a_range(&near), FIRST_PAUSE + 1);
    }

    #[test]
    fn what_was_looked_up_one_by_one_says_nothing_of_ranges() {
        let near = Near::default();
        near.learn(LEAST, 31, true);
        near.learn(i64::MAX, 1_000, true);
        assert_eq!(fetches_to_a_range(&near), 1);
    }
}
