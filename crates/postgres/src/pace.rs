//! How often something dear is done: it takes a bounded share of the time.

use std::time::{Duration, Instant};

/// Takes this part of the time at most.
const SHARE: u32 = 50;
/// Comes after this long at the latest.
const AT_THE_LATEST: Duration = Duration::from_secs(60);
/// What takes no longer need not be spared.
const CHEAP: Duration = Duration::from_millis(1);

/// When it is due next.
#[derive(Debug, Default)]
pub(crate) struct Pace(Option<Instant>);

impl Pace {
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.0.is_none_or(|at| now >= at)
    }

    /// It ended at `now` and took so long.
    pub(crate) fn took(&mut self, now: Instant, duration: Duration) {
        self.0 = (duration > CHEAP).then(|| now + (duration * SHARE).min(AT_THE_LATEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cheap_is_always_due_and_what_is_dear_comes_within_a_minute() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.took(now, CHEAP);
        assert!(pace.is_due(now));
        pace.took(now, 2 * CHEAP);
        assert!(!pace.is_due(now + 99 * CHEAP) && pace.is_due(now + 100 * CHEAP));
        pace.took(now, AT_THE_LATEST);
        assert!(pace.is_due(now + AT_THE_LATEST));
    }
}
