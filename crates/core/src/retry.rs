//! When a failed attempt is tried again.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the delay grows from attempt to attempt, before jitter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backoff {
    /// `base · factor^(attempt − 1)`, at most `cap`.
    Exponential {
        /// The delay after the first attempt.
        base: Duration,
        /// What each further attempt multiplies it by; below 1 counts as 1. A job whose factor is not finite
        /// is refused.
        factor: f64,
        /// The longest delay.
        cap: Duration,
    },
    /// `step · attempt`, at most `cap`.
    Linear {
        /// What each attempt adds.
        step: Duration,
        /// The longest delay.
        cap: Duration,
    },
    /// Always the same delay.
    Fixed(Duration),
    /// One delay an attempt; the last one serves for all further attempts. Empty means no delay; a job with
    /// more than [`RetryPolicy::MAX_TABLE`] is refused.
    Table(Arc<[Duration]>),
}

/// How the delay is spread, so that jobs that failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Jitter {
    /// Not at all.
    None,
    /// Evenly within ± this many per cent (at most 100).
    Percent(u8),
    /// Evenly between zero and the delay.
    Full,
}

/// A retry policy as data, stored with the job: the rescue of a crashed worker's jobs applies it, too.
///
/// The default waits 1 s, 2 s, 4 s … at most 6 h, ± 10 %.
///
/// ```
/// use gristmill_core::RetryPolicy;
/// use std::time::Duration;
///
/// let policy = RetryPolicy::linear(Duration::from_secs(5), Duration::from_secs(60)).without_jitter();
/// assert_eq!(policy.delay(3, 0.5), Duration::from_secs(15));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How the delay grows.
    pub backoff: Backoff,
    /// How it is spread.
    pub jitter: Jitter,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1), 2.0, Duration::from_secs(6 * 3600))
    }
}

impl RetryPolicy {
    /// The most delays of a table.
    pub const MAX_TABLE: usize = 1_000;

    const fn with_backoff(backoff: Backoff) -> Self {
        Self { backoff, jitter: Jitter::Percent(10) }
    }

    /// `base`, then `factor` times more with each attempt, at most `cap`; ± 10 %.
    pub const fn exponential(base: Duration, factor: f64, cap: Duration) -> Self {
        Self::with_backoff(Backoff::Exponential { base, factor, cap })
    }

    /// `step` more with each attempt, at most `cap`; ± 10 %.
    pub const fn linear(step: Duration, cap: Duration) -> Self {
        Self::with_backoff(Backoff::Linear { step, cap })
    }

    /// The same delay every time; ± 10 %.
    pub const fn fixed(delay: Duration) -> Self {
        Self::with_backoff(Backoff::Fixed(delay))
    }

    /// One delay an attempt, the last one for all further; ± 10 %.
    pub fn table(delays: impl Into<Arc<[Duration]>>) -> Self {
        Self::with_backoff(Backoff::Table(delays.into()))
    }

    /// The same policy with another spread.
    pub fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The same policy, exact.
    pub fn without_jitter(self) -> Self {
        self.with_jitter(Jitter::None)
    }

    /// The delay after `attempt` (from 1) has failed. `random` lies in `[0, 1)` and is the caller's, so that
    /// tests know it. Never overflows and never exceeds the cap by more than the jitter.
    pub fn delay(&self, attempt: u16, random: f64) -> Duration {
        let delay = self.plain_delay(attempt.max(1));
        match self.jitter {
            Jitter::None => delay,
            Jitter::Percent(percent) => {
                let spread = f64::from(percent.min(100)) / 100.0;
                scale(delay, 1.0 - spread + 2.0 * spread * random.clamp(0.0, 1.0))
            }
            Jitter::Full => scale(delay, random.clamp(0.0, 1.0)),
        }
    }

    /// What keeps this policy from being stored, if anything does: JSON has no infinite factor, and a job
    /// carries its whole table.
    pub(crate) fn fault(&self) -> Option<String> {
        match &self.backoff {
            Backoff::Exponential { factor, .. } if !factor.is_finite() => {
                Some(format!("the factor {factor} is not a finite number"))
            }
            Backoff::Table(delays) if delays.len() > Self::MAX_TABLE => {
                Some(format!("a table of {} delays is longer than {}", delays.len(), Self::MAX_TABLE))
            }
            _ => None,
        }
    }

    fn plain_delay(&self, attempt: u16) -> Duration {
        match &self.backoff {
            Backoff::Exponential { base, factor, cap } => {
                let factor = factor.max(1.0).powi(i32::from(attempt) - 1);
                scale(*base, factor).min(*cap)
            }
            Backoff::Linear { step, cap } => step.saturating_mul(u32::from(attempt)).min(*cap),
            Backoff::Fixed(delay) => *delay,
            Backoff::Table(delays) => {
                delays.get(usize::from(attempt) - 1).or(delays.last()).copied().unwrap_or_default()
            }
        }
    }
}

/// `duration · factor`, saturating: a huge, infinite or undefined product is the longest duration.
fn scale(duration: Duration, factor: f64) -> Duration {
    if duration.is_zero() {
        return duration;
    }
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// One source design's backoff overflowed at attempt 34 and took the process down.
    #[test]
    fn no_attempt_overflows() {
        let policies = [
            RetryPolicy::default(),
            RetryPolicy::exponential(HOUR, f64::MAX, Duration::MAX),
            RetryPolicy::exponential(Duration::MAX, f64::NAN, Duration::MAX),
            RetryPolicy::linear(Duration::MAX, HOUR),
            RetryPolicy::fixed(Duration::MAX).with_jitter(Jitter::Percent(255)),
            RetryPolicy::table(vec![]),
        ];
        for policy in policies {
            for attempt in 0..=u16::MAX {
                for random in [0.0, 0.999_999] {
                    let _ = policy.delay(attempt, random);
                }
            }
        }
    }

    #[test]
    fn the_default_doubles_up_to_its_cap() {
        let policy = RetryPolicy::default().without_jitter();
        let seconds: Vec<u64> = (1..=5).map(|attempt| policy.delay(attempt, 0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16]);
        assert_eq!(policy.delay(u16::MAX, 0.0), 6 * HOUR);
    }

    #[test]
    fn a_table_ends_with_its_last_delay() {
        let policy = RetryPolicy::table(vec![HOUR, 2 * HOUR]).without_jitter();
        assert_eq!(
            [1, 2, 3, 9].map(|attempt| policy.delay(attempt, 0.0) / 3600),
            [1, 2, 2, 2].map(Duration::from_secs)
        );
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        let policy = RetryPolicy::fixed(HOUR);
        assert_eq!(policy.delay(1, 0.0), HOUR.mul_f64(0.9));
        assert!(policy.delay(1, 1.0) <= HOUR.mul_f64(1.100_001));
        assert_eq!(policy.with_jitter(Jitter::Full).delay(1, 0.0), Duration::ZERO);
    }
}
