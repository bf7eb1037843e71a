//! Reports what a worker waits for: once it has started, jobs that no worker will run; and while it is idle, what keeps
//! it so.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendError, Name, StatsRequest, unserved, waits_for};
use tokio::time::Instant;

use super::shared::Shared;
use crate::call::answer;

/// The first fetches have parked what they met by then.
const AFTER_START: Duration = Duration::from_secs(1);
/// Without work for this long a worker says what it waits for, and again after each of the second.
const IDLE_FOR: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(250);
/// Jobs are counted up to here.
const CAP: u64 = 1_000;

type Callback = Arc<dyn Fn(&str) + Send + Sync>;

/// What is called while the worker waits.
#[derive(Clone, Default)]
pub(crate) struct OnWait(pub(crate) Option<Callback>);

impl OnWait {
    pub(crate) fn call(&self, text: &str) {
        if let Some(call) = &self.0 {
            call(text);
        }
    }
}

impl PartialEq for OnWait {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl fmt::Debug for OnWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnWait").field(&self.0.is_some()).finish()
    }
}

/// Warns once of due jobs that no live worker will run, and of queues that this worker's jobs go to by default and that
/// no live worker serves.
pub(crate) async fn warn_of_unserved(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.control.stopping.cancelled() => return,
        () = tokio::time::sleep(AFTER_START) => {}
    }
    // The loops that need the store report its trouble.
    if let Err(error) = look(&shared).await {
        gristmill_core::log!(debug, %error, "jobs that no worker serves could not be looked for");
    }
}

async fn look(shared: &Shared) -> Result<(), BackendError> {
    let call = shared.backend().stats(shared.call(), StatsRequest::new(Some(CAP)));
    let stats = answer(shared.call_deadline(), "stats", call).await?;
    let call = shared.backend().list_workers(shared.call());
    let workers = answer(shared.call_deadline(), "list_workers", call).await?;
    let now = shared.store_now();
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
    for (kind, queue) in shared.options.defaults.iter().filter(|(_, queue)| !is_served(queue)) {
        gristmill_core::log!(
            warn,
            name: "queue_unserved", target: "gristmill::worker", kind = %kind, queue = %queue,
            "jobs of kind `{kind}` go to queue `{queue}` by default, which no live worker serves: add it to a worker"
        );
    }
    Ok(())
}

/// Says what the worker waits for while it has nothing to do.
pub(crate) async fn report(shared: Arc<Shared>) {
    let mut idle_since = Instant::now();
    let mut said_at: Option<Instant> = None;
    let mut has_greeted = false;
    let mut fetched = 0;
    loop {
        tokio::select! {
            () = shared.control.stopping.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        let now_fetched = shared.counters.snapshot().fetched;
        let is_busy = shared.slots.used() > 0 || shared.finishes.len() > 0;
        if std::mem::replace(&mut fetched, now_fetched) != now_fetched || is_busy {
            (idle_since, said_at) = (Instant::now(), None);
            continue;
        }
        if idle_since.elapsed() < IDLE_FOR || said_at.is_some_and(|at| at.elapsed() < AGAIN) {
            continue;
        }
        let call = shared.backend().stats(shared.call(), StatsRequest::new(Some(CAP)));
        let Ok(stats) = answer(shared.call_deadline(), "stats", call).await else { continue };
        let parts = waits_for(&stats, &shared.queues(), &shared.kinds.set());
        if !parts.is_empty() {
            shared.options.on_wait.call(&format!("waiting for {}", parts.join(", ")));
        } else if !std::mem::replace(&mut has_greeted, true) {
            shared.options.on_wait.call("waiting for jobs");
        }
        said_at = Some(Instant::now());
    }
}
