//! A running instance of the engine: assembled here, started and stopped in this order.
//!
//! | part | does |
//! |---|---|
//! | `fetcher` | leases jobs for free slots, and for those that will be (`forecast`, `reserve`) |
//! | `executor` | runs them: `chunk` (quick ones together), `driven` (a task each), `running` (how to stop them) |
//! | `completer` | stores how they ended; `settled` tells who wants to know |
//! | `heartbeat` | renews the leases, on a thread of its own (`apart`); brings cancels |
//! | `maintenance` | promotes, rescues, prunes, audits |
//! | `shutdown` | ends all that |

mod appetite;
mod attempt;
pub(crate) mod builder;
mod chunk;
mod completer;
mod control;
mod drain;
mod driven;
mod executor;
mod fetcher;
mod finishes;
mod forecast;
mod heartbeat;
mod hints;
pub(crate) mod incarnation;
mod maintenance;
pub(crate) mod options;
mod pace;
mod plan;
mod ready;
mod report;
mod reserve;
mod running;
mod settled;
pub(crate) mod shared;
mod shutdown;
mod slots;
mod transaction;
mod waits;
pub(crate) mod watchdog;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gristmill_core::Error;
use tokio::time::Instant;

pub use builder::WorkerBuilder;
pub use control::WorkerHandle;
#[cfg(feature = "testing")]
pub(crate) use ready::Ready;
pub use report::{WorkerReport, WorkerStats};
#[cfg(feature = "testing")]
pub(crate) use transaction::{not_committed, still_in_use};

use crate::Client;
use crate::handler::route::Routes;
use crate::hooks::Hooks;
use hints::HintListener;
use incarnation::{Attempts, Incarnation, bury, register};
use options::WorkerOptions;
use running::abort_all;
use shared::Shared;
use watchdog::{Watched, watch, watch_apart};

/// How long a loop may take to notice that it shall end.
const LOOP_ENDS_WITHIN: Duration = Duration::from_millis(50);
/// The pause before a registration that follows upon another within a lease, and what it doubles up to.
const FIRST_REBIRTH: Duration = Duration::from_millis(20);
const LONGEST_REBIRTH: Duration = Duration::from_secs(5);

/// Runs jobs: fetches them from its queues, runs their handlers, stores how they ended.
///
/// From [`Worker::builder`]; does nothing until it runs.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
}

impl Worker {
    pub(crate) fn assemble(client: Client, options: WorkerOptions, routes: &Routes, hooks: Hooks) -> Self {
        Self { shared: Arc::new(Shared::new(client, options, routes, hooks)) }
    }

    /// Steers the worker while it runs.
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle(self.shared.clone())
    }

    /// Runs until it is stopped by its [handle](Self::handle), or, where it drains, until nothing is left to run.
    ///
    /// A store that fails meanwhile is waited for; the worker never gives up by itself.
    ///
    /// # Errors
    /// What keeps it from starting and no wait will mend, such as a store without schema.
    ///
    /// # Cancel safety
    /// Dropping the future drops the handlers; their jobs are rescued when the lease ends. Stop it instead.
    pub async fn run(self) -> Result<WorkerReport, Error> {
        self.run_until(std::future::pending::<()>()).await
    }

    /// Runs until `shutdown` is ready, then stops: what has not started is given back, running handlers have the grace.
    ///
    /// # Errors
    /// As [`Self::run`].
    ///
    /// # Cancel safety
    /// As [`Self::run`].
    pub async fn run_until(self, shutdown: impl Future) -> Result<WorkerReport, Error> {
        let mut life = Box::pin(live(self.shared.clone()));
        tokio::select! {
            report = &mut life => return report,
            _ = shutdown => self.shared.control.stop(),
        }
        life.await
    }
}

/// Drops what runs when the worker itself is dropped while running. Code that cannot be stopped keeps its lease.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.control.stopping.cancel();
        self.0.control.left.cancel();
        drop(self.0.chunks.take_unstarted());
        drop(self.0.reserve.take_all());
        abort_all(&self.0);
    }
}

/// The loops that outlive an incarnation.
struct Loops {
    completer: Watched,
    others: Vec<Watched>,
}

