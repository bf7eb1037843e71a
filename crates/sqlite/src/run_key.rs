//! The key of a run: its job's seq and its number.

/// Bits of a run's key that hold the run; the others hold the job's seq.
const RUN_BITS: u32 = 22;
/// The last number of a run: one every minute for eight years. After it they are numbered anew.
pub(crate) const LAST_RUN: u32 = (1 << RUN_BITS) - 1;
/// The last seq a job can have: 2^41 of them, seven years of ten thousand a second.
pub(crate) const LAST_SEQ: i64 = (1 << (63 - RUN_BITS)) - 1;

/// The key of a job's run.
pub(crate) fn run_key(seq: i64, run: u32) -> i64 {
    seq << RUN_BITS | i64::from(run.min(LAST_RUN))
}

/// The first and the last key a job's runs can have.
pub(crate) fn run_keys(seq: i64) -> (i64, i64) {
    (run_key(seq, 0), run_key(seq, LAST_RUN))
}
