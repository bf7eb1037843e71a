//! What an operator's act does to a job: the pure decision every backend applies.

use crate::{End, JobState, Retention, Timestamp, Verb, Verdict, When};

/// What a backend does to one job under an operator's act. Exhaustive on purpose: every one is to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing; the verdict says why.
    Nothing(Verdict),
    /// Stores that the run in progress is to be cancelled, and hints it to the worker.
    RequestCancel,
    /// Ends the job: cancelled, or removed with all that is kept of it.
    End(End),
    /// Makes the job `available`, due now, as if it had never run: no attempts and no crashes are spent, and
    /// there is no output, no reason and no end. The number of its run, and what is kept of its runs, stay.
    Restart {
        /// The job had ended, so its unique key is to be taken again first. Where another job holds it,
        /// nothing else is done and the verdict is [`Verdict::Conflict`].
        takes_unique_key: bool,
    },
    /// Puts the job, its attempts, crashes and reason as they are, into the place of this state; a parked job
    /// loses its reason. An update does so even where neither differs, since the priority it sets may be part
    /// of the place.
    Move {
        /// Where it goes: neither running nor terminal.
        state: JobState,
        /// When it is due.
        run_at: Timestamp,
    },
}

impl Act {
    /// The verdict to return to the operator once the act is applied.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Nothing(verdict) => verdict.clone(),
            Self::RequestCancel => Verdict::Requested,
            Self::End(_) | Self::Restart { .. } | Self::Move { .. } => Verdict::Done,
        }
    }
}

/// Where a job stands when an operator's act meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'j> {
    /// The state it is in.
    pub state: JobState,
    /// When it is, or was last, due.
    pub run_at: Timestamp,
    /// It is scheduled because no worker that met it has a handler for its kind.
    pub is_parked: bool,
    /// Attempts that it has spent.
    pub attempt: u16,
    /// Its crashes in a row.
    pub crashes: u16,
    /// The retention of its own, where it has one.
    pub retention: Option<&'j Retention>,
}

impl Standing<'_> {
    /// Creates the standing of a job that is not parked, has not run and stays for the default retention.
    pub const fn new(state: JobState, run_at: Timestamp) -> Self {
        Self { state, run_at, is_parked: false, attempt: 0, crashes: 0, retention: None }
    }

    /// When the retention passes of a job that ended at `finished_at`; `None` for one that has not ended.
    pub fn expires_at(&self, finished_at: Timestamp) -> Option<Timestamp> {
        Some(finished_at + self.retention.copied().unwrap_or_default().of(self.state)?)
    }
}

