//! How a worker ends (G13).

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use gristmill_core::{BackendErrorKind, JobError, JobOptions, JobState};
use gristmill_engine::JobContext;
use gristmill_testkit::{Fault, Operation};
use tokio::time::Instant;

use crate::fixture::{Fixture, MILLI, SECOND, eventually, run};

type Done = Result<(), JobError>;

#[tokio::test(start_paused = true)]
async fn what_finishes_within_the_grace_is_recorded() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let worker = run(t.worker().grace(10 * SECOND).handle_raw("k", async |_: JobContext| {
        tokio::time::sleep(5 * SECOND).await;
        Ok::<_, JobError>(())
    }));
    t.until(id, JobState::Running).await;
    let began = Instant::now();
    let report = worker.stop().await;
    assert_eq!(t.job(id).await.state, JobState::Completed);
    assert!(began.elapsed() <= 5 * SECOND + 50 * MILLI, "{:?}", began.elapsed());
    assert!(report.is_clean() && t.client.workers().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_jobs_are_given_back_with_their_attempt() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let worker = run(t
        .worker()
        .grace(2 * SECOND)
        .handle_raw("k", async |_: JobContext| future::pending::<Done>().await));
    t.until(id, JobState::Running).await;
    let began = Instant::now();
    let report = worker.stop().await;
    let job = t.job(id).await;
    assert_eq!((job.state, job.attempt, report.stats.released), (JobState::Available, 0, 1));
    assert!(report.is_clean() && began.elapsed() <= 3 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_because_it_is_stopped_costs_no_attempt() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let worker = run(t.worker().grace(Duration::ZERO).handle_raw("k", async |ctx: JobContext| {
        ctx.cancellation().cancelled().await;
        Err::<(), _>(std::io::Error::other("stopped"))
    }));
    t.until(id, JobState::Running).await;
    worker.stop().await;
    let job = t.job(id).await;
    assert_eq!((job.state, job.attempt, job.errors.len()), (JobState::Available, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_ends_the_grace() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| future::pending::<Done>().await));
    t.until(id, JobState::Running).await;
    let began = Instant::now();
    worker.handle.stop();
    tokio::time::sleep(SECOND).await;
    worker.stop().await;
    assert!(began.elapsed() <= 2 * SECOND, "{:?}", began.elapsed());
    assert_eq!(t.job(id).await.state, JobState::Available);
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_start_starts_nothing() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let worker = t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())).build().unwrap();
    worker.handle().stop();
    assert!(worker.run().await.unwrap().is_clean());
    assert_eq!(t.job(id).await.state, JobState::Available);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_store_cannot_be_reached_ends_the_start() {
    let t = Fixture::new();
    t.backend.script(Operation::RegisterWorker, [Fault::Fail(BackendErrorKind::Unavailable); 1_000]);
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    eventually(|| t.backend.calls(Operation::RegisterWorker) > 5).await;
    let began = Instant::now();
    worker.stop().await;
    assert!(began.elapsed() <= 10 * MILLI, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_can_never_serve_is_an_error_of_the_start() {
    let t = Fixture::new();
    t.backend.script(Operation::RegisterWorker, [Fault::Fail(BackendErrorKind::SchemaOld)]);
    let worker = t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())).build().unwrap();
    assert!(worker.run().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_in_flight_at_the_stop_is_given_back() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    t.backend.script(Operation::Fetch, [Fault::HoldReply]);
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    t.until(id, JobState::Running).await;
    let began = Instant::now();
    let report = worker.stop().await;
    let job = t.job(id).await;
    assert_eq!((job.state, job.attempt), (JobState::Available, 0));
    assert!(report.is_clean() && began.elapsed() <= SECOND, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_blocking_handler_keeps_its_lease_when_the_worker_leaves() {
    let t = Fixture::new();
    let id = t.enqueue("block").await;
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let worker = run(t
        .worker()
        .grace(Duration::ZERO)
        .handle_blocking(move |_: Block| held.lock().unwrap().recv().map_err(std::io::Error::other)));
    t.until(id, JobState::Running).await;
    let began = std::time::Instant::now();
    let report = worker.stop().await;
    assert!(began.elapsed() <= SECOND, "{:?}", began.elapsed());
    assert_eq!((report.left_running, t.job(id).await.state), (1, JobState::Running));
    drop(release);
}

#[tokio::test]
async fn a_blocking_handler_that_returns_within_the_grace_is_recorded() {
    let t = Fixture::new();
    let id = t.enqueue("block").await;
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let worker = run(t
        .worker()
        .handle_blocking(move |_: Block| held.lock().unwrap().recv().map_err(std::io::Error::other)));
    t.until(id, JobState::Running).await;
    worker.handle.stop();
    release.send(()).unwrap();
    let report = worker.report().await;
    assert_eq!((report.is_clean(), t.job(id).await.state), (true, JobState::Completed));
}

/// A user may drop the future of `run` in a `select!`. Nothing may go on behind his back.
#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_while_it_runs_drops_its_handlers() {
    struct Dropped(Arc<AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let dropped = Arc::new(AtomicU32::new(0));
    let counted = dropped.clone();
    let builder = t.worker().handle_raw("k", move |_: JobContext| {
        let guard = Dropped(counted.clone());
        async move {
            let _guard = guard;
            future::pending::<Done>().await
        }
    });
    let worker = builder.build().unwrap();
    let watched = async { t.until(id, JobState::Running).await };
    tokio::select! {
        _ = worker.run() => unreachable!("nobody stops it"),
        _ = watched => {}
    }
    eventually(|| dropped.load(Ordering::SeqCst) == 1).await;
    assert_eq!(t.job(id).await.state, JobState::Running);
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Block {}

impl gristmill_core::Job for Block {
    const KIND: &'static str = "block";
    type Output = ();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_ends_when_nothing_is_left_to_run() {
    let t = Fixture::new();
    for _ in 0..250 {
        t.enqueue("k").await;
    }
    let last = t.enqueue_with("k", JobOptions::new().delay(20 * SECOND)).await;
    let began = Instant::now();
    let report =
        run(t.worker().drain().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(()))).report().await;
    assert_eq!((report.stats.completed, t.job(last).await.state), (251, JobState::Completed));
    assert!((20 * SECOND..22 * SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_worker_fetches_nothing_until_it_is_resumed() {
    let t = Fixture::new();
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    worker.handle.quiet();
    let id = t.enqueue("k").await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(t.job(id).await.state, JobState::Available);
    worker.handle.resume();
    assert!(t.until(id, JobState::Completed).await <= 2 * MILLI);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_jobs_run_at_once_than_there_are_slots() {
    let t = Fixture::new();
    for _ in 0..50 {
        t.enqueue("k").await;
    }
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (running, highest) = (now.clone(), most.clone());
    let builder = t.worker().slots(4).drain().handle_raw("k", move |_: JobContext| {
        let (running, highest) = (running.clone(), highest.clone());
        async move {
            highest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(10 * MILLI).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, JobError>(())
        }
    });
    assert_eq!(run(builder).report().await.stats.completed, 50);
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

/// A handler that never yields holds only its own thread, not the jobs that were fetched with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jobs_behind_a_handler_that_blocks_are_run_elsewhere() {
    let t = Fixture::new();
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let builder = t.worker().slots(400).queue("other", 390).handle_raw("k", move |ctx: JobContext| {
        let held = held.clone();
        async move {
            if ctx.priority().get() == -10 {
                let _ = held.lock().unwrap().recv();
            }
            Ok::<_, JobError>(())
        }
    });
    let worker = run(builder);
    // Enough quick jobs to have the kind run in place, then one that blocks before many others.
    for _ in 0..64 {
        let id = t.enqueue("k").await;
        t.until(id, JobState::Completed).await;
    }
    let mut ids = Vec::new();
    worker.handle.quiet();
    for number in 0..300 {
        let priority = if number == 0 { -10 } else { 0 };
        ids.push(t.enqueue_with("k", JobOptions::new().queue("other").priority(priority)).await);
    }
    worker.handle.resume();
    for id in &ids[1..] {
        t.until(*id, JobState::Completed).await;
    }
    assert_eq!(t.job(ids[0]).await.state, JobState::Running);
    release.send(()).unwrap();
    t.until(ids[0], JobState::Completed).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_a_registration_hangs_ends_the_start() {
    let t = Fixture::new();
    t.backend.script(Operation::RegisterWorker, [Fault::HoldRequest; 10]);
    let builder = t.worker().grace(Duration::ZERO);
    let worker = run(builder.handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    eventually(|| t.backend.calls(Operation::RegisterWorker) > 0).await;
    let began = Instant::now();
    worker.stop().await;
    assert!(began.elapsed() <= SECOND, "{:?}", began.elapsed());
}

/// Everything hangs: the fetch, the finishes, the heartbeat, the maintenance.
#[tokio::test(start_paused = true)]
async fn a_stop_without_grace_while_the_store_hangs_ends_within_a_second() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let worker = run(t
        .worker()
        .grace(Duration::ZERO)
        .handle_raw("k", async |_: JobContext| future::pending::<Done>().await));
    t.until(id, JobState::Running).await;
    t.backend.randomly(1, 1_000, vec![Fault::HoldRequest]);
    tokio::time::sleep(7 * SECOND).await;
    let began = Instant::now();
    let report = worker.stop().await;
    assert!(began.elapsed() <= SECOND, "{:?}", began.elapsed());
    assert_eq!((report.left_running, report.unrecorded), (0, 1));
}

/// The grace began to count for the handlers only when the fetch in flight was given up.
#[tokio::test(start_paused = true)]
async fn handlers_are_stopped_in_time_while_a_fetch_hangs() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let worker = run(t
        .worker()
        .grace(Duration::ZERO)
        .handle_raw("k", async |_: JobContext| future::pending::<Done>().await));
    t.until(id, JobState::Running).await;
    t.backend.script(Operation::Fetch, [Fault::HoldRequest; 10]);
    eventually(|| t.backend.faults(Operation::Fetch) > 0).await;
    let began = Instant::now();
    let report = worker.stop().await;
    assert!(began.elapsed() <= SECOND, "{:?}", began.elapsed());
    assert!(report.is_clean());
    assert_eq!(t.job(id).await.state, JobState::Available);
}
