use super::*;
use crate::JobState::{Available, Cancelled, Completed, Discarded, Retryable, Scheduled};

const SECOND: Duration = Duration::from_secs(1);
const NOW: Timestamp = Timestamp::from_millis(9_000);
const WAS_DUE: Timestamp = Timestamp::from_millis(7);
const FACTS: RunFacts<'_> = RunFacts {
    attempt: 2,
    crashes: 1,
    max_attempts: 5,
    cancel_requested: false,
    is_last_run: false,
    run_at: WAS_DUE,
    retention: None,
};
const DECISIONS: [Decision; 7] = [
    Decision::Complete,
    Decision::RetryAfter(SECOND),
    Decision::SnoozeAfter(SECOND),
    Decision::SnoozeAfter(Duration::ZERO),
    Decision::Cancel,
    Decision::Discard,
    Decision::GiveBackAfter(SECOND),
];

fn finish(decision: Decision, ending: Ending, facts: RunFacts<'_>) -> End {
    End::of_finish(decision, ending, facts, NOW)
}

fn crash(policy: &RetryPolicy, facts: RunFacts<'_>) -> End {
    End::of_crash(policy, facts, 0.5, NOW)
}

#[test]
fn every_end_of_a_run_is_a_legal_move() {
    for decision in DECISIONS {
        for attempt in 1..=5 {
            for cancel_requested in [false, true] {
                let facts = RunFacts { attempt, cancel_requested, ..FACTS };
                let end = finish(decision, Ending::Failed, facts);
                assert!(JobState::Running.can_become(end.state), "{decision:?} {facts:?}");
                assert!(end.attempt <= attempt);
            }
        }
    }
}

#[test]
fn a_requested_cancel_wins_over_every_outcome() {
    for decision in DECISIONS {
        let end = finish(decision, Ending::Completed, RunFacts { cancel_requested: true, ..FACTS });
        assert_eq!((end.state, end.keeps_output), (Cancelled, false), "{decision:?}");
        assert_eq!(end.run.map(|run| run.ending), Some(Ending::Cancelled), "{decision:?}");
        assert_eq!(end.reason.text(Some("the handler's")), Some("cancel requested"));
    }
}

#[test]
fn the_last_run_a_store_can_number_ends_its_job_and_a_reason_of_the_handlers_stays() {
    let facts = RunFacts { is_last_run: true, ..FACTS };
    for decision in DECISIONS {
        let end = finish(decision, Ending::Failed, facts);
        assert!(end.state.is_terminal() && end.frees_key, "{decision:?}");
        let plain = finish(decision, Ending::Failed, FACTS);
        if plain.state.is_terminal() {
            assert_eq!((end, end.reason.text(Some("own"))), (plain, Some("own")), "{decision:?}");
        } else {
            assert_eq!((end.state, end.reason), (Discarded, Why::Store(Reason::LastRun)), "{decision:?}");
            assert_eq!(end.attempt, facts.attempt);
        }
    }
    let parked = finish(Decision::GiveBackAfter(SECOND), Ending::UnknownKind, facts);
    assert_eq!((parked.state, parked.reason), (Discarded, Why::Store(Reason::LastRun)));
    for given_back in [End::of_give_back(facts, NOW), crash(&RetryPolicy::default(), facts)] {
        assert_eq!((given_back.state, given_back.reason), (Discarded, Why::Store(Reason::LastRun)));
    }
    let poison = crash(&RetryPolicy::default(), RunFacts { crashes: 4, ..facts });
    assert_eq!(poison.reason, Why::Store(Reason::Poison));
}

#[test]
fn only_an_end_of_the_job_frees_its_key_and_begins_its_retention() {
    for decision in DECISIONS {
        let end = finish(decision, Ending::Failed, FACTS);
        let ends = end.state.is_terminal();
        assert_eq!((end.frees_key, end.hints_end), (ends, ends), "{decision:?}");
        assert_eq!(end.keeps_output, end.state == Completed, "{decision:?}");
        assert_eq!(ends, matches!(end.stay, Stay::Kept { .. } | Stay::Erased), "{decision:?}");
        assert_eq!(end.event, None, "the record of the run is there for that");
    }
}

