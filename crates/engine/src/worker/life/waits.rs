//! Reports what a worker waits for: once it has started, jobs that no worker will run; and while it is idle,
//! what keeps it so.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendError, Name, StatsRequest, unserved, waits_for};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use crate::worker::executor::pace::Kinds;
use crate::worker::options::WorkerOptions;
use crate::worker::store::Store;

/// The first fetches have parked what they met by then.
const AFTER_START: Duration = Duration::from_secs(1);
/// Without work for this long a worker says what it waits for, and again after each of the second.
const IDLE_FOR: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(250);
/// Jobs are counted up to here.
const CAP: u64 = 1_000;

/// What these reports use of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Waits {
    pub(crate) store: Store,
    pub(crate) stopping: CancellationToken,
    pub(crate) options: Arc<WorkerOptions>,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) activity: Activity,
}

impl Waits {
    /// Warns once of due jobs that no live worker will run, and of queues that this worker's jobs go to by
    /// default and that no live worker serves.
    pub(crate) async fn warn_of_unserved(self) {
        tokio::select! {
            () = self.stopping.cancelled() => return,
            () = tokio::time::sleep(AFTER_START) => {}
        }
        // The loops that need the store report its trouble.
        if let Err(error) = self.look().await {
            gristmill_core::log!(debug, %error, "jobs that no worker serves could not be looked for");
        }
    }

    async fn look(&self) -> Result<(), BackendError> {
        let stats =
            self.store.ask("stats", |backend, call| backend.stats(call, StatsRequest::new(Some(CAP))));
        let stats = stats.await?;
        let workers = self.store.ask("list_workers", |backend, call| backend.list_workers(call)).await?;
        let now = self.store.store_now();
        for found in unserved(&stats, &workers, now) {
            let remedy = found.remedy();
            gristmill_core::log!(
                warn,
                name: "jobs_unserved", target: "gristmill::worker", queue = %found.queue, jobs = found.jobs.value,
                hint = remedy, "no worker will run {found}"
            );
        }
        let is_served = |queue: &Name| {
            workers.iter().any(|worker| worker.lease_expires_at > now && worker.queues.contains(queue))
        };
        for (kind, queue) in self.options.defaults.iter().filter(|(_, queue)| !is_served(queue)) {
            gristmill_core::log!(
                warn,
                name: "queue_unserved", target: "gristmill::worker", kind = %kind, queue = %queue,
                "jobs of kind `{kind}` go to queue `{queue}` by default, which no live worker serves: add it to a worker"
            );
        }
        Ok(())
    }

    /// Reports what the worker waits for while it has nothing to do.
    pub(crate) async fn report(mut self) {
        let mut idle_since = Instant::now();
        let mut said_at: Option<Instant> = None;
        let mut has_greeted = false;
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            if self.activity.has_fetched() || self.activity.is_busy() {
                (idle_since, said_at) = (Instant::now(), None);
                continue;
            }
            if idle_since.elapsed() < IDLE_FOR || said_at.is_some_and(|at| at.elapsed() < AGAIN) {
                continue;
            }
            let stats =
                self.store.ask("stats", |backend, call| backend.stats(call, StatsRequest::new(Some(CAP))));
            let Ok(stats) = stats.await else { continue };
            let parts = waits_for(&stats, &self.options.queues(), &self.kinds.set());
            if !parts.is_empty() {
                self.options.on_wait.call(&format!("waiting for {}", parts.join(", ")));
            } else if !std::mem::replace(&mut has_greeted, true) {
                self.options.on_wait.call("waiting for jobs");
            }
            said_at = Some(Instant::now());
        }
    }
}
