//! The ends of runs.

use std::time::Duration;

use super::{End, EndedBy, Reason, RunEnd, Stay, Why};
use crate::{Decision, Ending, Jitter, JobState, Retention, RetryPolicy, Timestamp};

/// This many crashes in a row discard a job: whatever runs it, dies.
pub const DISCARD_AFTER_CRASHES: u16 = 5;

/// What a store knows of a run at the moment it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFacts<'j> {
    /// The attempt, counted at fetch, from 1.
    pub attempt: u16,
    /// Crashes in a row before this run.
    pub crashes: u16,
    /// The job's bound.
    pub max_attempts: u16,
    /// A cancel was asked for during this run.
    pub cancel_requested: bool,
    /// The store has no number left for a further run of the job.
    pub is_last_run: bool,
    /// When the job became due.
    pub run_at: Timestamp,
    /// The retention of the job's own, where it has one.
    pub retention: Option<&'j Retention>,
}

/// What becomes of a job behind its run.
#[derive(Clone, Copy)]
enum Next {
    Ends(JobState),
    ComesBack(JobState, Timestamp),
    IsParked,
}

impl End {
    /// The end of a run that its worker finished.
    ///
    /// A requested cancel wins over every decision, a success included. A snooze and a give-back return the
    /// attempt. A failure without attempts left discards, and so does the last run that the store can number
    /// where the job would come back. Anything but a give-back resets the count of consecutive crashes. A job
    /// given back because its kind is unknown is [parked](Stay::Parked), whatever the delay. A job that is
    /// given back without a delay keeps its place in the line; one that failed or snoozed joins the end of
    /// its line, however short its delay.
    ///
    /// ```
    /// use gristmill_core::{Decision, End, Ending, JobState, Reason, RunFacts, Stay, Timestamp, Why};
    /// use std::time::Duration;
    ///
    /// let (second, now) = (Duration::from_secs(1), Timestamp::from_millis(9_000));
    /// let mut facts = RunFacts {
    ///     attempt: 2,
    ///     crashes: 0,
    ///     max_attempts: 3,
    ///     cancel_requested: false,
    ///     is_last_run: false,
    ///     run_at: Timestamp::EPOCH,
    ///     retention: None,
    /// };
    /// let end = End::of_finish(Decision::RetryAfter(second), Ending::Failed, facts, now);
    /// assert_eq!((end.state, end.stay), (JobState::Retryable, Stay::Due(now + second)));
    /// facts.attempt = 3;
    /// let end = End::of_finish(Decision::RetryAfter(second), Ending::Failed, facts, now);
    /// assert_eq!((end.state, end.reason), (JobState::Discarded, Why::Store(Reason::Exhausted)));
    /// ```
    pub fn of_finish(decision: Decision, ending: Ending, facts: RunFacts<'_>, now: Timestamp) -> Self {
        Self::decided(decision, RunEnd { ending, by: EndedBy::Worker }, facts, now)
    }

    /// The end of a run that its worker did not begin or does not know of: a renewal or a retirement gives it
    /// back.
    pub fn of_give_back(facts: RunFacts<'_>, now: Timestamp) -> Self {
        let run = RunEnd { ending: Ending::Released, by: EndedBy::GiveBack };
        Self::decided(Decision::GiveBackAfter(Duration::ZERO), run, facts, now)
    }

    /// The end of a run whose lease expired: a crash counts as an attempt. The first one makes the job
    /// available at once, at its place in the line. From the second on it backs off with full jitter, so that
    /// bystanders part from the culprit. `random` lies in `[0, 1)`.
    pub fn of_crash(policy: &RetryPolicy, facts: RunFacts<'_>, random: f64, now: Timestamp) -> Self {
        let run = RunEnd { ending: Ending::Crashed, by: EndedBy::Rescue };
        if facts.cancel_requested {
            return Self::cancelled(run, facts, now);
        }
        let crashes = facts.crashes.saturating_add(1);
        let (next, reason) = if crashes >= DISCARD_AFTER_CRASHES {
            (Next::Ends(JobState::Discarded), Why::Store(Reason::Poison))
        } else if facts.attempt >= facts.max_attempts {
            (Next::Ends(JobState::Discarded), Why::Store(Reason::Exhausted))
        } else if crashes == 1 {
            (Next::ComesBack(JobState::Available, facts.run_at), Why::Sent)
        } else {
            let after = policy.clone().with_jitter(Jitter::Full).delay(facts.attempt, random);
            (Next::ComesBack(JobState::Retryable, now + after), Why::Sent)
        };
        Self::behind(run, next, (facts.attempt, crashes), reason, facts, now)
    }

