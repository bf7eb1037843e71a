//! How often a process looks whether there are requests.
//!
//! A look finds the first one, wherever it lies: one that is committed late comes before later ones of its
//! job. Beside an old snapshot it steps over all rows that were deleted since. Where that takes its time,
//! looks that find none come less often.

use std::time::{Duration, Instant};

/// What takes no longer need not be spared.
const CHEAP: Duration = Duration::from_millis(5);
/// So many looks in a row have to be dear: one may have waited for a processor.
const DEAR_LOOKS: u32 = 3;
/// Looks that find nothing take this part of the time, unless a request would wait longer than the second
/// value for the next one.
const PAUSE: (u32, Duration) = (50, Duration::from_secs(1));

/// When the next look is due.
#[derive(Debug, Default)]
pub(super) struct Looks {
    dear: u32,
    next: Option<Instant>,
}

impl Looks {
    /// When the next one is due, if not yet.
    pub(super) fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| *next > now)
    }

    /// A look ended at `now`, took the server so long and found something or not.
    pub(super) fn looked(&mut self, now: Instant, took: Duration, has_found: bool) {
        self.dear = if took > CHEAP { self.dear.saturating_add(1) } else { 0 };
        let is_spared = self.dear >= DEAR_LOOKS && !has_found;
        self.next = is_spared.then(|| now + (took * PAUSE.0).min(PAUSE.1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_are_dear_and_find_nothing_come_less_often() {
        let (mut looks, now, dear) = (Looks::default(), Instant::now(), 2 * CHEAP);
        assert_eq!(looks.paused_until(now), None);
        for _ in 1..DEAR_LOOKS {
            looks.looked(now, dear, false);
            assert_eq!(looks.paused_until(now), None);
        }
        looks.looked(now, dear, false);
        assert_eq!(looks.paused_until(now), Some(now + 100 * CHEAP));
        assert_eq!(looks.paused_until(now + 100 * CHEAP), None);
        looks.looked(now, Duration::from_secs(9), false);
        assert_eq!(looks.paused_until(now), Some(now + PAUSE.1), "a request waits for a second at most");
        looks.looked(now, dear, true);
        assert_eq!(looks.paused_until(now), None, "there may be more");
        looks.looked(now, dear, false);
        assert!(looks.paused_until(now).is_some());
        looks.looked(now, CHEAP, false);
        assert_eq!(looks.paused_until(now), None, "the dead rows are gone");
    }
}
