//! Loops that are started again when they die.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use gristmill_core::dispose;
use tokio::task::JoinHandle;

use super::shared::Shared;
use crate::apart::spawn_apart;
use crate::panics::panic_message;

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

/// Runs a loop in a task of its own until it returns; a panic is counted and it is made anew.
///
/// What a loop must not lose over a panic it keeps in [`Shared`].
pub(crate) fn watch<F, Fut>(name: &'static str, shared: &Arc<Shared>, make: F) -> Watched
where
    F: FnMut(Arc<Shared>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Watched { name, task: tokio::spawn(supervised(name, shared, make)), outlives: false }
}

/// Runs a loop on a thread of its own. When its owner drops it, it goes on until it ends by itself.
pub(crate) fn watch_apart<F, Fut>(name: &'static str, shared: &Arc<Shared>, make: F) -> Watched
where
    F: FnMut(Arc<Shared>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let task = spawn_apart(&format!("gristmill-{name}"), supervised(name, shared, make));
    Watched { name, task, outlives: true }
}

fn supervised<F, Fut>(
    name: &'static str,
    shared: &Arc<Shared>,
    mut make: F,
) -> impl Future<Output = ()> + Send + 'static
where
    F: FnMut(Arc<Shared>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let shared = shared.clone();
    async move {
        let mut delay = FIRST_DELAY;
        loop {
            // Making the loop may panic as well as running it.
            let life = async { make(shared.clone()).await };
            let Err(panic) = AssertUnwindSafe(life).catch_unwind().await else { return };
            shared.counters.restarts.add(1);
            let message = panic_message(&*panic).to_owned();
            dispose(panic);
            // In a task of its own: the loop does not wait for its line in the log.
            shared.say(move || {
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

impl Watched {
    /// Waits until the loop has returned, at most `patience`; then aborts it.
    pub(crate) async fn end(mut self, patience: Duration) {
        if tokio::time::timeout(patience, &mut self.task).await.is_err() {
            gristmill_core::log!(debug, target: "gristmill::worker", name = self.name, "a loop is aborted");
            self.outlives = false;
            self.task.abort();
            // Its code has ended when this returns, unless a hook or the backend blocks its thread; what it came to
            // does not matter.
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
    use gristmill_memory::Memory;

    use super::*;
    use crate::Client;
    use crate::handler::route::Routes;
    use crate::hooks::Hooks;
    use crate::worker::options::WorkerOptions;

    fn shared() -> Arc<Shared> {
        let client = Client::new(Memory::new());
        Arc::new(Shared::new(client, WorkerOptions::default(), &Routes::default(), Hooks::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_dies_is_started_again_and_counted() {
        let shared = shared();
        let (done, ended) = tokio::sync::oneshot::channel();
        let (mut lives, mut done) = (0, Some(done));
        let watched = watch("test", &shared, move |_| {
            lives += 1;
            let done = if lives == 3 { done.take() } else { None };
            async move { done.expect("it dies twice").send(()).expect("somebody waits") }
        });
        ended.await.expect("the third life comes");
        watched.end(FIRST_DELAY).await;
        assert_eq!(shared.counters.snapshot().restarts, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_end_is_aborted() {
        let shared = shared();
        let watched = watch("test", &shared, |_| std::future::pending());
        watched.end(Duration::from_secs(1)).await;
    }
}
