//! A store that fails, and answers that get lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gristmill_core::{BackendErrorKind, JobError, JobState};
use gristmill_engine::{JobContext, Worker};
use gristmill_testkit::{Fault, Operation};

use crate::fixture::{Fixture, SECOND, run};

/// The three errors of a network: nothing done, nothing done because others are busy, and done but not said.
const FAULTS: [Fault; 3] = [
    Fault::Fail(BackendErrorKind::Unavailable),
    Fault::Fail(BackendErrorKind::Busy),
    Fault::LoseReply(BackendErrorKind::Unavailable),
];

#[tokio::test(start_paused = true)]
async fn a_fetch_whose_answer_is_lost_is_repeated_with_its_number() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    t.backend.script(Operation::Fetch, [Fault::LoseReply(BackendErrorKind::TimedOut); 3]);
    let worker = run(t.worker().drain().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    let stats = worker.report().await.stats;
    assert_eq!((stats.completed, stats.fetched, t.job(id).await.run), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_finish_whose_answer_is_lost_is_repeated_and_counted_once() {
    let t = Fixture::new();
    t.enqueue("k").await;
    t.backend.script(Operation::Finish, [Fault::LoseReply(BackendErrorKind::TimedOut); 3]);
    let worker = run(t.worker().drain().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    let stats = worker.report().await.stats;
    assert_eq!((stats.completed, stats.stale_finishes), (1, 0));
    assert_eq!(t.client.stats().await.unwrap().stale_finishes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_never_answered_is_given_up_at_its_deadline() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    t.backend.script(Operation::Fetch, [Fault::HoldRequest]);
    let worker = run(t.worker().drain().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    assert_eq!(worker.report().await.stats.completed, 1);
    assert_eq!(t.job(id).await.run, 1);
}

#[tokio::test(start_paused = true)]
async fn a_finish_the_store_finds_fault_with_spares_its_neighbours() {
    let t = Fixture::new();
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(t.enqueue("k").await);
    }
    // The batch three times, then its first half, that one's first half and so on down to one job: refused
    // for good.
    t.backend.script(Operation::Finish, [Fault::Fail(BackendErrorKind::Refused); 7]);
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    for id in &ids[1..] {
        t.until(*id, JobState::Completed).await;
    }
    t.until(ids[0], JobState::Completed).await;
    let stats = worker.stop().await.stats;
    assert_eq!((stats.refused_finishes, stats.completed), (1, 8));
}

#[tokio::test(start_paused = true)]
async fn ends_that_are_too_many_for_the_store_go_in_smaller_calls() {
    let t = Fixture::bearing(1_000);
    for _ in 0..5_000 {
        t.enqueue("k").await;
    }
    // The first call is held until its deadline; meanwhile the others collect.
    t.backend.script(Operation::Finish, [Fault::HoldRequest]);
    let worker = Worker::builder(t.client.clone()).queue("default", 5_000).drain();
    let worker = run(worker.handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    let report = tokio::time::timeout(600 * SECOND, worker.report()).await;
    let stats = report.expect("the worker comes to its end").stats;
    assert_eq!((stats.completed, stats.stale_finishes, stats.refused_finishes), (5_000, 0, 0));
    // One held, five calls at least; that more were made shows that some were too large.
    assert!(t.backend.calls(Operation::Finish) > 7, "{}", t.backend.calls(Operation::Finish));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_random_loses_and_doubles_nothing() {
    for seed in 0..20 {
        let t = Fixture::new();
        for _ in 0..200 {
            t.enqueue("k").await;
        }
        let runs: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
        let seen = runs.clone();
        let builder = t.worker().drain().handle_raw("k", move |ctx: JobContext| {
            *seen.lock().unwrap().entry(ctx.idempotency_key()).or_default() += 1;
            async move {
                tokio::task::yield_now().await;
                if ctx.attempt() == 1 && ctx.id().as_bytes()[15] < 32 {
                    return Err(JobError::retry_after(std::time::Duration::from_millis(5), "again"));
                }
                Ok(())
            }
        });
        t.backend.randomly(seed, 200, FAULTS.to_vec());
        let report = run(builder).report().await;
        let again = u64::try_from(runs.lock().unwrap().values().filter(|runs| **runs == 2).count()).unwrap();
        let stats = report.stats;
        assert_eq!((stats.completed, stats.failed, stats.stale_finishes), (200, again, 0), "seed {seed}");
        assert!(runs.lock().unwrap().values().all(|runs| *runs <= 2), "seed {seed}");
    }
}

/// A slice a minute, whatever the answers were.
#[tokio::test(start_paused = true)]
async fn the_store_is_audited_every_minute() {
    let t = Fixture::new();
    t.backend.script(Operation::Audit, [Fault::Fail(BackendErrorKind::Busy), Fault::HoldReply]);
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    let audits = t.backend.calls(Operation::Audit);
    assert!((8..=12).contains(&audits), "{audits} audits");
    assert_eq!(worker.stop().await.stats.repaired, 0);
}
