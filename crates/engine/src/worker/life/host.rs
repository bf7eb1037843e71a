//! The runtime that runs the handlers: the one that the worker runs on.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A handle on the runtime. The heartbeat, on its own thread, starts tasks there.
#[derive(Debug, Clone)]
pub(crate) struct Host(Handle);

impl Host {
    /// The present runtime.
    ///
    /// # Panics
    /// Outside a runtime.
    pub(crate) fn current() -> Self {
        Self(Handle::current())
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.0
    }

    /// How many threads run handlers.
    pub(crate) fn threads(&self) -> usize {
        self.0.metrics().num_workers()
    }

    /// Starts a task that runs a handler or waits for one.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.0.spawn(task)
    }

    /// Writes to the log from a task: a log that blocks must not hold up the heartbeat.
    pub(crate) fn say(&self, line: impl FnOnce() + Send + 'static) {
        self.0.spawn(async move { line() });
    }
}