async fn live(shared: Arc<Shared>) -> Result<WorkerReport, Error> {
    shared.runtime();
    let _abandon = Abandon(shared.clone());
    let Some(mut incarnation) = register(&shared, Attempts::FirstStart).await? else {
        return Ok(WorkerReport::default());
    };
    let _subscription = shared.backend().subscribe(Arc::new(HintListener(Arc::downgrade(&shared))));
    let loops = start_loops(&shared);
    let mut trouble = Rebirth::default();
    let (report, life) = loop {
        match serve(&shared, Arc::new(incarnation)).await {
            Served::Stopped(report, life) => break (report, Some(life)),
            Served::Gone => trouble.pause(&shared).await,
        }
        match register(&shared, Attempts::Again).await {
            Ok(Some(next)) => incarnation = next,
            _ => break (shutdown::without_incarnation(&shared).await, None),
        }
    };
    join_all(loops.others.into_iter().map(|watched| watched.end(LOOP_ENDS_WITHIN))).await;
    match life {
        Some(life) if report.left_running > 0 => {
            shared.spawn(shutdown::outlive(shared.clone(), life, loops.completer));
        }
        life => {
            loops.completer.end(Duration::ZERO).await;
            if let Some(life) = life {
                life.heartbeat.end(Duration::ZERO).await;
            }
        }
    }
    Ok(report)
}

fn start_loops(shared: &Arc<Shared>) -> Loops {
    let completer = watch("completer", shared, completer::complete);
    let mut others = maintenance::start(shared);
    others.push(watch("unserved", shared, waits::warn_of_unserved));
    if shared.options.on_wait.0.is_some() {
        others.push(watch("waits", shared, waits::report));
    }
    if shared.options.drain {
        others.push(watch("drain", shared, drain::drain));
    }
    Loops { completer, others }
}

/// How soon a worker whose lease has ended starts again: a store that ends each lease at once is asked ever less often.
struct Rebirth {
    born: Instant,
    pause: Duration,
}

impl Default for Rebirth {
    fn default() -> Self {
        Self { born: Instant::now(), pause: FIRST_REBIRTH }
    }
}

impl Rebirth {
    /// Waits before the next registration, at once where the last one held for a while. A stop ends the wait.
    async fn pause(&mut self, shared: &Shared) {
        if self.born.elapsed() >= shared.options.lease {
            self.pause = FIRST_REBIRTH;
        } else {
            let _ = tokio::time::timeout(self.pause, shared.control.stopping.cancelled()).await;
            self.pause = (self.pause * 2).min(LONGEST_REBIRTH);
        }
        self.born = Instant::now();
    }
}

enum Served {
    Stopped(WorkerReport, Life),
    Gone,
}

/// What keeps the leases of an incarnation.
pub(crate) struct Life {
    pub(crate) incarnation: Arc<Incarnation>,
    pub(crate) heartbeat: Watched,
}

/// Fetches and renews as this incarnation, until the worker stops or the store has ended its lease.
async fn serve(shared: &Arc<Shared>, incarnation: Arc<Incarnation>) -> Served {
    gristmill_core::log!(info, name: "worker_started", target: "gristmill::worker", worker = %incarnation.id, "the worker runs");
    let (fetching, beating) = (incarnation.clone(), incarnation.clone());
    let fetcher = watch("fetcher", shared, move |shared| fetcher::fetch(shared, fetching.clone()));
    let heartbeat = watch_apart("heartbeat", shared, move |shared| heartbeat::beat(shared, beating.clone()));
    tokio::select! {
        () = shared.control.stopping.cancelled() => {
            let report = shutdown::shut_down(shared, &incarnation, fetcher).await;
            gristmill_core::log!(info, name: "worker_stopped", target: "gristmill::worker", worker = %incarnation.id, "the worker has stopped");
            Served::Stopped(report, Life { incarnation: incarnation.clone(), heartbeat })
        }
        () = incarnation.gone.cancelled() => {
            shared.counters.incarnations_lost.add(1);
            gristmill_core::log!(
                error,
                name: "worker_gone", target: "gristmill::worker",
                worker = %incarnation.id, in_hand = shared.in_hand(),
                "the store has ended the worker's lease: its handlers are stopped and it starts again"
            );
            bury(shared);
            fetcher.end(LOOP_ENDS_WITHIN).await;
            heartbeat.end(LOOP_ENDS_WITHIN).await;
            bury(shared);
            Served::Gone
        }
    }
}
