//! Code of the program that panics anywhere between a fetch and the stored end: log, hooks, middleware,
//! destructors, clock.

use std::fmt;
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gristmill_core::{Clock, JobError, JobOptions, JobState, Outcome, RetryPolicy, SystemClock, Timestamp};
use gristmill_engine::middleware::{JobRun, Next, from_fn};
use gristmill_engine::{Client, JobContext, Worker};
use gristmill_testkit::{Fault, Operation};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::fixture::{Fixture, SECOND, eventually, log_to, run};

/// A log that panics at whatever it is given.
struct BrokenLog(Arc<AtomicUsize>);

impl BrokenLog {
    fn fail(&self) -> ! {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic_any(Bomb)
    }
}

impl Subscriber for BrokenLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("gristmill")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        if self.0.load(Ordering::SeqCst).is_multiple_of(2) {
            self.fail()
        }
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {
        self.fail()
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {
        self.fail()
    }
    fn event(&self, _: &Event<'_>) {
        self.fail()
    }
    fn enter(&self, _: &Id) {
        self.fail()
    }
    fn exit(&self, _: &Id) {
        self.fail()
    }
    fn try_close(&self, _: Id) -> bool {
        self.fail()
    }
}

/// What panics with it panics again when the value is dropped, and once more when that value is.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Fuse)
    }
}

struct Fuse;

impl Drop for Fuse {
    fn drop(&mut self) {
        panic!("the fuse of a panic");
    }
}

/// An error that cannot even be dropped.
#[derive(Debug)]
struct Sharp(JobError);

impl fmt::Display for Sharp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sharp")
    }
}

impl std::error::Error for Sharp {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl Drop for Sharp {
    fn drop(&mut self) {
        panic_any(Fuse)
    }
}

/// An error whose words cannot be had.
#[derive(Debug)]
struct Speechless;

impl fmt::Display for Speechless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Speechless {}

type Done = Result<(), JobError>;

/// One attempt, kept for good.
fn once() -> JobOptions {
    JobOptions::new().max_attempts(1)
}

#[tokio::test(start_paused = true)]
async fn a_log_that_panics_costs_no_job_no_slot_and_no_loop() {
    let t = Fixture::new();
    let seen = Arc::new(AtomicUsize::new(0));
    let _log = log_to(BrokenLog(seen.clone()));
    let (lost, failed) = (t.enqueue("nobody").await, t.enqueue_with("bad", once()).await);
    let mut good = Vec::new();
    for _ in 0..100 {
        good.push(t.enqueue("good").await);
    }
    // Each loop meets an outage, which is worth a line.
    for operation in [Operation::Fetch, Operation::Finish, Operation::Renew, Operation::Promote] {
        t.backend.script(operation, [Fault::Fail(gristmill_core::BackendErrorKind::Unavailable)]);
    }
    let builder = t
        .worker()
        .handle_raw("good", async |ctx: JobContext| {
            if ctx.id().as_bytes()[15] < 128 {
                tokio::task::yield_now().await;
            }
            Ok::<_, JobError>(())
        })
        .handle_raw("bad", async |_: JobContext| Err::<(), _>(JobError::discard("no use")));
    let worker = run(builder);
    for id in &good {
        t.until(*id, JobState::Completed).await;
    }
    assert!(good.len() == 100 && t.job(good[0]).await.attempt == 1);
    t.until(failed, JobState::Discarded).await;
    t.until(lost, JobState::Scheduled).await;
    assert_eq!(worker.handle.in_hand(), 0, "no slot is lost");
    let id = t.enqueue("good").await;
    t.until(id, JobState::Completed).await;
    let report = worker.stop().await;
    assert!(report.is_clean() && report.stats.completed == 101, "{report:?}");
    assert!(seen.load(Ordering::SeqCst) > 100, "the log was given lines");
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_carries_may_panic_again() {
    let t = Fixture::new();
    let mut ids = Vec::new();
    for kind in ["async", "late", "blocking", "delay"] {
        ids.push(t.enqueue_with(kind, once()).await);
    }
    let builder = t
        .worker()
        .on_event(|_| panic_any(Bomb))
        .retry_with("delay", |_, _| panic_any(Bomb))
        .handle_raw("async", async |_: JobContext| -> Done { panic_any(Bomb) })
        .handle_raw("late", async |_: JobContext| -> Done {
            tokio::time::sleep(SECOND).await;
            panic_any(Bomb)
        })
        .handle_raw("delay", async |_: JobContext| Err::<(), _>(std::io::Error::other("again")))
        .handle_raw("blocking", async |_: JobContext| -> Done { panic_any(Fuse) });
    let worker = run(builder);
    for id in ids {
        t.until(id, JobState::Discarded).await;
    }
    let report = worker.stop().await;
    assert_eq!((report.stats.restarts, report.is_clean(), report.stats.discarded), (0, true, 4));
}

/// What an attempt came to stands before the destructors of what it leaves behind run.
#[tokio::test(start_paused = true)]
async fn a_destructor_that_panics_does_not_change_the_outcome() {
    let t = Fixture::new();
    let (given_up, done, speechless) =
        (t.enqueue("sharp").await, t.enqueue("done").await, t.enqueue_with("speechless", once()).await);
    let after = from_fn(|run: &mut JobRun, next: Next<'_>| {
        struct Left<'a>(gristmill_core::BoxFuture<'a, Outcome>);
        impl Future for Left<'_> {
            type Output = Outcome;
            fn poll(
                mut self: std::pin::Pin<&mut Self>,
                task: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Outcome> {
                self.0.as_mut().poll(task)
            }
        }
        impl Drop for Left<'_> {
            fn drop(&mut self) {
                panic_any(Bomb)
            }
        }
        Box::pin(Left(Box::pin(next.run(run))))
    });
    let builder = t
        .worker()
        .layer(after)
        .handle_raw("sharp", async |_: JobContext| Err::<(), _>(Sharp(JobError::discard("no use"))))
        .handle_raw("done", async |_: JobContext| Ok::<_, JobError>(()))
        .handle_raw("speechless", async |_: JobContext| Err::<(), _>(Speechless));
    let worker = run(builder);
    t.until(given_up, JobState::Discarded).await;
    t.until(done, JobState::Completed).await;
    t.until(speechless, JobState::Discarded).await;
    assert_eq!((t.job(given_up).await.attempt, t.job(done).await.attempt), (1, 1));
    assert!(worker.stop().await.is_clean());
}