/// What an operator's act does to a job, in the transaction that read where it stands.
///
/// An update puts a parked job back in line, at its old place unless it gets a new time: whatever is changed
/// may be what it waits for.
///
/// `when` is the new time that an update asks for; no other act looks at it. [`When::Suspended`] leaves the
/// time as it is, and so does any time asked for a suspended job, which only a release makes due.
///
/// ```
/// use gristmill_core::{Act, JobState, Standing, Timestamp, Verb, Verdict, operate};
///
/// let now = Timestamp::from_millis(5_000);
/// let of = |verb, state| operate(verb, Standing::new(state, Timestamp::EPOCH), None, now);
/// assert_eq!(of(Verb::Cancel, JobState::Running), Act::RequestCancel);
/// assert_eq!(of(Verb::Retry, JobState::Discarded), Act::Restart { takes_unique_key: true });
/// assert_eq!(of(Verb::Delete, JobState::Running).verdict(), Verdict::Refused(JobState::Running));
/// ```
pub fn operate(verb: Verb, standing: Standing<'_>, when: Option<When>, now: Timestamp) -> Act {
    use JobState::{Available, Cancelled, Completed, Discarded, Retryable, Running, Scheduled, Suspended};
    let Standing { state, run_at, is_parked, .. } = standing;
    let refused = Act::Nothing(Verdict::Refused(state));
    match verb {
        Verb::Cancel => match state {
            Suspended | Scheduled | Available | Retryable => Act::End(End::of_cancel(standing, now)),
            Running => Act::RequestCancel,
            Completed | Cancelled | Discarded => Act::Nothing(Verdict::AlreadyTerminal),
        },
        Verb::Retry => match state {
            Available => Act::Nothing(Verdict::Done),
            Scheduled | Retryable => Act::Restart { takes_unique_key: false },
            Completed | Cancelled | Discarded => Act::Restart { takes_unique_key: true },
            Suspended | Running => refused,
        },
        Verb::Delete if state == Running => refused,
        Verb::Delete => Act::End(End::of_removal(standing)),
        Verb::Update => match state {
            Scheduled | Available | Retryable => {
                let asked = when.filter(|when| *when != When::Suspended);
                let state = if is_parked { Available } else { state };
                let (state, run_at) = asked.map_or((state, run_at), |when| when.resolve(now));
                Act::Move { state, run_at }
            }
            Suspended => Act::Move { state, run_at },
            Running | Completed | Cancelled | Discarded => refused,
        },
        Verb::ReleaseHold if state == Suspended => Act::Move { state: Available, run_at: now },
        Verb::ReleaseHold => refused,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::JobState::{
        Available, Cancelled, Completed, Discarded, Retryable, Running, Scheduled, Suspended,
    };

    const DUE: Timestamp = Timestamp::from_millis(7_000);
    const NOW: Timestamp = Timestamp::from_millis(9_000);
    const LATER: Timestamp = Timestamp::from_millis(10_000);
    const VERBS: [Verb; 5] = [Verb::Cancel, Verb::Retry, Verb::Delete, Verb::Update, Verb::ReleaseHold];
    const WHENS: [Option<When>; 5] = [
        None,
        Some(When::Now),
        Some(When::After(Duration::from_secs(1))),
        Some(When::At(LATER)),
        Some(When::Suspended),
    ];

    fn done_by(verb: Verb) -> Vec<Act> {
        JobState::ALL.iter().map(|state| operate(verb, Standing::new(*state, DUE), None, NOW)).collect()
    }

    fn moved(state: JobState, run_at: Timestamp) -> Act {
        Act::Move { state, run_at }
    }

    fn cancelled(state: JobState) -> Act {
        Act::End(End::of_cancel(Standing::new(state, DUE), NOW))
    }

    fn refused(state: JobState) -> Act {
        Act::Nothing(Verdict::Refused(state))
    }

    #[test]
    fn cancel_ends_what_has_not_started_and_asks_what_runs() {
        let ended = Act::Nothing(Verdict::AlreadyTerminal);
        assert_eq!(
            done_by(Verb::Cancel),
            [
                cancelled(Suspended),
                cancelled(Scheduled),
                cancelled(Available),
                Act::RequestCancel,
                cancelled(Retryable),
                ended.clone(),
                ended.clone(),
                ended,
            ]
        );
    }

    #[test]
    fn retry_restarts_what_waits_for_a_time_or_has_ended() {
        let (waiting, ended) =
            (Act::Restart { takes_unique_key: false }, Act::Restart { takes_unique_key: true });
        assert_eq!(
            done_by(Verb::Retry),
            [
                refused(Suspended),
                waiting.clone(),
                Act::Nothing(Verdict::Done),
                refused(Running),
                waiting,
                ended.clone(),
                ended.clone(),
                ended,
            ]
        );
    }

    #[test]
    fn delete_removes_all_but_what_runs() {
        let expected = JobState::ALL.iter().map(|state| match state {
            Running => refused(Running),
            _ => Act::End(End::of_removal(Standing::new(*state, DUE))),
        });
        let expected: Vec<Act> = expected.collect();
        assert_eq!(done_by(Verb::Delete), expected);
    }

    #[test]
    fn update_keeps_the_place_of_what_has_not_started() {
        assert_eq!(
            done_by(Verb::Update),
            [
                moved(Suspended, DUE),
                moved(Scheduled, DUE),
                moved(Available, DUE),
                refused(Running),
                moved(Retryable, DUE),
                refused(Completed),
                refused(Cancelled),
                refused(Discarded),
            ]
        );
    }

    #[test]
    fn update_moves_to_the_time_it_is_given_but_never_holds_or_releases() {
        for state in [Scheduled, Available, Retryable] {
            let to = |when| operate(Verb::Update, Standing::new(state, DUE), Some(when), NOW);
            assert_eq!(to(When::Now), moved(Available, NOW), "{state}");
            assert_eq!(to(When::At(DUE)), moved(Available, DUE), "{state}");
            assert_eq!(to(When::At(LATER)), moved(Scheduled, LATER), "{state}");
            assert_eq!(to(When::After(Duration::from_secs(1))), moved(Scheduled, LATER), "{state}");
            assert_eq!(to(When::Suspended), moved(state, DUE), "{state}");
        }
        for when in WHENS {
            assert_eq!(
                operate(Verb::Update, Standing::new(Suspended, DUE), when, NOW),
                moved(Suspended, DUE),
                "{when:?}"
            );
        }
    }

    #[test]
    fn update_puts_a_parked_job_back_in_line() {
        let parked = Standing { is_parked: true, ..Standing::new(Scheduled, DUE) };
        let to = |when| operate(Verb::Update, parked, when, NOW);
        assert_eq!(to(None), moved(Available, DUE));
        assert_eq!(to(Some(When::Suspended)), moved(Available, DUE));
        assert_eq!(to(Some(When::At(LATER))), moved(Scheduled, LATER));
        for verb in VERBS.into_iter().filter(|verb| *verb != Verb::Update) {
            let plain = Standing::new(Scheduled, DUE);
            assert_eq!(operate(verb, parked, None, NOW), operate(verb, plain, None, NOW), "{verb:?}");
        }
    }

    #[test]
    fn release_frees_only_what_is_held() {
        let expected = JobState::ALL.iter().map(|state| match state {
            Suspended => moved(Available, NOW),
            _ => refused(*state),
        });
        let expected: Vec<Act> = expected.collect();
        assert_eq!(done_by(Verb::ReleaseHold), expected);
    }

    #[test]
    fn every_act_is_a_legal_move() {
        for verb in VERBS {
            for state in JobState::ALL.iter().copied() {
                for when in WHENS {
                    let next = match operate(verb, Standing::new(state, DUE), when, NOW) {
                        Act::End(end) => end.state,
                        Act::Restart { .. } => Available,
                        Act::Move { state, .. } => state,
                        Act::Nothing(_) | Act::RequestCancel => continue,
                    };
                    let is_legal = next == state || state.can_become(next);
                    assert!(is_legal, "{verb:?}: {state} cannot become {next}");
                }
            }
        }
    }

    #[test]
    fn only_an_update_looks_at_a_new_time() {
        for verb in VERBS.into_iter().filter(|verb| *verb != Verb::Update) {
            for state in JobState::ALL.iter().copied() {
                for when in WHENS {
                    let act = operate(verb, Standing::new(state, DUE), when, NOW);
                    assert_eq!(
                        act,
                        operate(verb, Standing::new(state, DUE), None, NOW),
                        "{verb:?} {state} {when:?}"
                    );
                }
            }
        }
    }
}