    fn decided(decision: Decision, run: RunEnd, facts: RunFacts<'_>, now: Timestamp) -> Self {
        if facts.cancel_requested {
            return Self::cancelled(RunEnd { ending: Ending::Cancelled, ..run }, facts, now);
        }
        let RunFacts { attempt, crashes, .. } = facts;
        let refunded = attempt.saturating_sub(1);
        let (next, counts, reason) = match decision {
            Decision::Complete => (Next::Ends(JobState::Completed), (attempt, 0), Why::Sent),
            Decision::Cancel => (Next::Ends(JobState::Cancelled), (attempt, 0), Why::Sent),
            Decision::Discard => (Next::Ends(JobState::Discarded), (attempt, 0), Why::Sent),
            Decision::RetryAfter(_) if attempt >= facts.max_attempts => {
                (Next::Ends(JobState::Discarded), (attempt, 0), Why::Store(Reason::Exhausted))
            }
            Decision::RetryAfter(after) => {
                (Next::ComesBack(JobState::Retryable, now + after), (attempt, 0), Why::Sent)
            }
            Decision::SnoozeAfter(after) => {
                (Next::ComesBack(later(after), now + after), (refunded, 0), Why::Sent)
            }
            Decision::GiveBackAfter(_) if run.ending == Ending::UnknownKind => {
                (Next::IsParked, (refunded, crashes), Why::Store(Reason::NoHandler))
            }
            Decision::GiveBackAfter(after) => {
                let due = if after.is_zero() { facts.run_at } else { now + after };
                (Next::ComesBack(later(after), due), (refunded, crashes), Why::Sent)
            }
        };
        Self::behind(run, next, counts, reason, facts, now)
    }

    fn cancelled(run: RunEnd, facts: RunFacts<'_>, now: Timestamp) -> Self {
        let (next, reason) = (Next::Ends(JobState::Cancelled), Why::Store(Reason::CancelRequested));
        Self::behind(run, next, (facts.attempt, 0), reason, facts, now)
    }

    /// What follows behind a run. A job that would come back although no further run has a number is
    /// discarded.
    fn behind(
        run: RunEnd,
        next: Next,
        (attempt, crashes): (u16, u16),
        reason: Why,
        facts: RunFacts<'_>,
        now: Timestamp,
    ) -> Self {
        let ends = |state| (state, Stay::after(state, facts.retention, now));
        let mut end = Self {
            run: Some(run),
            state: JobState::Discarded,
            stay: Stay::Parked,
            attempt,
            crashes,
            reason,
            keeps_output: false,
            frees_key: false,
            event: None,
            hints_end: false,
        };
        (end.state, end.stay) = match next {
            Next::Ends(state) => ends(state),
            Next::ComesBack(..) | Next::IsParked if facts.is_last_run => {
                (end.attempt, end.reason) = (facts.attempt, Why::Store(Reason::LastRun));
                ends(JobState::Discarded)
            }
            Next::ComesBack(state, due) => (state, Stay::Due(due)),
            Next::IsParked => (JobState::Scheduled, Stay::Parked),
        };
        end.keeps_output = end.state == JobState::Completed;
        (end.frees_key, end.hints_end) = (end.state.is_terminal(), end.state.is_terminal());
        end
    }
}

/// A job given no delay is not scheduled but available.
fn later(after: Duration) -> JobState {
    if after.is_zero() { JobState::Available } else { JobState::Scheduled }
}

#[cfg(test)]
mod tests;
