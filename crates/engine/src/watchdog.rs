//! Loops that are started again when they die.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use gristmill_core::dispose;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::apart::spawn_apart;
use crate::panics::panic_message;
use crate::report::Counters;

const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// How long an aborted loop may take to leave the await it stands at.
const ABORTED_WITHIN: Duration = Duration::from_millis(50);

/// A running loop. Its owner ends it with [`Watched::end`]; dropping it aborts the loop.
#[derive(Debug)]
pub(crate) struct Watched {
    name: &'static str,
    task: JoinHandle<()>,
    /// It ends by itself after its owner is gone.
    outlives: bool,
}

/// Starts the loops of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Watchdog {
    runtime: Handle,
    counters: Arc<Counters>,
}

impl Watchdog {
    /// Counts restarts in these counters, and logs them from tasks of this runtime.
    pub(crate) fn new(runtime: Handle, counters: Arc<Counters>) -> Self {
        Self { runtime, counters }
    }

    /// Runs a loop in a task of its own until it returns; a panic is counted and it is made anew.
    ///
    /// What a loop must not lose over a panic it keeps behind an `Arc`.
    pub(crate) fn watch<F, Fut>(&self, name: &'static str, make: F) -> Watched
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Watched { name, task: tokio::spawn(self.supervised(name, make)), outlives: false }
    }

    /// Runs a loop on a thread of its own. When its owner drops it, it goes on until it ends by itself.
    pub(crate) fn watch_apart<F, Fut>(&self, name: &'static str, make: F) -> Watched
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let task = spawn_apart(&format!("gristmill-{name}"), self.supervised(name, make));
        Watched { name, task, outlives: true }
    }

    fn supervised<F, Fut>(
        &self,
        name: &'static str,
        mut make: F,
    ) -> impl Future<Output = ()> + Send + use<F, Fut>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let Self { runtime, counters } = self.clone();
        async move {
            let mut delay = FIRST_DELAY;
            loop {
                // Making the loop may panic as well as running it.
                let life = async { make().await };
                let Err(panic) = AssertUnwindSafe(life).catch_unwind().await else { return };
                counters.restarts.add(1);
                let message = panic_message(&*panic).to_owned();
                dispose(panic);
                // In a task of its own: the loop does not wait for its line in the log.
                runtime.spawn(async move {
                    gristmill_core::log!(
                        error,
                        name: "loop_restarted", target: "gristmill::worker",
                        loop_name = name, panic = message, "a loop of the worker died and is started again"
                    );
                });
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(LONGEST_DELAY);
            }
        }
    }
}

impl Watched {
    /// Waits until the loop has returned, at most `patience`; then aborts it.
    pub(crate) async fn end(mut self, patience: Duration) {
        if tokio::time::timeout(patience, &mut self.task).await.is_err() {
            gristmill_core::log!(debug, target: "gristmill::worker", name = self.name, "a loop is aborted");
            self.outlives = false;
            self.task.abort();
            // Its code has ended when this returns, unless a hook or the backend blocks its thread; what it
            // came to does not matter.
            if tokio::time::timeout(ABORTED_WITHIN, &mut self.task).await.is_err() {
                gristmill_core::log!(
                    error,
                    name: "loop_blocked", target: "gristmill::worker", loop_name = self.name,
                    "a loop of the worker blocks its thread and is left behind"
                );
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.outlives {
            self.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchdog() -> Watchdog {
        Watchdog::new(Handle::current(), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_dies_is_started_again_and_counted() {
        let watchdog = watchdog();
        let (done, ended) = tokio::sync::oneshot::channel();
        let (mut lives, mut done) = (0, Some(done));
        let watched = watchdog.watch("test", move || {
            lives += 1;
            let done = if lives == 3 { done.take() } else { None };
            async move { done.expect("it dies twice").send(()).expect("the test waits") }
        });
        ended.await.expect("the third life comes");
        watched.end(FIRST_DELAY).await;
        assert_eq!(watchdog.counters.snapshot().restarts, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_end_is_aborted() {
        let watchdog = watchdog();
        let watched = watchdog.watch("test", std::future::pending);
        watched.end(Duration::from_secs(1)).await;
    }
}
