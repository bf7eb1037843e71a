//! The size of a round.

/// At most this many jobs a round.
pub(super) const ROUND: usize = 1_000;
