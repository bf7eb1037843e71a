//! The ends of jobs that are not running.

use super::{End, Stay, Why};
use crate::{JobState, Standing, Timestamp, Verb};

impl End {
    /// The end of a job that is cancelled while it is not running. It keeps its attempts and crashes, and has
    /// no reason.
    pub(crate) fn of_cancel(standing: Standing<'_>, now: Timestamp) -> Self {
        let state = JobState::Cancelled;
        let stay = Stay::after(state, standing.retention, now);
        Self {
            run: None,
            state,
            stay,
            attempt: standing.attempt,
            crashes: standing.crashes,
            reason: Why::Sent,
            keeps_output: false,
            frees_key: true,
            event: (stay != Stay::Erased).then_some(Verb::Cancel),
            hints_end: true,
        }
    }

    /// The end of a job that is removed as it is: by an operator, or since its retention has passed.
    pub(crate) fn of_removal(standing: Standing<'_>) -> Self {
        Self {
            run: None,
            state: standing.state,
            stay: Stay::Erased,
            attempt: standing.attempt,
            crashes: standing.crashes,
            reason: Why::Sent,
            keeps_output: false,
            frees_key: true,
            event: None,
            hints_end: false,
        }
    }

    /// The removal of a job whose retention passes at [`until`](Standing::expires_at); `None` for one that
    /// has not ended, or stays for longer.
    pub fn of_expiry(standing: Standing<'_>, until: Timestamp, now: Timestamp) -> Option<Self> {
        (standing.state.is_terminal() && until <= now).then(|| Self::of_removal(standing))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Retention;

    const NOW: Timestamp = Timestamp::from_millis(9_000);
    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_job_goes_when_its_own_retention_passes_and_not_before() {
        let retention = Retention::all(Duration::from_secs(5)).with_completed(Duration::from_secs(3));
        for state in JobState::ALL.iter().copied() {
            let mut standing = Standing::new(state, Timestamp::EPOCH);
            standing.retention = Some(&retention);
            let Some(kept) = retention.of(state) else {
                assert_eq!(standing.expires_at(NOW), None);
                assert_eq!(End::of_expiry(standing, NOW, NOW), None, "{state} is no end");
                continue;
            };
            let until = standing.expires_at(NOW).expect("it has ended");
            assert_eq!(until, NOW + kept, "{state}");
            let end = End::of_expiry(standing, until, until).expect("it is past");
            assert_eq!((end.stay, end.frees_key, end.event), (Stay::Erased, true, None));
            assert_eq!(End::of_expiry(standing, until + MILLI, until), None);
        }
    }

    #[test]
    fn a_cancelled_job_keeps_its_counts_and_leaves_an_event_unless_it_goes_at_once() {
        let mut standing = Standing::new(JobState::Retryable, Timestamp::EPOCH);
        (standing.attempt, standing.crashes) = (3, 1);
        let end = End::of_cancel(standing, NOW);
        assert_eq!((end.attempt, end.crashes, end.run, end.event), (3, 1, None, Some(Verb::Cancel)));
        assert_eq!(end.stay, Stay::Kept { until: NOW + Retention::default().cancelled });
        let none = Retention::all(Duration::ZERO);
        standing.retention = Some(&none);
        let end = End::of_cancel(standing, NOW);
        assert_eq!((end.stay, end.event, end.frees_key, end.hints_end), (Stay::Erased, None, true, true));
    }
}
