//! A store whose clock is tokio's, behind a backend that fails on demand.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gristmill_core::{
    BackendErrorKind, Clock, FinishItem, JobId, JobOptions, JobRecord, JobState, Timestamp,
};
use gristmill_engine::{Client, Worker, WorkerBuilder, WorkerHandle, WorkerReport};
use gristmill_memory::Memory;
use gristmill_testkit::FaultyBackend;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Subscriber;
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};

use crate::ledger::{Ledger, Lines};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);

/// The store's clock moves with tokio's.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + self.0.elapsed()
    }
}

/// A store and a client of it.
pub(crate) struct Fixture {
    pub(crate) backend: Arc<FaultyBackend>,
    pub(crate) client: Client,
    lines: Lines,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TokioClock(Instant::now()));
        let backend = Arc::new(FaultyBackend::new(Arc::new(Memory::with_clock(clock.clone()))));
        let client = Client::with_clock(backend.clone(), clock);
        Self { backend, client, lines: Lines::default() }
    }

    /// A store with transactions, and a ledger that handlers write in.
    pub(crate) fn with_ledger() -> Self {
        Self::of_ledger(|ledger| ledger)
    }

    /// A store that gains by two fetches side by side.
    pub(crate) fn abreast() -> Self {
        Self::of_ledger(|ledger| ledger.abreast(2))
    }

    /// A store that does not end more runs than this in one call.
    pub(crate) fn bearing(bears: usize) -> Self {
        Self::of_ledger(|ledger| ledger.bearing(bears))
    }

    /// A store that refuses ends by what they hold.
    pub(crate) fn objecting(
        objects: impl Fn(&[FinishItem]) -> Option<BackendErrorKind> + Send + Sync + 'static,
    ) -> Self {
        Self::of_ledger(|ledger| ledger.objecting(Arc::new(objects)))
    }

    /// A store that takes so long for ends.
    pub(crate) fn slow(takes: impl Fn(&[FinishItem]) -> Duration + Send + Sync + 'static) -> Self {
        Self::of_ledger(|ledger| ledger.slow(Box::new(takes)))
    }

    fn of_ledger(shape: impl FnOnce(Ledger) -> Ledger) -> Self {
        let clock = Arc::new(TokioClock(Instant::now()));
        let lines = Lines::default();
        let ledger = shape(Ledger::new(Arc::new(Memory::with_clock(clock.clone())), lines.clone()));
        let backend = Arc::new(FaultyBackend::new(Arc::new(ledger)));
        let client = Client::with_clock(backend.clone(), clock);
        Self { backend, client, lines }
    }

    /// What handlers have written and committed.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no test panics while it holds it").clone()
    }

    /// A store whose hints do not arrive, and that knows it.
    pub(crate) fn deaf() -> Self {
        Self::faulty(FaultyBackend::deaf)
    }

    /// A store whose hints are all lost, which nothing shows.
    pub(crate) fn losing_hints() -> Self {
        Self::faulty(FaultyBackend::losing_hints)
    }

    fn faulty(shape: impl FnOnce(FaultyBackend) -> FaultyBackend) -> Self {
        let clock = Arc::new(TokioClock(Instant::now()));
        let backend = FaultyBackend::new(Arc::new(Memory::with_clock(clock.clone())));
        let backend = Arc::new(shape(backend));
        let client = Client::with_clock(backend.clone(), clock);
        Self { backend, client, lines: Lines::default() }
    }

    /// A worker of the queue `default` with ten slots.
    pub(crate) fn worker(&self) -> WorkerBuilder<()> {
        Worker::builder(self.client.clone()).queue("default", 10)
    }

    pub(crate) async fn enqueue(&self, kind: &str) -> JobId {
        self.enqueue_with(kind, JobOptions::new()).await
    }

    pub(crate) async fn enqueue_with(&self, kind: &str, options: JobOptions) -> JobId {
        self.client.enqueue_raw(kind, "{}", options).await.expect("the store takes it").id
    }

    pub(crate) async fn job(&self, id: JobId) -> JobRecord {
        self.client.job(id).await.expect("the store answers").expect("the job is there")
    }

    /// Waits until a job is in this state; says how long that took.
    pub(crate) async fn until(&self, id: JobId, state: JobState) -> Duration {
        let began = Instant::now();
        loop {
            let job = self.job(id).await;
            if job.state == state {
                return began.elapsed();
            }
            assert!(began.elapsed() < 120 * SECOND, "{id} stays {} instead of {state}", job.state);
            tokio::time::sleep(MILLI).await;
        }
    }
}

/// A worker that runs in a task.
pub(crate) struct Running {
    pub(crate) handle: WorkerHandle,
    task: JoinHandle<WorkerReport>,
}

pub(crate) fn run(builder: WorkerBuilder<()>) -> Running {
    let worker = builder.build().expect("the worker is valid");
    let handle = worker.handle();
    Running { handle, task: tokio::spawn(async { worker.run().await.expect("the worker starts") }) }
}

impl Running {
    /// Stops it and waits for its end.
    pub(crate) async fn stop(self) -> WorkerReport {
        self.handle.stop();
        self.report().await
    }

    /// Waits for its end.
    pub(crate) async fn report(self) -> WorkerReport {
        self.task.await.expect("the worker does not panic")
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < 120 * SECOND, "it never held");
        tokio::time::sleep(MILLI).await;
    }
}

/// Gives this thread a log until the guard is dropped.
pub(crate) fn log_to(log: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    // As long as a process has one subscriber, `tracing` lets the thread that meets a call site first decide
    // for good whether it is wanted: a test without a log would switch it off for this one. With two it asks
    // both.
    static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
    SECOND.get_or_init(|| tracing::Dispatch::new(NoSubscriber::new()));
    set_default(log)
}
