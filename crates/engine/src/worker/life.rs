//! The life of a worker.
//!
//! ```text
//!                     ┌─ pause ◄─ gone: the store has ended its lease, its handlers are stopped
//!                     │             ▲
//!           run       ▼             │         no renewal for 0.8 of the lease
//!  built ───────► registering ───► serving ────────────────────────────────► fenced: its handlers are
//!                     │  │          │  ▲                                       │ stopped, it does not fetch
//!                     │  │          │  └───────────── renewed ────────────────┘
//!      cannot start   │  │ stop     │ stop
//!    the first time   ▼  │          ▼
//!                 error  │        stopping: it does not fetch, handlers have the grace
//!                        │          ├─ all has ended and is stored ─► retires, reports
//!                        │          ├─ ends are not stored ─────────► reports; the lease ends by itself
//!                        │          └─ code blocks a thread ────────► reports; renews until it returns,
//!                        │                                            stores the ends, retires
//!                        ├─ before it served ─► reports
//!                        └─ after gone ───────► stops handlers without a grace, reports within a second
//!
//!  `run` is dropped while it serves: drops async handlers, renews until blocking ones have returned; a
//!  rescue takes the jobs when the lease has ended
//! ```
//!
//! A fenced worker can be gone or stop as well. From `registering` to `gone` or the stop it is one
//! [incarnation]. Slots, blocking handlers and ends that are not stored outlive one that
//! is gone: async handlers are dropped with it.

pub(crate) mod activity;
pub(crate) mod control;
pub(crate) mod drain;
pub(crate) mod hints;
pub(crate) mod host;
pub(crate) mod incarnation;
pub(crate) mod shutdown;
pub(crate) mod waits;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gristmill_core::Error;
use tokio::time::Instant;

use super::assembly::{Blueprint, Loops};
use super::executor::Executor;
use crate::report::WorkerReport;
use crate::watchdog::Watched;
use control::Control;
use hints::HintListener;
use host::Host;
use incarnation::{Incarnation, RegisterMode};
use shutdown::LeaseKeeper;

/// How long a loop may take to notice that it shall end.
const LOOP_ENDS_WITHIN: Duration = Duration::from_millis(50);
/// The pause before a registration that follows upon another within a lease, and what it doubles up to.
const FIRST_REBIRTH: Duration = Duration::from_millis(20);
const LONGEST_REBIRTH: Duration = Duration::from_secs(5);

/// Drops what runs when the worker itself is dropped while running. Code that cannot be stopped keeps its
/// lease.
struct Abandon(Arc<Control>, Arc<Executor>);

impl Drop for Abandon {
    fn drop(&mut self) {
        let Self(control, executor) = self;
        control.stopping.cancel();
        control.left.cancel();
        executor.abandon();
    }
}

/// The loops that outlive an incarnation.
struct LongLoops {
    completer: Watched,
    others: Vec<Watched>,
}

/// Runs a worker until it stops.
pub(super) async fn live(worker: Blueprint) -> Result<WorkerReport, Error> {
    let mut loops = worker.assemble(Host::current());
    let _abandon = Abandon(loops.shutdown.control.clone(), loops.executor.clone());
    let Some(mut incarnation) = loops.registrar.register(RegisterMode::FirstStart).await? else {
        return Ok(WorkerReport::default());
    };
    let listener = Arc::new(HintListener(Arc::downgrade(&loops.hints)));
    let _subscription = loops.registrar.store.backend().subscribe(listener);
    let long = loops.start();
    let mut trouble = Rebirth::default();
    let (report, keeper) = loop {
        match loops.serve(Arc::new(incarnation)).await {
            Served::Stopped(report, keeper) => break (report, Some(keeper)),
            Served::Gone => trouble.pause(&loops).await,
        }
        match loops.registrar.register(RegisterMode::Again).await {
            Ok(Some(next)) => incarnation = next,
            _ => break (loops.shutdown.without_incarnation().await, None),
        }
    };
    join_all(long.others.into_iter().map(|watched| watched.end(LOOP_ENDS_WITHIN))).await;
    match keeper {
        Some(keeper) if report.left_running > 0 => {
            loops.executor.host.spawn(loops.shutdown.outlive(keeper, long.completer));
        }
        keeper => {
            long.completer.end(Duration::ZERO).await;
            if let Some(keeper) = keeper {
                keeper.heartbeat.end(Duration::ZERO).await;
            }
        }
    }
    Ok(report)
}

impl Loops {
    /// Starts those that outlive an incarnation.
    fn start(&mut self) -> LongLoops {
        let Self { watchdog, completer, waits, .. } = self;
        let (completer, unserved) = (completer.clone(), waits.clone());
        let completer = watchdog.watch("completer", move || completer.clone().run());
        let mut others = self.maintenance.take().map(|loops| loops.start(watchdog)).unwrap_or_default();
        others.push(watchdog.watch("unserved", move || unserved.clone().warn_of_unserved()));
        if waits.options.on_wait.is_set() {
            let waits = waits.clone();
            others.push(watchdog.watch("waits", move || waits.clone().report()));
        }
        if let Some(drain) = self.drain.take() {
            others.push(watchdog.watch("drain", move || drain.clone().run()));
        }
        LongLoops { completer, others }
    }

    /// Fetches and renews as this incarnation, until the worker stops or the store has ended its lease.
    async fn serve(&self, incarnation: Arc<Incarnation>) -> Served {
        gristmill_core::log!(info, name: "worker_started", target: "gristmill::worker", worker = %incarnation.id, "the worker runs");
        let (fetching, as_whom) = (self.fetching.clone(), incarnation.clone());
        let fetcher = self.watchdog.watch("fetcher", move || fetching.clone().run(as_whom.clone()));
        let (heartbeat, of_whom) = (self.heartbeat.clone(), incarnation.clone());
        let heartbeat =
            self.watchdog.watch_apart("heartbeat", move || heartbeat.clone().run(of_whom.clone()));
        tokio::select! {
            () = self.shutdown.control.stopping.cancelled() => {
                let report = self.shutdown.shut_down(&incarnation, fetcher).await;
                gristmill_core::log!(info, name: "worker_stopped", target: "gristmill::worker", worker = %incarnation.id, "the worker has stopped");
                Served::Stopped(report, LeaseKeeper { incarnation: incarnation.clone(), heartbeat })
            }
            () = incarnation.gone.cancelled() => {
                self.shutdown.counters.incarnations_lost.add(1);
                gristmill_core::log!(
                    error,
                    name: "worker_gone", target: "gristmill::worker",
                    worker = %incarnation.id, in_hand = self.executor.reserve.in_hand(),
                    "the store has ended the worker's lease: its handlers are stopped and it starts again"
                );
                self.executor.bury();
                fetcher.end(LOOP_ENDS_WITHIN).await;
                heartbeat.end(LOOP_ENDS_WITHIN).await;
                self.executor.bury();
                Served::Gone
            }
        }
    }
}

/// How soon a worker whose lease has ended starts again. The pause grows, so that a store that ends each
/// lease at once gets fewer registrations.
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
    async fn pause(&mut self, loops: &Loops) {
        if self.born.elapsed() >= loops.heartbeat.lease {
            self.pause = FIRST_REBIRTH;
        } else {
            let _ = tokio::time::timeout(self.pause, loops.shutdown.control.stopping.cancelled()).await;
            self.pause = (self.pause * 2).min(LONGEST_REBIRTH);
        }
        self.born = Instant::now();
    }
}

enum Served {
    Stopped(WorkerReport, LeaseKeeper),
    Gone,
}