#[test]
fn a_retention_of_its_own_counts_by_state_and_none_of_it_erases() {
    let retention = Retention::all(SECOND).with_completed(Duration::ZERO);
    let facts = RunFacts { retention: Some(&retention), ..FACTS };
    assert_eq!(finish(Decision::Complete, Ending::Completed, facts).stay, Stay::Erased);
    let discarded = finish(Decision::Discard, Ending::Discarded, facts);
    assert_eq!(discarded.stay, Stay::Kept { until: NOW + SECOND });
    let until = NOW + Retention::default().completed;
    assert_eq!(finish(Decision::Complete, Ending::Completed, FACTS).stay, Stay::Kept { until });
}

#[test]
fn a_snooze_and_a_give_back_return_the_attempt() {
    for decision in [Decision::SnoozeAfter(SECOND), Decision::GiveBackAfter(SECOND)] {
        assert_eq!(finish(decision, Ending::Released, FACTS).attempt, FACTS.attempt - 1);
    }
    let given_back = End::of_give_back(FACTS, NOW);
    assert_eq!(given_back.run, Some(RunEnd { ending: Ending::Released, by: EndedBy::GiveBack }));
    assert_eq!((given_back.state, given_back.stay), (Available, Stay::Due(WAS_DUE)));
    assert_eq!((given_back.attempt, given_back.crashes), (FACTS.attempt - 1, FACTS.crashes));
}

#[test]
fn a_job_of_an_unknown_kind_is_parked_at_its_place_in_the_line() {
    for after in [Duration::ZERO, SECOND] {
        let end = finish(Decision::GiveBackAfter(after), Ending::UnknownKind, FACTS);
        assert_eq!((end.state, end.stay), (Scheduled, Stay::Parked));
        assert_eq!(end.reason, Why::Store(Reason::NoHandler));
        assert_eq!((end.attempt, end.crashes), (FACTS.attempt - 1, FACTS.crashes));
    }
    let released = finish(Decision::GiveBackAfter(SECOND), Ending::Released, FACTS);
    assert_eq!((released.state, released.stay), (Scheduled, Stay::Due(NOW + SECOND)));
    assert_eq!((released.attempt, released.crashes), (FACTS.attempt - 1, FACTS.crashes));
}

#[test]
fn what_was_not_run_to_an_end_keeps_its_place_and_all_else_joins_the_end_of_its_line() {
    for (decision, ending, due) in [
        (Decision::RetryAfter(Duration::ZERO), Ending::Failed, NOW),
        (Decision::SnoozeAfter(Duration::ZERO), Ending::Snoozed, NOW),
        (Decision::GiveBackAfter(Duration::ZERO), Ending::Released, WAS_DUE),
        (Decision::GiveBackAfter(SECOND), Ending::Released, NOW + SECOND),
    ] {
        assert_eq!(finish(decision, ending, FACTS).stay, Stay::Due(due), "{decision:?}");
    }
    let first = RunFacts { crashes: 0, ..FACTS };
    assert_eq!(crash(&RetryPolicy::default(), first).stay, Stay::Due(WAS_DUE));
}

#[test]
fn the_last_attempt_ends_discarded() {
    let last = RunFacts { attempt: 5, crashes: 0, ..FACTS };
    assert_eq!(finish(Decision::RetryAfter(SECOND), Ending::Panic, last).state, Discarded);
    assert_eq!(crash(&RetryPolicy::default(), last).state, Discarded);
}

#[test]
fn crashes_in_a_row_back_off_and_end_as_poison() {
    let policy = RetryPolicy::fixed(SECOND);
    let mut facts = RunFacts { attempt: 0, crashes: 0, max_attempts: 100, ..FACTS };
    let mut states = Vec::new();
    for _ in 0..DISCARD_AFTER_CRASHES {
        facts.attempt += 1;
        let end = crash(&policy, facts);
        facts.crashes = end.crashes;
        states.push((end.state, end.stay));
    }
    let backs_off = (Retryable, Stay::Due(NOW + SECOND / 2));
    let until = NOW + Retention::default().discarded;
    assert_eq!(
        states,
        [(Available, Stay::Due(WAS_DUE)), backs_off, backs_off, backs_off, (Discarded, Stay::Kept { until })]
    );
}
