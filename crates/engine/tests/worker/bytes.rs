//! Ends and batches that are too much for a store: by their bytes, or by what one of them says.

use std::time::Duration;

use gristmill_core::{
    BackendErrorKind, Ending, FinishItem, JobError, JobId, JobOptions, JobState, MAX_BATCH_BYTES, NewJob,
};
use gristmill_engine::JobContext;
use gristmill_testkit::{Fault, Operation};

use crate::fixture::{Fixture, SECOND, run};

const MEBIBYTE: usize = 1024 * 1024;

fn bytes(items: &[FinishItem]) -> usize {
    let effects =
        |item: &FinishItem| item.effects.iter().map(|job| job.spec.args.as_bytes().len()).sum::<usize>();
    items
        .iter()
        .map(|item| item.output.as_ref().map_or(0, |output| output.as_bytes().len()) + effects(item))
        .sum()
}

fn big() -> String {
    format!("\"{}\"", "x".repeat(MEBIBYTE - 2))
}

/// Waits for a state that may take a minute to come.
async fn in_time(t: &Fixture, id: JobId, state: JobState) {
    for _ in 0..1_200 {
        if t.job(id).await.state == state {
            return;
        }
        tokio::time::sleep(SECOND / 10).await;
    }
    panic!("{id} does not become {state}");
}

fn follow(ctx: &JobContext) {
    for _ in 0..12 {
        ctx.enqueue_raw("later", big(), JobOptions::new().queue("other")).expect("it is within the bound");
    }
}

fn words() -> String {
    "é".repeat(3_000)
}

/// A message above a bound ends the connection, as PostgreSQL does at a gigabyte.
#[tokio::test(start_paused = true)]
async fn one_end_that_is_too_large_does_not_hold_up_the_others() {
    let t =
        Fixture::objecting(|items| (bytes(items) > 10 * MEBIBYTE).then_some(BackendErrorKind::Unavailable));
    let large = [t.enqueue_with("large", JobOptions::new().max_attempts(1)).await, t.enqueue("cancel").await];
    let mut small = Vec::new();
    for _ in 0..20 {
        small.push(t.enqueue("small").await);
    }
    let worker = run(t
        .worker()
        .handle_raw("large", async |ctx: JobContext| {
            follow(&ctx);
            Ok::<_, JobError>(())
        })
        .handle_raw("cancel", async |ctx: JobContext| {
            follow(&ctx);
            Err::<(), _>(JobError::cancel("enough"))
        })
        .handle_raw("small", async |_: JobContext| Ok::<_, JobError>(big())));
    for id in small {
        let took = t.until(id, JobState::Completed).await;
        assert!(took < 10 * SECOND, "{took:?}");
    }
    // The follow-up jobs are refused: the attempt fails, a cancel stays one.
    in_time(&t, large[0], JobState::Discarded).await;
    in_time(&t, large[1], JobState::Cancelled).await;
    let errors = t.job(large[0]).await.errors;
    assert!(errors[0].message.contains("follow-up jobs"), "{errors:?}");
    assert!(worker.stop().await.is_clean());
}

/// Whatever part of its words a store objects to, the outcome stands.
#[tokio::test(start_paused = true)]
async fn words_that_a_store_refuses_do_not_change_the_outcome() {
    type Objection = fn(&FinishItem) -> bool;
    let objections: [Objection; 5] = [
        |item| item.reason.as_ref().is_some_and(|reason| !reason.is_ascii()),
        |item| {
            item.error.as_ref().is_some_and(|error| error.backtrace.is_some() || error.message.len() > 300)
        },
        |item| item.output.as_ref().is_some_and(|output| output.as_bytes().len() > 300),
        |item| item.output.is_some(),
        |item| item.error.is_some() || item.reason.is_some(),
    ];
    let kinds = [BackendErrorKind::Refused, BackendErrorKind::Internal, BackendErrorKind::Undecodable];
    let cases = objections.into_iter().flat_map(|objects| kinds.map(|kind| (objects, kind)));
    for (objects, kind) in cases.chain([(objections[3], BackendErrorKind::Unavailable)]) {
        let t = Fixture::objecting(move |items| items.iter().any(objects).then_some(kind));
        let ids = [
            (t.enqueue("discard").await, JobState::Discarded),
            (t.enqueue("cancel").await, JobState::Cancelled),
            (t.enqueue("done").await, JobState::Completed),
            (t.enqueue("fine").await, JobState::Completed),
            (t.enqueue_with("fail", JobOptions::new().max_attempts(1)).await, JobState::Discarded),
        ];
        let worker = run(t
            .worker()
            .handle_raw("discard", async |_: JobContext| Err::<(), _>(JobError::discard(words())))
            .handle_raw("cancel", async |_: JobContext| Err::<(), _>(JobError::cancel(words())))
            .handle_raw("fail", async |_: JobContext| Err::<(), _>(std::io::Error::other(words())))
            .handle_raw("done", async |ctx: JobContext| {
                ctx.enqueue_raw("later", "{}", JobOptions::new().queue("other")).unwrap();
                Ok::<_, JobError>(words())
            })
            .handle_raw("fine", async |_: JobContext| Ok::<_, JobError>(())));
        for (id, state) in ids {
            in_time(&t, id, state).await;
            assert_eq!(t.job(id).await.attempt, 1, "{state} {kind:?}");
        }
        let queues = t.client.stats().await.unwrap().queues;
        let other = queues.iter().find(|queue| queue.queue.name.as_str() == "other");
        assert_eq!(
            other.map(|queue| queue.count(JobState::Available).value),
            Some(1),
            "{kind:?}: the follow-up"
        );
        assert!(worker.stop().await.is_clean());
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_no_words() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    t.backend.script(Operation::Finish, [Fault::Fail(BackendErrorKind::Unavailable); 100]);
    t.backend.script(Operation::Ping, [Fault::Fail(BackendErrorKind::Unavailable); 100]);
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>("é".repeat(500))));
    tokio::time::sleep(300 * SECOND).await;
    t.backend.heal();
    t.until(id, JobState::Completed).await;
    assert_eq!(t.job(id).await.output.unwrap().decode::<String>().unwrap(), "é".repeat(500));
    worker.stop().await;
}

