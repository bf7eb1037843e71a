//! A worker process of a test, and waiting for what other processes do.

use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long any wait of a test may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// A worker process. It is killed when it is dropped.
#[derive(Debug)]
pub struct Worker {
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
}

impl Worker {
    /// How often it has said something so far.
    pub fn said(&self, what: &str) -> usize {
        std::fs::read_to_string(&self.log).unwrap_or_default().matches(what).count()
    }

    /// SIGKILL, and wait for its end.
    pub fn kill(mut self) {
        self.end();
    }

    /// SIGTERM.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("the worker is there");
    }

    /// Whether it has ended.
    ///
    /// # Panics
    /// When the process is not ours.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the worker is ours").is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the worker to end", || {
            status = self.child.try_wait().expect("the worker is ours");
            status.is_some()
        });
        status.expect("it has ended")
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for a fact, looking often; other processes give no signal to wait for.
///
/// # Panics
/// When it does not come in ten minutes.
#[expect(
    clippy::disallowed_methods,
    reason = "the fact lies in another process, which can only be asked again"
)]
pub fn wait_until(fact: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {fact}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
