//! What is kept of the runs of a job that keeps coming back.

use std::ops::RangeInclusive;

use crate::RunRecord;

impl RunRecord {
    /// The records of a job's first runs, so many, are kept as long as the job is.
    pub const FIRST_KEPT: u32 = 10;
    /// The records of a job's newest runs, so many, are kept as long as the job is.
    pub const NEWEST_KEPT: u32 = 100;
    /// Once in so many runs of a job the records of those between go.
    const TRIMMED_EVERY: u32 = 64;

    /// Whether the record of a run is kept as long as its job is, when `latest` is the job's latest run.
    pub const fn is_kept(run: u32, latest: u32) -> bool {
        run <= Self::FIRST_KEPT || run > latest.saturating_sub(Self::NEWEST_KEPT)
    }

    /// The runs whose records go when a run with this number ends, except those that a claim still lists: a
    /// job that keeps coming back leaves bounded traces.
    ///
    /// ```
    /// use gristmill_core::RunRecord;
    ///
    /// assert_eq!(RunRecord::trimmed_at(127), None);
    /// assert_eq!(RunRecord::trimmed_at(128), Some(11..=28));
    /// assert_eq!(RunRecord::trimmed_at(129), None);
    /// ```
    pub const fn trimmed_at(run: u32) -> Option<RangeInclusive<u32>> {
        let Some(last) = run.checked_sub(Self::NEWEST_KEPT) else { return None };
        if !run.is_multiple_of(Self::TRIMMED_EVERY) || last <= Self::FIRST_KEPT {
            return None;
        }
        Some(RangeInclusive::new(Self::FIRST_KEPT + 1, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_newest_runs_are_kept() {
        for (run, latest, kept) in
            [(10, 1_000, true), (11, 1_000, false), (900, 1_000, false), (901, 1_000, true), (11, 110, true)]
        {
            assert_eq!(RunRecord::is_kept(run, latest), kept, "{run} of {latest}");
        }
        assert!(RunRecord::is_kept(u32::MAX, u32::MAX));
    }

    #[test]
    fn now_and_then_all_runs_go_that_are_not_kept() {
        for run in [1, 64, 127, 129, 191] {
            assert_eq!(RunRecord::trimmed_at(run), None, "{run}");
        }
        for run in [128, 192, 6_400] {
            let trimmed = RunRecord::trimmed_at(run).expect("it is a multiple of 64");
            assert_eq!(trimmed, 11..=run - 100);
            for other in 1..=run {
                assert_eq!(trimmed.contains(&other), !RunRecord::is_kept(other, run), "{other} at {run}");
            }
        }
    }
}
