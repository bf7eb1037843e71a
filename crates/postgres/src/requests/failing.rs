//! Requests that fail alone, again and again: which failures count, and what a process remembers of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use gristmill_core::{BackendErrorKind, Timestamp};
use gristmill_sql::{FailedRequest, RequestFailures};

use crate::error::Fail;

/// So many rows are remembered. With more, those whose latest failure is long ago go.
const MOST: usize = 1_000;

/// The rows that have failed. A process that restarts begins to count anew.
#[derive(Debug, Default)]
pub(crate) struct Failing(Mutex<HashMap<i64, RequestFailures>>);

impl Failing {
    /// A row failed alone, by itself.
    pub(super) fn note(&self, request: i64, now: Timestamp) -> FailedRequest {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(&request) {
            if known.len() >= MOST {
                known.retain(|_, failures| failures.is_recent(now));
            }
            if known.len() >= MOST {
                return FailedRequest::First;
            }
        }
        let failed = known.entry(request).or_insert_with(|| RequestFailures::new(now)).note(now);
        if matches!(failed, FailedRequest::ForLong(_)) {
            known.remove(&request);
        }
        failed
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
    use std::time::Duration;

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
    fn a_row_that_was_set_aside_is_forgotten() {
        let at = |second: u64| Timestamp::EPOCH + Duration::from_secs(second);
        let failing = Failing::default();
        assert_eq!(failing.note(1, at(0)), FailedRequest::First);
        for second in 1..300 {
            assert_eq!(failing.note(1, at(second)), FailedRequest::Again);
        }
        assert_eq!(failing.note(1, at(300)), FailedRequest::ForLong(301));
        assert_eq!(failing.note(1, at(301)), FailedRequest::First);
    }

    #[test]
    fn a_bounded_number_of_rows_is_remembered() {
        let at = |second: u64| Timestamp::EPOCH + Duration::from_secs(second);
        let failing = Failing::default();
        for request in 0..5_000 {
            failing.note(request, at(0));
        }
        assert_eq!(failing.note(5_000, at(1)), FailedRequest::First);
        assert_eq!(failing.note(5_000, at(2)), FailedRequest::First, "there is no room");
        assert_eq!(failing.note(5_000, at(300)), FailedRequest::First);
        assert_eq!(
            failing.note(5_000, at(301)),
            FailedRequest::Again,
            "those that failed no longer have gone"
        );
    }
}
