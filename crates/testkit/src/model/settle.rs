//! What becomes of a job whose run ends, stated a second time. Backends apply what core decides, so a mistake
//! in core shows only beside rules that do not come from there.

use std::time::Duration;

use gristmill_core::{Decision, Ending, JobState, Timestamp};

use super::state::{By, Due, Job};

/// Crashes in a row that discard a job.
const CRASHES: u16 = 5;

/// What becomes of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    pub(super) state: JobState,
    pub(super) ending: Ending,
    pub(super) by: By,
    pub(super) attempt: u16,
    pub(super) crashes: u16,
    pub(super) due: Due,
    /// Why, in the store's words.
    pub(super) reason: Option<&'static str>,
    pub(super) is_parked: bool,
}

impl Job {
    /// Its run ends as its worker says.
    pub(super) fn finished(&self, decision: Decision, ending: Ending, now: Timestamp) -> Settled {
        let settled = self.ends(JobState::Completed, ending, By::Worker);
        if self.cancel_requested {
            return self.cancelled(Ending::Cancelled, By::Worker);
        }
        let later = |after: Duration| if after.is_zero() { JobState::Available } else { JobState::Scheduled };
        let refunded = self.attempt - 1;
        match decision {
            Decision::Complete => settled,
            Decision::Cancel => Settled { state: JobState::Cancelled, ..settled },
            Decision::Discard => Settled { state: JobState::Discarded, ..settled },
            Decision::RetryAfter(_) if self.attempt >= self.spec.max_attempts.get() => {
                Settled { state: JobState::Discarded, reason: Some("exhausted"), ..settled }
            }
            Decision::RetryAfter(after) => {
                Settled { state: JobState::Retryable, due: Due::At(now + after), ..settled }
            }
            Decision::SnoozeAfter(after) => {
                Settled { state: later(after), attempt: refunded, due: Due::At(now + after), ..settled }
            }
            Decision::GiveBackAfter(_) if ending == Ending::UnknownKind => Settled {
                state: JobState::Scheduled,
                is_parked: true,
                attempt: refunded,
                crashes: self.crashes,
                reason: Some("no handler"),
                ..settled
            },
            Decision::GiveBackAfter(after) => {
                let due = if after.is_zero() { settled.due } else { Due::At(now + after) };
                Settled { state: later(after), attempt: refunded, crashes: self.crashes, due, ..settled }
            }
        }
    }

    /// A renewal or a retirement of its worker gives it back.
    pub(super) fn given_back(&self) -> Settled {
        if self.cancel_requested {
            return self.cancelled(Ending::Cancelled, By::GiveBack);
        }
        let settled = self.ends(JobState::Available, Ending::Released, By::GiveBack);
        Settled { attempt: self.attempt - 1, crashes: self.crashes, ..settled }
    }

    /// Its lease expired. The backend chooses the delay at random, from none to all of it.
    pub(super) fn crashed(&self, now: Timestamp) -> Settled {
        if self.cancel_requested {
            return self.cancelled(Ending::Crashed, By::Rescue);
        }
        let crashes = self.crashes + 1;
        let settled = Settled { crashes, ..self.ends(JobState::Discarded, Ending::Crashed, By::Rescue) };
        if crashes >= CRASHES {
            Settled { reason: Some("poison"), ..settled }
        } else if self.attempt >= self.spec.max_attempts.get() {
            Settled { reason: Some("exhausted"), ..settled }
        } else if crashes == 1 {
            Settled { state: JobState::Available, ..settled }
        } else {
            let longest = self.spec.retry_policy().without_jitter().delay(self.attempt, 0.0);
            let due = Due::Between(self.run_at().min(now), now + longest);
            Settled { state: JobState::Retryable, due, ..settled }
        }
    }

    fn cancelled(&self, ending: Ending, by: By) -> Settled {
        Settled { reason: Some("cancel requested"), ..self.ends(JobState::Cancelled, ending, by) }
    }

    /// It keeps its attempt and the time it was due, and its row of crashes is over.
    fn ends(&self, state: JobState, ending: Ending, by: By) -> Settled {
        let (attempt, due) = (self.attempt, Due::At(self.run_at()));
        Settled { state, ending, by, attempt, crashes: 0, due, reason: None, is_parked: false }
    }
}
