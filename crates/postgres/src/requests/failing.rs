//! Requests that fail alone, again and again.
//!
//! A failure that lies in the request or its job comes again with each pass, so such a row is set aside once
//! it has failed often and for long. All others end by themselves or by an operator's act, however long they
//! take, and their rows are tried again for ever.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gristmill_core::{BackendErrorKind, Timestamp};

use crate::error::Fail;

/// A row is set aside when it has failed in so many passes, the last of them so long after the first.
const PASSES: u32 = 5;
const LONG: Duration = Duration::from_secs(300);
/// So many rows are remembered, each for as long after its latest failure.
const MOST: usize = 1_000;

/// The rows that have failed. A process that restarts begins to count anew.
#[derive(Debug, Default)]
pub(crate) struct Failing(Mutex<HashMap<i64, Failures>>);

#[derive(Debug)]
struct Failures {
    first: Timestamp,
    latest: Timestamp,
    passes: u32,
}

/// What is to be done with a row that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    First,
    Again,
    ForLong,
}

impl Failing {
    /// A row failed alone, by itself.
    pub(super) fn note(&self, request: i64, now: Timestamp) -> Failed {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = known.get_mut(&request) {
            row.passes += 1;
            row.latest = now;
            if row.passes < PASSES || now.since(row.first) < LONG {
                return Failed::Again;
            }
            known.remove(&request);
            return Failed::ForLong;
        }
        if known.len() >= MOST {
            known.retain(|_, row| now.since(row.latest) < LONG);
        }
        if known.len() < MOST {
            known.insert(request, Failures { first: now, latest: now, passes: 1 });
        }
        Failed::First
    }

    /// Another store is in its place.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Whether a failure lies in the request or its job.
pub(super) fn is_of_row(fail: &Fail) -> bool {
    match fail {
        Fail::Refused(error) => is_kind_of_row(error.kind()),
        Fail::Broken(error) => error.code().is_some_and(|state| is_state_of_row(state.code())),
        Fail::Late | Fail::Exchanged => false,
    }
}

fn is_kind_of_row(kind: BackendErrorKind) -> bool {
    matches!(kind, BackendErrorKind::Undecodable | BackendErrorKind::Refused)
}

/// By the class of the state: data, cardinality, constraints, views with a check, limits of a row, and what a
/// function raises, such as a trigger of the user's. Not the server's own defects, nor what an operator has
/// to grant, to make or to mend.
fn is_state_of_row(state: &str) -> bool {
    matches!(state.get(..2), Some("21" | "22" | "23" | "44" | "54" | "P0"))
}

#[cfg(test)]
mod tests {
    use BackendErrorKind as Kind;

    use super::*;

    #[test]
    fn failures_count_that_lie_in_the_row_and_no_others() {
        let of_row = ["21000", "22003", "22P02", "22021", "23503", "23514", "44000", "54000", "P0001"];
        for state in of_row {
            assert!(is_state_of_row(state), "{state}");
        }
        let others = [
            // Locks, collisions, time limits.
            "55P03", "40001", "40P01", "57014", "25P03", // Connections, shutdown, failover.
            "08006", "57P01", "57P02", "57P03", "53300", "25006", "28P01", "3D000",
            // Space, rights, the schema, a pooler.
            "53100", "53200", "42501", "42P01", "42703", "42883", "3F000", "26000", "42P05",
            // Disks and defects of the server.
            "58030", "XX000", "XX001", "XX002", "25P02", "", "2", "é",
        ];
        for state in others {
            assert!(!is_state_of_row(state), "{state}");
        }
        assert!(is_kind_of_row(Kind::Undecodable) && is_kind_of_row(Kind::Refused));
        for kind in [
            Kind::Unavailable,
            Kind::TimedOut,
            Kind::Busy,
            Kind::Full,
            Kind::ReadOnly,
            Kind::Foreign,
            Kind::SchemaOld,
            Kind::SchemaNew,
            Kind::WorkerGone,
            Kind::Closed,
            Kind::Internal,
        ] {
            assert!(!is_kind_of_row(kind), "{kind:?}");
        }
        assert!(!is_of_row(&Fail::Late) && !is_of_row(&Fail::Exchanged));
    }

    #[test]
    fn a_row_is_set_aside_that_has_failed_often_and_for_long() {
        let at = |second: u64| Timestamp::EPOCH + Duration::from_secs(second);
        let failing = Failing::default();
        assert_eq!(failing.note(1, at(0)), Failed::First);
        for second in 1..300 {
            assert_eq!(failing.note(1, at(second)), Failed::Again, "often and not for long");
        }
        assert_eq!(failing.note(2, at(300)), Failed::First);
        assert_eq!(failing.note(1, at(300)), Failed::ForLong);
        assert_eq!(failing.note(1, at(301)), Failed::First, "it was forgotten");
        for second in 10_000..10_003 {
            assert_eq!(failing.note(2, at(second)), Failed::Again, "for long and not often");
        }
        assert_eq!(failing.note(2, at(10_003)), Failed::ForLong);
    }

    #[test]
    fn a_bounded_number_of_rows_is_remembered() {
        let at = |second: u64| Timestamp::EPOCH + Duration::from_secs(second);
        let failing = Failing::default();
        for request in 0..5_000 {
            failing.note(request, at(0));
        }
        assert_eq!(failing.note(5_000, at(1)), Failed::First);
        assert_eq!(failing.note(5_000, at(2)), Failed::First, "there is no room");
        assert_eq!(failing.note(5_000, at(300)), Failed::First);
        assert_eq!(failing.note(5_000, at(301)), Failed::Again, "those that failed no longer have gone");
    }
}
