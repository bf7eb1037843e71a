//! What becomes of a run that ends, whatever it says and whatever is known of it.

use std::time::Duration;

use gristmill_core::{
    DISCARD_AFTER_CRASHES, Decision, End, Ending, JobState, Reason, RetryPolicy, RunFacts, Stay, Timestamp,
    Why,
};
use proptest::prelude::{Just, Strategy, any, proptest};
use proptest::{prop_assert, prop_assert_eq, prop_oneof};

fn any_delay() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), any::<u64>().prop_map(Duration::from_nanos)]
}

fn any_decision() -> impl Strategy<Value = Decision> {
    (0..6_u8, any_delay()).prop_map(|(which, delay)| match which {
        0 => Decision::Complete,
        1 => Decision::RetryAfter(delay),
        2 => Decision::SnoozeAfter(delay),
        3 => Decision::Cancel,
        4 => Decision::Discard,
        _ => Decision::GiveBackAfter(delay),
    })
}

fn any_ending() -> impl Strategy<Value = Ending> {
    (0..Ending::ALL.len()).prop_map(|index| Ending::ALL[index])
}

const NOW: Timestamp = Timestamp::from_millis(5_000);
const EARLIER: Timestamp = Timestamp::from_millis(1_000);

/// A run that is not the last one its store can number.
fn facts(attempt: u16, crashes: u16, max_attempts: u16, cancel_requested: bool) -> RunFacts<'static> {
    let (is_last_run, run_at, retention) = (false, EARLIER, None);
    RunFacts { attempt, crashes, max_attempts, cancel_requested, is_last_run, run_at, retention }
}

/// A fetched job's facts: its attempt is counted already, and an update may have lowered its bound since.
fn any_facts() -> impl Strategy<Value = RunFacts<'static>> {
    let small_or_any = || prop_oneof![1..=6_u16, 1..=u16::MAX];
    (small_or_any(), prop_oneof![0..=6_u16, any::<u16>()], small_or_any(), any::<bool>()).prop_map(
        |(attempt, crashes, most, cancel_requested)| facts(attempt, crashes, most, cancel_requested),
    )
}

fn any_policy() -> impl Strategy<Value = RetryPolicy> {
    prop_oneof![
        (any_delay(), any::<f64>(), any_delay())
            .prop_map(|(base, factor, cap)| RetryPolicy::exponential(base, factor, cap)),
        (any_delay(), any_delay()).prop_map(|(step, cap)| RetryPolicy::linear(step, cap)),
        any_delay().prop_map(RetryPolicy::fixed),
        proptest::collection::vec(any_delay(), 0..4).prop_map(RetryPolicy::table),
    ]
}

/// What holds of the end of every run.
fn check(end: End, facts: RunFacts<'_>) -> Result<(), proptest::test_runner::TestCaseError> {
    prop_assert!(JobState::Running.can_become(end.state));
    prop_assert!(end.attempt == facts.attempt || end.attempt == facts.attempt - 1);
    if facts.cancel_requested {
        let cancelled = (JobState::Cancelled, Why::Store(Reason::CancelRequested));
        prop_assert_eq!((end.state, end.reason), cancelled);
    }
    // Where an attempt was spent and the job may run again, one is left.
    if end.state == JobState::Retryable {
        prop_assert!(end.attempt == facts.attempt && end.attempt < facts.max_attempts);
    }
    let ends = end.state.is_terminal();
    prop_assert_eq!((end.frees_key, end.hints_end), (ends, ends));
    match end.stay {
        Stay::Due(due) => prop_assert!(!ends && (due == EARLIER || due >= NOW)),
        Stay::Parked => prop_assert_eq!(end.state, JobState::Scheduled),
        Stay::Kept { until } => prop_assert!(ends && until > NOW && end.attempt == facts.attempt),
        Stay::Erased => prop_assert!(false, "the default retention keeps every job"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_finish_is_a_legal_move(decision in any_decision(), ending in any_ending(), facts in any_facts()) {
        let end = End::of_finish(decision, ending, facts, NOW);

        check(end, facts)?;
        prop_assert!(end.crashes == 0 || (end.crashes == facts.crashes && end.attempt < facts.attempt));
        if !facts.cancel_requested {
            prop_assert_eq!(end.run.map(|run| run.ending), Some(ending), "a run is recorded as it ended");
            let refunded = matches!(decision, Decision::SnoozeAfter(_) | Decision::GiveBackAfter(_));
            prop_assert_eq!(end.attempt < facts.attempt, refunded);
        }
    }

    #[test]
    fn every_crash_is_a_legal_move(policy in any_policy(), facts in any_facts(), random in 0.0..=1.0_f64) {
        let end = End::of_crash(&policy, facts, random, NOW);

        check(end, facts)?;
        prop_assert_eq!((end.run.map(|run| run.ending), end.attempt), (Some(Ending::Crashed), facts.attempt));
        if !facts.cancel_requested {
            prop_assert_eq!(end.crashes, facts.crashes.saturating_add(1));
            let is_poison = end.crashes >= DISCARD_AFTER_CRASHES;
            prop_assert_eq!(end.reason == Why::Store(Reason::Poison), is_poison);
            let is_over = is_poison || facts.attempt >= facts.max_attempts;
            prop_assert_eq!(end.state == JobState::Discarded, is_over);
            if let Stay::Due(due) = end.stay {
                prop_assert!(due <= NOW + policy.without_jitter().delay(facts.attempt, 0.0));
            }
        }
    }

    #[test]
    fn a_job_ends_after_its_attempts_however_its_runs_go(
        runs in proptest::collection::vec((any_decision(), any::<bool>()), 1..200),
        max_attempts in 1..20_u16,
    ) {
        let mut facts = facts(0, 0, max_attempts, false);
        let mut spent = 0;
        for (decision, crashes) in runs {
            facts.attempt += 1;
            prop_assert!(facts.attempt <= max_attempts, "it ran once more than it may");
            let end = if crashes {
                End::of_crash(&RetryPolicy::default(), facts, 0.5, NOW)
            } else {
                End::of_finish(decision, Ending::Failed, facts, NOW)
            };
            spent += u16::from(end.attempt == facts.attempt);
            prop_assert_eq!(end.attempt, spent);
            (facts.attempt, facts.crashes) = (end.attempt, end.crashes);
            if end.state.is_terminal() {
                break;
            }
        }
    }
}

/// A backoff without end must not take the rescuer down: it decides under the store's lock.
#[test]
fn a_crash_under_the_longest_delay_has_an_end() {
    for random in [0.0, 0.5, 1.0, 2.0, -1.0, f64::NAN, f64::INFINITY] {
        let end = End::of_crash(&RetryPolicy::fixed(Duration::MAX), facts(2, 1, 9, false), random, NOW);
        assert_eq!(end.state, JobState::Retryable, "{random}");
    }
}

#[test]
fn every_job_can_come_to_an_end_and_nothing_is_held_by_itself() {
    for state in JobState::ALL.iter().copied() {
        assert!(!state.can_become(JobState::Suspended), "{state}: only an enqueue holds a job");
        assert!(!state.can_become(state) || state == JobState::Scheduled, "{state}");
        let can_end = state.next().iter().any(|next| next.is_terminal());
        assert!(can_end || state.is_terminal(), "{state} has no way out");
    }
}
