//! What becomes of a run that ends, whatever it says and whatever is known of it.

use std::time::Duration;

use gristmill_core::{
    DISCARD_AFTER_CRASHES, Decision, Ending, JobState, Reason, RetryPolicy, RunFacts, Settlement, Timestamp,
    settle, settle_crash,
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

/// A fetched job's facts: its attempt is counted already, and an update may have lowered its bound since.
fn any_facts() -> impl Strategy<Value = RunFacts> {
    let small_or_any = || prop_oneof![1..=6_u16, 1..=u16::MAX];
    (small_or_any(), prop_oneof![0..=6_u16, any::<u16>()], small_or_any(), any::<bool>()).prop_map(
        |(attempt, crashes, max_attempts, cancel_requested)| RunFacts {
            attempt,
            crashes,
            max_attempts,
            cancel_requested,
        },
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

/// What holds of every settlement.
fn check(settled: Settlement, facts: RunFacts) -> Result<(), proptest::test_runner::TestCaseError> {
    prop_assert!(JobState::Running.can_become(settled.state));
    prop_assert!(settled.attempt == facts.attempt || settled.attempt == facts.attempt - 1);
    if facts.cancel_requested {
        prop_assert_eq!(
            (settled.state, settled.reason),
            (JobState::Cancelled, Some(Reason::CancelRequested))
        );
    }
    if settled.state.is_terminal() {
        prop_assert_eq!((settled.after, settled.attempt), (Duration::ZERO, facts.attempt));
    }
    // Where an attempt was spent and the job may run again, one is left.
    if settled.state == JobState::Retryable {
        prop_assert!(settled.attempt == facts.attempt && settled.attempt < facts.max_attempts);
    }
    let (now, earlier) = (Timestamp::from_millis(5_000), Timestamp::from_millis(1_000));
    let due = settled.due(now, earlier);
    prop_assert!(due == earlier || (due >= now && !settled.state.is_terminal()));
    prop_assert!(settled.after < Duration::from_millis(1) || settled.state != JobState::Available);
    Ok(())
}

proptest! {
    #[test]
    fn every_finish_is_a_legal_move(decision in any_decision(), ending in any_ending(), facts in any_facts()) {
        let settled = settle(decision, ending, facts);

        check(settled, facts)?;
        prop_assert!(settled.crashes == 0 || (settled.crashes == facts.crashes && settled.attempt < facts.attempt));
        if !facts.cancel_requested {
            prop_assert_eq!(settled.ending, ending, "a run is recorded as it ended");
            let refunded = matches!(decision, Decision::SnoozeAfter(_) | Decision::GiveBackAfter(_));
            prop_assert_eq!(settled.attempt < facts.attempt, refunded);
        }
    }

    #[test]
    fn every_crash_is_a_legal_move(policy in any_policy(), facts in any_facts(), random in 0.0..=1.0_f64) {
        let settled = settle_crash(&policy, facts, random);

        check(settled, facts)?;
        prop_assert_eq!((settled.ending, settled.attempt), (Ending::Crashed, facts.attempt));
        if !facts.cancel_requested {
            prop_assert_eq!(settled.crashes, facts.crashes.saturating_add(1));
            let is_poison = settled.crashes >= DISCARD_AFTER_CRASHES;
            prop_assert_eq!(settled.reason == Some(Reason::Poison), is_poison);
            let is_over = is_poison || facts.attempt >= facts.max_attempts;
            prop_assert_eq!(settled.state == JobState::Discarded, is_over);
            prop_assert!(settled.after <= policy.without_jitter().delay(facts.attempt, 0.0));
        }
    }

    #[test]
    fn a_job_ends_after_its_attempts_however_its_runs_go(
        runs in proptest::collection::vec((any_decision(), any::<bool>()), 1..200),
        max_attempts in 1..20_u16,
    ) {
        let mut facts = RunFacts { attempt: 0, crashes: 0, max_attempts, cancel_requested: false };
        let mut spent = 0;
        for (decision, crashes) in runs {
            facts.attempt += 1;
            prop_assert!(facts.attempt <= max_attempts, "it ran once more than it may");
            let settled = if crashes {
                settle_crash(&RetryPolicy::default(), facts, 0.5)
            } else {
                settle(decision, Ending::Failed, facts)
            };
            spent += u16::from(settled.attempt == facts.attempt);
            prop_assert_eq!(settled.attempt, spent);
            (facts.attempt, facts.crashes) = (settled.attempt, settled.crashes);
            if settled.state.is_terminal() {
                break;
            }
        }
    }
}

/// A backoff without end must not take the rescuer down: it settles under the store's lock.
#[test]
fn a_crash_under_the_longest_delay_is_settled() {
    let facts = RunFacts { attempt: 2, crashes: 1, max_attempts: 9, cancel_requested: false };
    for random in [0.0, 0.5, 1.0, 2.0, -1.0, f64::NAN, f64::INFINITY] {
        let settled = settle_crash(&RetryPolicy::fixed(Duration::MAX), facts, random);
        assert_eq!(settled.state, JobState::Retryable, "{random}");
    }
}

#[test]
fn every_job_can_come_to_an_end_and_nothing_is_held_by_itself() {
    for state in JobState::ALL {
        assert!(!state.can_become(JobState::Suspended), "{state}: only an enqueue holds a job");
        assert!(!state.can_become(state) || state == JobState::Scheduled, "{state}");
        let can_end = state.next().iter().any(|next| next.is_terminal());
        assert!(can_end || state.is_terminal(), "{state} has no way out");
    }
}