/// A clock of the program that fails half of the time.
#[derive(Debug)]
struct BrokenClock(AtomicBool);

impl Clock for BrokenClock {
    fn now(&self) -> Timestamp {
        assert!(self.0.fetch_xor(true, Ordering::SeqCst), "the clock has stopped");
        SystemClock.now()
    }
}

#[tokio::test]
async fn a_clock_that_panics_stops_nothing() {
    let backend = gristmill_memory::Memory::new();
    let client = Client::with_clock(backend, Arc::new(BrokenClock(AtomicBool::new(true))));
    for _ in 0..50 {
        let options = JobOptions::new().retry(RetryPolicy::fixed(std::time::Duration::from_millis(1)));
        client.enqueue_raw("k", "{}", options).await.unwrap();
    }
    let worker = Worker::builder(client.clone()).queue("default", 10).drain().handle_raw(
        "k",
        async |ctx: JobContext| {
            ctx.log("a line has a time");
            if ctx.attempt() == 1 { Err(std::io::Error::other("again")) } else { Ok(()) }
        },
    );
    let report = tokio::time::timeout(30 * SECOND, worker.build().unwrap().run()).await.expect("it drains");
    let stats = report.unwrap().stats;
    assert_eq!((stats.completed, stats.failed, stats.restarts), (50, 50, 0));
}

/// A loop that dies is running again before anything is said of it.
#[tokio::test(start_paused = true)]
async fn loops_of_a_worker_survive_a_backend_and_a_log_that_panic() {
    let t = Fixture::with_ledger();
    let seen = Arc::new(AtomicUsize::new(0));
    let _log = log_to(BrokenLog(seen.clone()));
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    for operation in [Operation::Fetch, Operation::Finish, Operation::Renew, Operation::Promote] {
        t.backend.script(operation, [Fault::Panic; 2]);
    }
    let id = t.enqueue("k").await;
    t.until(id, JobState::Completed).await;
    eventually(|| worker.handle.stats().restarts >= 8).await;
    let id = t.enqueue("k").await;
    t.until(id, JobState::Completed).await;
    assert!(worker.stop().await.is_clean());
}
