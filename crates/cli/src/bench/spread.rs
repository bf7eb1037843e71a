//! Percentiles.

use std::time::Duration;

use serde::Serialize;

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    /// Half of the samples are no longer.
    pub(super) p50: f64,
    /// 95 of 100 are no longer.
    pub(super) p95: f64,
    /// 99 of 100 are no longer.
    pub(super) p99: f64,
    /// The longest.
    pub(super) max: f64,
}

impl Spread {
    /// Nearest-rank percentiles; `None` without samples.
    pub(super) fn of(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        let rank = |percent: usize| {
            let place = (samples.len() * percent).div_ceil(100).saturating_sub(1);
            samples.get(place).map(|sample| sample.as_secs_f64() * 1e3)
        };
        Some(Self { p50: rank(50)?, p95: rank(95)?, p99: rank(99)?, max: rank(100)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let samples = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(Spread::of(samples), Some(Spread { p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 }));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
