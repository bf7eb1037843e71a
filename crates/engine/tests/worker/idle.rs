//! What a worker with nothing to do costs its store.

use gristmill_core::{BackendErrorKind, JobError, JobOptions, JobState};
use gristmill_engine::{JobContext, WorkerBuilder};
use gristmill_testkit::{Fault, Operation};

use crate::fixture::{Fixture, SECOND, run};

const OPERATIONS: [Operation; 6] = [
    Operation::Fetch,
    Operation::Renew,
    Operation::Promote,
    Operation::Rescue,
    Operation::Prune,
    Operation::Audit,
];

fn calls(t: &Fixture) -> u64 {
    OPERATIONS.iter().map(|operation| t.backend.calls(*operation)).sum()
}

fn idle(builder: WorkerBuilder<()>) -> WorkerBuilder<()> {
    builder.handle_raw("k", async |_: JobContext| Ok::<_, JobError>(()))
}

async fn calls_in_a_minute(t: &Fixture, builder: WorkerBuilder<()>) -> u64 {
    let worker = run(idle(builder));
    tokio::time::sleep(30 * SECOND).await;
    let before = calls(t);
    tokio::time::sleep(60 * SECOND).await;
    let made = calls(t) - before;
    worker.stop().await;
    made
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_makes_less_than_two_calls_in_three_seconds() {
    let t = Fixture::new();
    let made = calls_in_a_minute(&t, t.worker()).await;
    assert!(made <= 40, "{made} calls in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_hears_nothing_still_looks_every_second() {
    let t = Fixture::deaf();
    let worker = run(idle(t.worker()));
    tokio::time::sleep(30 * SECOND).await;
    let id = t.enqueue("k").await;
    let took = t.until(id, JobState::Completed).await;
    assert!(took <= SECOND, "{took:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_hint_is_lost_waits_for_the_next_look() {
    let t = Fixture::losing_hints();
    let worker = run(idle(t.worker()));
    tokio::time::sleep(30 * SECOND).await;
    let id = t.enqueue("k").await;
    let took = t.until(id, JobState::Completed).await;
    assert!(took <= 5 * SECOND, "{took:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_had_to_register_again_looks_at_once() {
    let t = Fixture::new();
    let worker = run(idle(t.worker()));
    tokio::time::sleep(30 * SECOND).await;
    t.backend.script(Operation::Fetch, [Fault::Fail(BackendErrorKind::WorkerGone)]);
    let id = t.enqueue("k").await;
    let took = t.until(id, JobState::Completed).await;
    assert!(took <= SECOND, "{took:?}");
    worker.stop().await;
}

fn many(t: &Fixture) -> WorkerBuilder<()> {
    (0..500).fold(t.worker().slots(20), |worker, number| worker.queue(format!("q{number}"), 5))
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_of_many_queues_makes_as_few_calls_as_one_of_one() {
    let t = Fixture::new();
    let made = calls_in_a_minute(&t, many(&t)).await;
    assert!(made < 60, "{made} calls in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_worker_of_many_queues_finds_jobs_in_any_of_them() {
    let t = Fixture::losing_hints();
    let early = t.enqueue_with("k", JobOptions::new().queue("q499")).await;
    let worker = run(idle(many(&t)));
    let took = t.until(early, JobState::Completed).await;
    assert!(took <= SECOND, "{took:?} after the start");
    let late = t.enqueue_with("k", JobOptions::new().queue("q123")).await;
    let took = t.until(late, JobState::Completed).await;
    assert!(took <= 6 * SECOND, "{took:?}");
    worker.stop().await;
}
