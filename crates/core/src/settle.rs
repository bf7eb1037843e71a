//! What becomes of a job whose run has ended: the pure decision every backend applies.

use std::time::Duration;

use crate::{Decision, Ending, Jitter, JobState, RetryPolicy, Timestamp};

/// This many crashes in a row discard a job: whatever runs it, dies.
pub const DISCARD_AFTER_CRASHES: u16 = 5;

/// Why the store itself discarded a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Its attempts are used up.
    Exhausted,
    /// It crashed [`DISCARD_AFTER_CRASHES`] times in a row.
    Poison,
    /// No worker that met it has a handler for its kind.
    NoHandler,
    /// A cancel was asked for while it ran.
    CancelRequested,
}

impl Reason {
    /// The stable words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Poison => "poison",
            Self::NoHandler => "no handler",
            Self::CancelRequested => "cancel requested",
        }
    }
}

/// What a store knows of a run at the moment it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFacts {
    /// The attempt, counted at fetch, from 1.
    pub attempt: u16,
    /// Crashes in a row before this run.
    pub crashes: u16,
    /// The job's bound.
    pub max_attempts: u16,
    /// A cancel was asked for during this run.
    pub cancel_requested: bool,
}

/// What to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Where the job goes.
    pub state: JobState,
    /// How the run is recorded.
    pub ending: Ending,
    /// Attempts spent from now on.
    pub attempt: u16,
    /// Crashes in a row from now on.
    pub crashes: u16,
    /// How long from now the job is due; zero for a job that is available at once or has ended.
    pub after: Duration,
    /// Why, where the store itself decided.
    pub reason: Option<Reason>,
}

impl Settlement {
    /// Whether the job is parked: it is due at no time, and waits for a worker that has a handler for its kind.
    pub fn is_parked(&self) -> bool {
        self.reason == Some(Reason::NoHandler)
    }

    /// When the job is due from now on. A job that is given back or rescued at once keeps its place in the line, and an
    /// ended one the time it was last due. One that failed or snoozed joins the end of its line, however short its
    /// delay.
    pub fn due(&self, now: Timestamp, was_due: Timestamp) -> Timestamp {
        let came_back = self.ending == Ending::Snoozed || self.state == JobState::Retryable;
        let keeps_place = self.after.is_zero() && !came_back;
        if self.state.is_terminal() || keeps_place { was_due } else { now + self.after }
    }
}

/// Settles a run that its worker finished.
///
/// A requested cancel wins over every outcome, a success included. A snooze and a give-back return the attempt. A
/// failure without attempts left discards. Anything but a give-back ends a row of crashes. A job given back because its
/// kind is unknown is [parked](Settlement::is_parked), whatever the delay, and keeps its place in the line.
///
/// ```
/// use gristmill_core::{Decision, Ending, JobState, RunFacts, settle};
/// use std::time::Duration;
///
/// let facts = RunFacts { attempt: 3, crashes: 0, max_attempts: 3, cancel_requested: false };
/// let settled = settle(Decision::RetryAfter(Duration::from_secs(1)), Ending::Failed, facts);
/// assert_eq!(settled.state, JobState::Discarded);
/// ```
pub fn settle(decision: Decision, ending: Ending, facts: RunFacts) -> Settlement {
    let ended = |state, reason| Settlement {
        state,
        ending,
        attempt: facts.attempt,
        crashes: 0,
        after: Duration::ZERO,
        reason,
    };
    if facts.cancel_requested {
        return cancelled(facts);
    }
    let refunded = facts.attempt.saturating_sub(1);
    match decision {
        Decision::Complete => ended(JobState::Completed, None),
        Decision::Cancel => ended(JobState::Cancelled, None),
        Decision::Discard => ended(JobState::Discarded, None),
        Decision::RetryAfter(_) if facts.attempt >= facts.max_attempts => {
            ended(JobState::Discarded, Some(Reason::Exhausted))
        }
        Decision::RetryAfter(after) => Settlement { after, ..ended(JobState::Retryable, None) },
        Decision::SnoozeAfter(after) => Settlement { attempt: refunded, after, ..ended(later(after), None) },
        Decision::GiveBackAfter(_) if ending == Ending::UnknownKind => Settlement {
            attempt: refunded,
            crashes: facts.crashes,
            ..ended(JobState::Scheduled, Some(Reason::NoHandler))
        },
        Decision::GiveBackAfter(after) => {
            Settlement { attempt: refunded, crashes: facts.crashes, after, ..ended(later(after), None) }
        }
    }
}

/// Settles a run whose lease expired: a crash counts as an attempt. The first one makes the job available at once; from
/// the second on it backs off with full jitter, so that bystanders part from the culprit. `random` lies in `[0, 1)`.
pub fn settle_crash(policy: &RetryPolicy, facts: RunFacts, random: f64) -> Settlement {
    if facts.cancel_requested {
        return Settlement { ending: Ending::Crashed, ..cancelled(facts) };
    }
    let crashes = facts.crashes.saturating_add(1);
    let crashed = |state, after, reason| Settlement {
        state,
        ending: Ending::Crashed,
        attempt: facts.attempt,
        crashes,
        after,
        reason,
    };
    if crashes >= DISCARD_AFTER_CRASHES {
        crashed(JobState::Discarded, Duration::ZERO, Some(Reason::Poison))
    } else if facts.attempt >= facts.max_attempts {
        crashed(JobState::Discarded, Duration::ZERO, Some(Reason::Exhausted))
    } else if crashes == 1 {
        crashed(JobState::Available, Duration::ZERO, None)
    } else {
        let after = policy.clone().with_jitter(Jitter::Full).delay(facts.attempt, random);
        crashed(JobState::Retryable, after, None)
    }
}

