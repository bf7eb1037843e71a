//! Where workers run, and what their handlers do.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gristmill::{
    Client, JobContext, JobError, JobId, JobOptions, MigrateMode, Postgres, Worker, WorkerBuilder,
    WorkerHandle, WorkerReport,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a fact may take to come true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Which handlers may come to their end; the others wait.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Gate {
    #[default]
    Shut,
    OpenFor(JobId),
    Open,
}

/// How a handler ended, and when.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub(crate) job: JobId,
    pub(crate) how: How,
    pub(crate) at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Ended,
    /// Its future was dropped.
    Dropped,
}

/// Holds the handlers of a test. A handler ends only when the gate allows it, even if its job is cancelled.
#[derive(Clone, Default)]
pub(crate) struct Floor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    gate: watch::Sender<Gate>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    running: HashSet<JobId>,
    told: usize,
    left: Vec<Left>,
}

impl Floor {
    pub(crate) fn gate(&self, gate: Gate) {
        self.0.gate.send_replace(gate);
    }

    /// How many handlers run.
    pub(crate) fn running(&self) -> usize {
        self.seen().running.len()
    }

    /// How many handlers have seen a cancellation so far.
    pub(crate) fn told(&self) -> usize {
        self.seen().told
    }

    /// The handlers that no longer run, the first one first.
    pub(crate) fn left(&self) -> Vec<Left> {
        self.seen().left.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(self, context: JobContext) -> Result<(), JobError> {
        let (job, mut gate) = (context.id(), self.0.gate.subscribe());
        assert!(self.seen().running.insert(job), "{job} runs twice at a time");
        let mut visit = Visit { floor: &self, job, how: How::Dropped };
        let may_end =
            async { gate.wait_for(|gate| [Gate::Open, Gate::OpenFor(job)].contains(gate)).await.is_ok() };
        let told = async {
            context.cancelled().await;
            self.seen().told += 1;
            std::future::pending().await
        };
        let is_over = tokio::select! {
            is_over = may_end => is_over,
            is_over = told => is_over,
        };
        assert!(is_over, "the gate is there");
        visit.how = How::Ended;
        Ok(())
    }

    /// Starts a worker of ten slots, as it is set up further.
    pub(crate) fn start(
        &self,
        store: &Postgres,
        set_up: impl FnOnce(WorkerBuilder<()>) -> WorkerBuilder<()>,
    ) -> Running {
        let floor = self.clone();
        let builder = set_up(Worker::builder(Client::new(store.clone())));
        let worker = builder.handle_raw("work", move |context: JobContext| floor.clone().handle(context));
        let worker = worker.build().expect("the worker is valid");
        let handle = worker.handle();
        Running { handle, task: tokio::spawn(async { worker.run().await.expect("the worker starts") }) }
    }
}

/// A handler that runs.
struct Visit<'a> {
    floor: &'a Floor,
    job: JobId,
    how: How,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let Self { floor, job, how } = *self;
        let mut seen = floor.seen();
        seen.running.remove(&job);
        seen.left.push(Left { job, how, at: Instant::now() });
    }
}

/// A worker in a task of its own.
pub(crate) struct Running {
    handle: WorkerHandle,
    task: JoinHandle<WorkerReport>,
}

impl Running {
    pub(crate) async fn stop(self) -> WorkerReport {
        self.handle.stop();
        self.task.await.expect("the worker does not panic")
    }
}

/// The store of a server, with its schema.
pub(crate) async fn open(url: &str) -> Postgres {
    let store = Postgres::builder(url).expect("a URL").open().expect("the settings hold");
    Client::new(store.clone()).migrate(MigrateMode::Up).await.expect("the schema is made");
    store
}

pub(crate) async fn enqueue(client: &Client) -> JobId {
    client.enqueue_raw("work", "{}", JobOptions::new()).await.expect("it is stored").id
}

/// Looks until a fact holds.
#[track_caller]
pub(crate) fn until<F: Future<Output = bool>>(fact: &str, holds: impl Fn() -> F) -> impl Future<Output = ()> {
    let begun = Instant::now();
    async move {
        while !holds().await {
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {fact}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