/// Calls end at their bytes, with time for what they carry.
#[tokio::test(start_paused = true)]
async fn calls_carry_a_bounded_number_of_bytes() {
    let most = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = most.clone();
    let t = Fixture::objecting(move |items| {
        seen.fetch_max(bytes(items), std::sync::atomic::Ordering::SeqCst);
        None
    });
    let jobs: Vec<NewJob> =
        (0..60).map(|_| t.client.prepare_raw("k", big(), JobOptions::new()).unwrap()).collect();
    t.client.enqueue_prepared(jobs).await.unwrap();
    assert!(t.backend.calls(Operation::Enqueue) >= 8, "{}", t.backend.calls(Operation::Enqueue));
    // All end while the first call is held, and then have to share calls.
    t.backend.script(Operation::Finish, [Fault::HoldRequest]);
    let worker = gristmill_engine::Worker::builder(t.client.clone()).queue("default", 60);
    let worker = run(worker
        .drain()
        .handle_raw("k", async |ctx: JobContext| Ok::<_, JobError>(ctx.args().decode::<String>().unwrap())));
    assert_eq!(worker.report().await.stats.completed, 60);
    let most = most.load(std::sync::atomic::Ordering::SeqCst);
    assert!((MEBIBYTE..=MAX_BATCH_BYTES).contains(&most), "{most}");
}

/// Jobs of a mebibyte are stored in calls of 8 MiB, and a failure says what is left.
#[tokio::test(start_paused = true)]
async fn many_mebibytes_of_jobs_is_stored_in_bounded_calls() {
    const COUNT: usize = 24;
    let t = Fixture::new();
    let first = t.client.prepare_raw("k", big(), JobOptions::new()).unwrap();
    let mut jobs = vec![first; COUNT];
    for job in &mut jobs {
        job.id = t.client.mint_id();
    }
    t.backend.script(Operation::Enqueue, [Fault::LoseReply(BackendErrorKind::Unavailable)]);

    let partly = t.client.enqueue_prepared(jobs).await.unwrap_err();
    assert_eq!((partly.receipts.len(), partly.rest.len()), (0, COUNT), "none is known to be stored");
    t.client.enqueue_prepared(partly.rest).await.unwrap();

    let calls = t.backend.calls(Operation::Enqueue);
    assert!((4..=6).contains(&calls), "{calls} calls");
    let totals = t.client.stats().await.unwrap();
    let stored: u64 = totals.queues.iter().map(|queue| queue.count(JobState::Available).value).sum();
    assert_eq!(stored, COUNT as u64);
}

#[tokio::test(start_paused = true)]
async fn follow_ups_have_a_bound_of_bytes() {
    let t = Fixture::new();
    let id = t.enqueue_with("k", JobOptions::new().max_attempts(1)).await;
    let worker = run(t.worker().handle_raw("k", async |ctx: JobContext| {
        for _ in 0..600 {
            ctx.enqueue_raw("later", big(), JobOptions::new())?;
        }
        Ok::<_, gristmill_core::Error>(())
    }));
    t.until(id, JobState::Discarded).await;
    let run = t.client.runs(id).await.unwrap().remove(0);
    assert_eq!(run.ending, Ending::Failed);
    assert!(run.error.unwrap().message.contains("MiB"), "it names the bound");
    worker.stop().await;
}

/// A store that needs longer for much gets longer.
#[tokio::test(start_paused = true)]
async fn a_large_end_that_needs_longer_than_a_call_is_stored() {
    let t = Fixture::slow(|items| if bytes(items) > MEBIBYTE / 2 { 25 * SECOND } else { Duration::ZERO });
    let (large, small) = (t.enqueue("large").await, t.enqueue("small").await);
    let worker = run(t
        .worker()
        .handle_raw("large", async |_: JobContext| Ok::<_, JobError>("x".repeat(MEBIBYTE / 2 + 10)))
        .handle_raw("small", async |_: JobContext| Ok::<_, JobError>(())));
    t.until(small, JobState::Completed).await;
    in_time(&t, large, JobState::Completed).await;
    assert!(t.job(large).await.output.unwrap().as_bytes().len() > MEBIBYTE / 2, "nothing is left out");
    worker.stop().await;
}