fn cancelled(facts: RunFacts) -> Settlement {
    Settlement {
        state: JobState::Cancelled,
        ending: Ending::Cancelled,
        attempt: facts.attempt,
        crashes: 0,
        after: Duration::ZERO,
        reason: Some(Reason::CancelRequested),
    }
}

/// A job given no delay is not scheduled but available.
fn later(after: Duration) -> JobState {
    if after.is_zero() { JobState::Available } else { JobState::Scheduled }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobState::{Available, Discarded, Retryable};

    const SECOND: Duration = Duration::from_secs(1);
    const FACTS: RunFacts = RunFacts { attempt: 2, crashes: 1, max_attempts: 5, cancel_requested: false };
    const DECISIONS: [Decision; 7] = [
        Decision::Complete,
        Decision::RetryAfter(SECOND),
        Decision::SnoozeAfter(SECOND),
        Decision::SnoozeAfter(Duration::ZERO),
        Decision::Cancel,
        Decision::Discard,
        Decision::GiveBackAfter(SECOND),
    ];

    #[test]
    fn every_settlement_is_a_legal_move() {
        for decision in DECISIONS {
            for attempt in 1..=5 {
                for cancel_requested in [false, true] {
                    let facts = RunFacts { attempt, cancel_requested, ..FACTS };
                    let settled = settle(decision, Ending::Failed, facts);
                    assert!(JobState::Running.can_become(settled.state), "{decision:?} {facts:?}");
                    assert!(settled.attempt <= attempt);
                }
            }
        }
    }

    #[test]
    fn a_requested_cancel_wins_over_every_outcome() {
        for decision in DECISIONS {
            let settled = settle(decision, Ending::Completed, RunFacts { cancel_requested: true, ..FACTS });
            assert_eq!(
                (settled.state, settled.ending),
                (JobState::Cancelled, Ending::Cancelled),
                "{decision:?}"
            );
        }
    }

    #[test]
    fn a_snooze_and_a_give_back_return_the_attempt() {
        for decision in [Decision::SnoozeAfter(SECOND), Decision::GiveBackAfter(SECOND)] {
            assert_eq!(settle(decision, Ending::Released, FACTS).attempt, FACTS.attempt - 1);
        }
    }

    #[test]
    fn a_job_of_an_unknown_kind_is_parked_at_its_place_in_the_line() {
        let (was_due, now) = (Timestamp::from_millis(7), Timestamp::from_millis(9_000));
        for after in [Duration::ZERO, SECOND] {
            let settled = settle(Decision::GiveBackAfter(after), Ending::UnknownKind, FACTS);
            assert!(settled.is_parked());
            assert_eq!((settled.state, settled.due(now, was_due)), (JobState::Scheduled, was_due));
            assert_eq!((settled.attempt, settled.crashes), (FACTS.attempt - 1, FACTS.crashes));
        }
        let released = settle(Decision::GiveBackAfter(SECOND), Ending::Released, FACTS);
        assert!(!released.is_parked());
        assert_eq!((released.attempt, released.crashes), (FACTS.attempt - 1, FACTS.crashes));
    }

    #[test]
    fn what_was_not_run_to_an_end_keeps_its_place_and_all_else_joins_the_end_of_its_line() {
        let (was_due, now) = (Timestamp::from_millis(1), Timestamp::from_millis(9));
        for (decision, ending, due) in [
            (Decision::RetryAfter(Duration::ZERO), Ending::Failed, now),
            (Decision::SnoozeAfter(Duration::ZERO), Ending::Snoozed, now),
            (Decision::GiveBackAfter(Duration::ZERO), Ending::Released, was_due),
            (Decision::GiveBackAfter(SECOND), Ending::Released, now + SECOND),
            (Decision::Complete, Ending::Completed, was_due),
        ] {
            assert_eq!(settle(decision, ending, FACTS).due(now, was_due), due, "{decision:?}");
        }
        let first = RunFacts { crashes: 0, ..FACTS };
        assert_eq!(settle_crash(&RetryPolicy::default(), first, 0.5).due(now, was_due), was_due);
    }

    #[test]
    fn the_last_attempt_ends_discarded() {
        let last = RunFacts { attempt: 5, crashes: 0, ..FACTS };
        assert_eq!(settle(Decision::RetryAfter(SECOND), Ending::Panic, last).state, JobState::Discarded);
        assert_eq!(settle_crash(&RetryPolicy::default(), last, 0.5).state, JobState::Discarded);
    }

    #[test]
    fn crashes_in_a_row_back_off_and_end_as_poison() {
        let policy = RetryPolicy::fixed(SECOND);
        let mut facts = RunFacts { attempt: 0, crashes: 0, max_attempts: 100, cancel_requested: false };
        let mut states = Vec::new();
        for _ in 0..DISCARD_AFTER_CRASHES {
            facts.attempt += 1;
            let settled = settle_crash(&policy, facts, 0.5);
            facts.crashes = settled.crashes;
            states.push((settled.state, settled.after.as_millis()));
        }
        assert_eq!(
            states,
            [(Available, 0), (Retryable, 500), (Retryable, 500), (Retryable, 500), (Discarded, 0)]
        );
    }
}
