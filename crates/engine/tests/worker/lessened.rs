//! Ends that a store refuses in full, of jobs fetched by hand and of handlers with a transaction.

use gristmill_core::{
    BackendErrorKind, Decision, FinishItem, Finished, JobError, JobOptions, JobState, Outcome, Output,
    RunError,
};
use gristmill_engine::{JobContext, Leased, Tx};

use crate::fixture::{Fixture, SECOND, run};
use crate::ledger::Draft;

const KINDS: [BackendErrorKind; 3] =
    [BackendErrorKind::Refused, BackendErrorKind::Internal, BackendErrorKind::Undecodable];

fn words() -> String {
    "é".repeat(3_000)
}

async fn one(t: &Fixture) -> Leased {
    t.enqueue_with("k", JobOptions::new().max_attempts(1)).await;
    t.client.fetch("default", 1).await.expect("it is answered").pop().expect("there is a job")
}

fn has_words(item: &FinishItem) -> bool {
    let long = |text: &String| text.len() > 300;
    item.output.as_ref().is_some_and(|output| output.as_bytes().len() > 300)
        || item.reason.as_ref().is_some_and(long)
        || item.error.as_ref().is_some_and(|error| long(&error.message))
}

#[tokio::test(start_paused = true)]
async fn words_that_a_store_refuses_do_not_change_an_outcome_by_hand() {
    let outcomes = || {
        [
            (Outcome::Completed { output: Some(Output::encode(&words())) }, JobState::Completed),
            (Outcome::Cancelled { reason: words() }, JobState::Cancelled),
            (Outcome::Discarded { reason: words() }, JobState::Discarded),
            (Outcome::Failed { error: RunError::new(words()), after: None }, JobState::Discarded),
        ]
    };
    for kind in KINDS {
        for (outcome, state) in outcomes() {
            let t = Fixture::objecting(move |items| items.iter().any(has_words).then_some(kind));
            let job = one(&t).await;
            let id = job.context().id();
            let finished = job.finish(outcome).await.unwrap();
            assert_eq!(finished, Finished::Accepted { state }, "{kind:?}");
            assert_eq!(t.job(id).await.state, state, "{kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn follow_ups_that_a_store_refuses_fail_an_attempt_by_hand() {
    let t = Fixture::objecting(|items| {
        items.iter().any(|item| !item.effects.is_empty()).then_some(BackendErrorKind::Refused)
    });
    let job = one(&t).await;
    let id = job.context().id();
    job.context().enqueue_raw("later", "{}", JobOptions::new().queue("other")).unwrap();
    let finished = job.complete("done").await.unwrap();
    assert_eq!(finished, Finished::Accepted { state: JobState::Discarded });
    let errors = t.job(id).await.errors;
    assert!(errors[0].message.contains("follow-up jobs"), "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_a_store_refuses_whatever_it_holds_is_an_error_by_hand() {
    let t = Fixture::objecting(|items| {
        items
            .iter()
            .any(|item| !matches!(item.decision, Decision::GiveBackAfter(_)))
            .then_some(BackendErrorKind::Refused)
    });
    let job = one(&t).await;
    let id = job.context().id();
    let error = job.complete("done").await.unwrap_err();
    assert!(error.to_string().contains("the ledger objects"), "{error}");
    let took = t.until(id, JobState::Available).await;
    assert!(took < SECOND, "it is given back: {took:?}");
}

/// A commit cannot be repeated with less, since its refusal ends the transaction: the attempt fails, and that
/// end is stored like any other.
#[tokio::test(start_paused = true)]
async fn the_failure_of_a_commit_that_a_store_refuses_is_stored_with_less() {
    for kind in KINDS {
        let t = Fixture::objecting(move |items| {
            let refused = |item: &FinishItem| {
                item.output.is_some() || item.error.as_ref().is_some_and(|error| error.message.len() > 30)
            };
            items.iter().any(refused).then_some(kind)
        });
        let id = t.enqueue_with("k", JobOptions::new().max_attempts(1)).await;
        let worker = run(t.worker().handle_raw("k", async |mut tx: Tx<Draft>, context: JobContext| {
            tx.write("line");
            context.enqueue_raw("later", "{}", JobOptions::new().queue("other")).unwrap();
            Ok::<_, JobError>(words())
        }));
        t.until(id, JobState::Discarded).await;
        assert!(worker.stop().await.is_clean());
        assert_eq!(t.lines(), Vec::<String>::new(), "{kind:?}");
    }
}
