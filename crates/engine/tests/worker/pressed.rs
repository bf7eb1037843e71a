//! Situations that are rare: a claim that is lost alone, jobs that arrive while fenced, a success cut off
//! from its transaction, queues that share few slots, a store that falls behind.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gristmill_core::{
    BackendErrorKind, Call, EventKind, JobError, JobOptions, JobState, RenewRequest, WorkerId,
};
use gristmill_engine::{JobContext, Tx, Worker};
use gristmill_testkit::{Fault, Operation};

use crate::fixture::{Fixture, MILLI, SECOND, eventually, run};
use crate::ledger::Draft;

type Done = Result<(), JobError>;

async fn worker_id(t: &Fixture) -> WorkerId {
    t.client.workers().await.expect("the store answers")[0].id
}

/// A renewal that lists nothing gives everything back: the worker learns of it with its own next one.
#[tokio::test(start_paused = true)]
async fn a_handler_of_a_lost_claim_is_stopped_and_the_worker_goes_on() {
    let t = Fixture::new();
    let (started, dropped) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (starts, drops) = (started.clone(), dropped.clone());
    let builder = t.worker().handle_raw("k", move |_: JobContext| {
        struct Dropped(Arc<AtomicU32>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let run = starts.fetch_add(1, Ordering::SeqCst);
        // Of the first run only.
        let dropped = (run == 0).then(|| Dropped(drops.clone()));
        async move {
            if run == 0 {
                let _dropped = dropped;
                future::pending::<Done>().await?;
            }
            Ok::<_, JobError>(())
        }
    });
    let worker = run(builder);
    let id = t.enqueue("k").await;
    t.until(id, JobState::Running).await;
    eventually(|| started.load(Ordering::SeqCst) == 1).await;
    let request = RenewRequest::new(worker_id(&t).await, Vec::new());
    t.client.backend().renew(Call::new(), request).await.expect("the lease holds");
    eventually(|| dropped.load(Ordering::SeqCst) >= 1).await;
    t.until(id, JobState::Completed).await;
    let stats = worker.stop().await.stats;
    assert_eq!((stats.completed, stats.incarnations_lost, t.job(id).await.attempt), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn jobs_that_arrive_while_fenced_are_not_started() {
    let t = Fixture::new();
    let started = Arc::new(AtomicU32::new(0));
    let starts = started.clone();
    let builder = t.worker().lease(10 * SECOND).call_deadline(9 * SECOND);
    let builder = builder
        .on(EventKind::Started, move |_| {
            starts.fetch_add(1, Ordering::SeqCst);
        })
        .handle_raw("k", async |_: JobContext| Ok::<_, JobError>(()));
    let worker = run(builder);
    eventually(|| t.backend.calls(Operation::Fetch) > 0).await;
    // The renewals fail from the first one on; the fetch is answered after the fence and before the lease's
    // end.
    t.backend.script(Operation::Renew, [Fault::Fail(BackendErrorKind::Unavailable); 1_000]);
    tokio::time::sleep(3 * SECOND).await;
    t.backend.script(Operation::Fetch, [Fault::HoldReply; 4]);
    let id = t.enqueue("k").await;
    t.until(id, JobState::Running).await;
    tokio::time::sleep(5_500 * MILLI).await;
    t.backend.release();
    tokio::time::sleep(200 * MILLI).await;
    assert_eq!(started.load(Ordering::SeqCst), 0, "nothing starts on a lease that is about to end");
    t.backend.heal();
    t.until(id, JobState::Completed).await;
    assert_eq!((started.load(Ordering::SeqCst), t.job(id).await.attempt), (1, 1));
    worker.stop().await;
}

/// What a handler says is void without the commit of its transaction.
#[tokio::test(start_paused = true)]
async fn a_success_whose_transaction_is_cut_off_is_given_back() {
    let t = Fixture::with_ledger();
    let id = t.enqueue("k").await;
    t.backend.script(Operation::Record, [Fault::HoldRequest; 10]);
    let builder = t.worker().grace(Duration::ZERO);
    let worker = run(builder.handle_raw("k", async |mut tx: Tx<Draft>, ctx: JobContext| {
        tx.write("line");
        ctx.log("a line that the store does not take");
        Ok::<_, JobError>(())
    }));
    // The handler has returned; its log is stored before its transaction commits.
    eventually(|| t.backend.calls(Operation::Record) > 0).await;
    let stats = worker.stop().await.stats;
    assert_eq!((stats.completed, stats.released), (0, 1));
    let job = t.job(id).await;
    assert_eq!((job.state, job.attempt, t.lines()), (JobState::Available, 0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn queues_that_share_few_slots_take_turns() {
    let t = Fixture::new();
    for queue in ["first", "second", "third"] {
        for _ in 0..30 {
            t.enqueue_with(queue, JobOptions::new().queue(queue)).await;
        }
    }
    let done = Arc::new([const { AtomicU32::new(0) }; 3]);
    let mut builder = Worker::builder(t.client.clone()).slots(1).fetch_batch(1);
    for (lane, queue) in ["first", "second", "third"].into_iter().enumerate() {
        let done = done.clone();
        builder = builder.queue(queue, 1).handle_raw(queue, move |_: JobContext| {
            let done = done.clone();
            async move {
                done[lane].fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(MILLI).await;
                Ok::<_, JobError>(())
            }
        });
    }
    let worker = run(builder);
    let count = |lane: usize| done[lane].load(Ordering::SeqCst);
    eventually(|| (0..3).map(count).sum::<u32>() >= 30).await;
    let counts: Vec<u32> = (0..3).map(count).collect();
    assert!(counts.iter().all(|count| *count >= 7), "{counts:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_store_falls_behind_fetches_no_more() {
    let t = Fixture::new();
    for _ in 0..500 {
        t.enqueue("k").await;
    }
    t.backend.script(Operation::Finish, [Fault::HoldRequest; 100]);
    let builder = t.worker().fetch_batch(10);
    let worker = run(builder.handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    tokio::time::sleep(3 * SECOND).await;
    let fetched = worker.handle.stats().fetched;
    assert!((20..=60).contains(&fetched), "{fetched} jobs were fetched whose ends the store does not take");
    t.backend.heal();
    eventually(|| worker.handle.stats().completed == 500).await;
    worker.stop().await;
}
