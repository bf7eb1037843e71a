//! From an outcome to the decision a store applies.

use std::time::Duration;

use crate::{Ending, Output, RunError};

/// How a handler's attempt ended, as the handler or the middleware around it says. Exhaustive on purpose.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Succeeded, with or without an output.
    Completed {
        /// What it returned.
        output: Option<Output>,
    },
    /// Failed; tried again while attempts are left.
    Failed {
        /// Why.
        error: RunError,
        /// The delay before the next attempt; `None` asks the retry policy.
        after: Option<Duration>,
    },
    /// Wants to run later; costs no attempt.
    Snoozed {
        /// How much later.
        after: Duration,
    },
    /// Stopped on purpose.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// Given up.
    Discarded {
        /// Why.
        reason: String,
    },
    /// Not run now because a limit or a breaker says so; costs no attempt.
    Deferred {
        /// When to look again.
        after: Duration,
        /// Why.
        reason: String,
    },
}

/// What the store must do with a leased job. Delays are added to the store's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is completed.
    Complete,
    /// The attempt failed: retryable after the delay, or discarded when attempts are used up.
    RetryAfter(Duration),
    /// It is scheduled after the delay; the attempt is not spent.
    SnoozeAfter(Duration),
    /// It is cancelled.
    Cancel,
    /// It is discarded.
    Discard,
    /// It is given back; the attempt is not spent. A zero delay makes it available at once.
    GiveBackAfter(Duration),
}

impl Decision {
    /// The shortest delay after which a handler's job comes back: one that asks for none would take a slot
    /// for itself, and leave thousands of runs a minute.
    pub const SHORTEST_DELAY: Duration = Duration::from_millis(100);
}

impl Outcome {
    /// The ending its run is recorded with. Timeouts, panics and undecodable args are failures or discards
    /// whose finer ending the executor knows.
    pub const fn ending(&self) -> Ending {
        match self {
            Self::Completed { .. } => Ending::Completed,
            Self::Failed { .. } => Ending::Failed,
            Self::Snoozed { .. } => Ending::Snoozed,
            Self::Cancelled { .. } => Ending::Cancelled,
            Self::Discarded { .. } => Ending::Discarded,
            Self::Deferred { .. } => Ending::Limited,
        }
    }

    /// The decision. After a failure that names no delay the job waits for `delay`, which the retry policy of
    /// its kind or of the job gives. No job comes back sooner than after [`Decision::SHORTEST_DELAY`].
    pub fn decide(&self, delay: impl FnOnce() -> Duration) -> Decision {
        match self {
            Self::Completed { .. } => Decision::Complete,
            Self::Failed { after, .. } => {
                let after = after.unwrap_or_else(delay);
                Decision::RetryAfter(after.max(Decision::SHORTEST_DELAY))
            }
            Self::Snoozed { after } => Decision::SnoozeAfter((*after).max(Decision::SHORTEST_DELAY)),
            Self::Cancelled { .. } => Decision::Cancel,
            Self::Discarded { .. } => Decision::Discard,
            Self::Deferred { after, .. } => Decision::GiveBackAfter((*after).max(Decision::SHORTEST_DELAY)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_handler_makes_its_job_spin() {
        let zero = Duration::ZERO;
        let (error, floor) = (RunError::new("no"), Decision::SHORTEST_DELAY);
        for (outcome, decision) in [
            (Outcome::Snoozed { after: zero }, Decision::SnoozeAfter(floor)),
            (Outcome::Failed { error: error.clone(), after: Some(zero) }, Decision::RetryAfter(floor)),
            (Outcome::Failed { error, after: None }, Decision::RetryAfter(floor)),
            (Outcome::Deferred { after: zero, reason: String::new() }, Decision::GiveBackAfter(floor)),
        ] {
            assert_eq!(outcome.decide(|| zero), decision);
        }
    }
}
