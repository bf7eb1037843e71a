//! Ends that need a row which a user's open transaction has locked.

use gristmill_core::{JobError, JobState};
use gristmill_engine::{JobContext, Worker};
use gristmill_testkit::Operation;

use crate::fixture::{Fixture, MILLI, SECOND, eventually, run};

#[tokio::test(start_paused = true)]
async fn an_end_that_waits_for_a_lock_holds_up_no_other_end_and_no_fetch() {
    let t = Fixture::new();
    let locked = [t.enqueue("k").await, t.enqueue("k").await, t.enqueue("k").await];
    for id in locked {
        t.backend.lock(id);
    }
    let worker = Worker::builder(t.client.clone()).queue("default", 1);
    let worker = run(worker.handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    for _ in 0..50 {
        let id = t.enqueue("k").await;
        let took = t.until(id, JobState::Completed).await;
        assert!(took < 20 * MILLI, "a free job took {took:?}");
    }
    for id in locked {
        assert_eq!(t.job(id).await.state, JobState::Running);
    }
    t.backend.unlock(locked[1]);
    let took = t.until(locked[1], JobState::Completed).await;
    assert!(took <= SECOND, "an end whose lock is gone took {took:?}");
    for id in locked {
        t.backend.unlock(id);
        t.until(id, JobState::Completed).await;
    }
    let stats = worker.stop().await.stats;
    assert_eq!((stats.completed, stats.stale_finishes, stats.refused_finishes), (53, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_waits_for_a_lock_is_repeated_now_and_then_only() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    t.backend.lock(id);
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    eventually(|| t.backend.calls(Operation::Finish) > 1).await;
    let before = t.backend.calls(Operation::Finish);
    tokio::time::sleep(60 * SECOND).await;
    let calls = t.backend.calls(Operation::Finish) - before;
    assert!((60..=130).contains(&calls), "{calls} calls in a minute");
    t.backend.unlock(id);
    assert_eq!(worker.stop().await.stats.completed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_fetched_by_hand_ends_once_its_lock_is_gone() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let leased = t.client.fetch("default", 1).await.expect("it is answered").remove(0);
    t.backend.lock(id);
    let client = t.client.clone();
    let finishing = tokio::spawn(async move { leased.complete(&()).await });
    tokio::time::sleep(SECOND).await;
    assert!(!finishing.is_finished());
    t.backend.unlock(id);
    finishing.await.expect("it ends").expect("it is stored");
    t.until(id, JobState::Completed).await;
    drop(client);
}
