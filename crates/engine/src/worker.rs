//! A running instance of the engine.
//!
//! | part | does |
//! |---|---|
//! | `life` | registers, serves, starts again, stops; also the handle, the drain, the runtime of the handlers |
//! | `assembly` | makes the loops and what they share |
//! | `fetcher` | leases jobs for free slots, and for those that will be (`forecast`, `reserve`) |
//! | `executor` | gives them slots and tasks (`batch`, `chunk`), takes their results; `attempt` runs one of them |
//! | `completer` | stores how they ended (`finishes`, `line`); `answers` notes what the store made of it |
//! | `heartbeat` | renews the leases, on a thread of its own; brings cancels |
//! | `maintenance` | promotes, rescues, prunes, audits |
//!
//! A worker also uses these modules of the crate's root:
//!
//! | part | does |
//! |---|---|
//! | `claims` | the claims it holds, which each renewal lists |
//! | `handler` | finds the handler of a kind (`route`), makes its future and catches its panics (`start`) |
//! | `decide`, `run_result` | the result of a run, from the outcome of its attempt |
//! | `lessen` | what is left out of a result that the store refuses |
//! | `cancel`, `at_work` | signals an attempt to stop; counts code that cannot be stopped |
//! | `call`, `lease` | deadlines and repeats of calls; the local end of a lease |
//! | `watchdog`, `apart` | restarts a loop that dies; runs one on its own thread |

mod assembly;
pub(crate) mod builder;
mod completer;
mod executor;
mod fetcher;
mod heartbeat;
mod life;
mod maintenance;
pub(crate) mod options;
mod store;

use std::future::Future;

use gristmill_core::Error;

pub use builder::WorkerBuilder;
#[cfg(feature = "testing")]
pub(crate) use executor::ready::Ready;
#[cfg(feature = "testing")]
pub(crate) use executor::transaction::{not_committed, still_in_use};
pub use life::control::WorkerHandle;

use crate::Client;
use crate::handler::route::Routes;
use crate::hooks::Hooks;
use crate::report::WorkerReport;
use assembly::Blueprint;
use options::WorkerOptions;

/// Runs jobs: fetches them from its queues, runs their handlers, stores how they ended.
///
/// From [`Worker::builder`]; does nothing until it runs.
#[derive(Debug)]
pub struct Worker(Blueprint);

impl Worker {
    pub(crate) fn assemble(client: Client, options: WorkerOptions, routes: &Routes, hooks: Hooks) -> Self {
        Self(Blueprint::new(client, options, routes, hooks))
    }

    /// Steers the worker while it runs.
    pub fn handle(&self) -> WorkerHandle {
        self.0.handle()
    }

    /// Runs until it is stopped by its [handle](Self::handle), or, where it drains, until nothing is left to
    /// run.
    ///
    /// A store that fails meanwhile is waited for; the worker never gives up by itself.
    ///
    /// # Errors
    /// What keeps it from starting and no wait will mend, such as a store without schema.
    ///
    /// # Cancel safety
    /// Dropping the future drops async handlers; their jobs are rescued when the lease ends. Blocking
    /// handlers run on, with their leases renewed, until they return. Stop the worker by its handle
    /// instead.
    pub async fn run(self) -> Result<WorkerReport, Error> {
        self.run_until(std::future::pending::<()>()).await
    }

    /// Runs until `shutdown` is ready, then stops: what has not started is given back, running handlers have
    /// the grace.
    ///
    /// # Errors
    /// As [`Self::run`].
    ///
    /// # Cancel safety
    /// As [`Self::run`].
    pub async fn run_until(self, shutdown: impl Future) -> Result<WorkerReport, Error> {
        let handle = self.handle();
        let mut life = Box::pin(life::live(self.0));
        tokio::select! {
            report = &mut life => return report,
            _ = shutdown => handle.stop(),
        }
        life.await
    }
}
