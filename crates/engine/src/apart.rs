//! Threads of their own, for what must not wait for code of a job: heartbeats.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Runs a future on a thread with a runtime of its own, until it ends or is aborted. Handlers that block
/// every thread of the program's runtime do not hold it up.
///
/// Under tokio's paused time, in tests, it runs beside everything else: no other runtime follows that clock.
/// So it does where the system has no thread to spare.
pub(crate) fn spawn_apart(name: &str, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    if clock_stands_still() {
        return tokio::spawn(future);
    }
    let future = Arc::new(Mutex::new(Some(future)));
    let (started, task) = mpsc::channel();
    let theirs = Arc::clone(&future);
    let run = move || {
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
        let Some(future) = theirs.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let (ends, ended) = tokio::sync::oneshot::channel::<()>();
        let task = runtime.spawn(async move {
            let _ends = ends;
            future.await;
        });
        if started.send(task).is_ok() {
            // Also when the future is aborted: its end of the channel goes with it.
            let _ = runtime.block_on(ended);
        }
    };
    // A thread that could not be made has dropped its end of the channel.
    let _ = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    task.recv().unwrap_or_else(|_| {
        let future = future.lock().unwrap_or_else(PoisonError::into_inner).take();
        tokio::spawn(async move {
            if let Some(future) = future {
                future.await;
            }
        })
    })
}

/// Whether tokio's time is paused: then its clock does not move while the machine's does.
fn clock_stands_still() -> bool {
    let (tokio, machine) = (Instant::now(), std::time::Instant::now());
    while machine.elapsed() < Duration::from_nanos(1) {
        std::hint::spin_loop();
    }
    Instant::now() == tokio
}
