//! When a stored request that goes on failing is set aside.
//!
//! A failure that lies in the request or its job comes again with each pass. All others end by themselves or
//! by an operator's act, however long they take; a backend notes none of those here.

use std::time::Duration;

use gristmill_core::Timestamp;

/// A request is set aside when it has failed so often, the last time so long after the first.
const OFTEN: u32 = 5;
const LONG: Duration = Duration::from_secs(300);

/// The failures of a request that lie in it.
#[derive(Debug, Clone, Copy)]
pub struct RequestFailures {
    number: u32,
    first: Timestamp,
    latest: Timestamp,
}

/// What a failure of a request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedRequest {
    /// It is the first one that is known.
    First,
    /// It is tried again.
    Again,
    /// The request is to be set aside, after so many failures.
    ForLong(u32),
}

impl RequestFailures {
    /// None yet.
    pub fn new(now: Timestamp) -> Self {
        Self { number: 0, first: now, latest: now }
    }

    /// One more.
    pub fn note(&mut self, now: Timestamp) -> FailedRequest {
        self.number = self.number.saturating_add(1);
        self.latest = now;
        match self.number {
            1 => FailedRequest::First,
            number if number >= OFTEN && now.since(self.first) >= LONG => FailedRequest::ForLong(number),
            _ => FailedRequest::Again,
        }
    }

    /// Whether the latest one is so near that the next one may follow from the same cause.
    pub fn is_recent(&self, now: Timestamp) -> bool {
        now.since(self.latest) < LONG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_set_aside_that_has_failed_often_and_for_long() {
        let at = |second: u64| Timestamp::EPOCH + Duration::from_secs(second);
        let mut often = RequestFailures::new(at(0));
        assert_eq!(often.note(at(0)), FailedRequest::First);
        for second in 1..300 {
            assert_eq!(often.note(at(second)), FailedRequest::Again, "often and not for long");
        }
        assert_eq!(often.note(at(300)), FailedRequest::ForLong(301));

        let mut long = RequestFailures::new(at(300));
        assert_eq!(long.note(at(300)), FailedRequest::First);
        for second in 10_000..10_003 {
            assert_eq!(long.note(at(second)), FailedRequest::Again, "for long and not often");
        }
        assert_eq!(long.note(at(10_003)), FailedRequest::ForLong(5));
        assert!(long.is_recent(at(10_302)) && !long.is_recent(at(10_303)));
    }
}
