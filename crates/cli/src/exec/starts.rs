//! Programs that cannot be started: a fault of the machine or of the deployment, never of the job.
//!
//! A job whose program cannot be started is given back without an attempt spent, and runs again some seconds
//! later, up to a minute while the trouble lasts. Its slot stays taken for a moment, so that a worker that
//! starts nothing fetches less. The log has one line when the trouble of a kind begins or changes, and one
//! when it is over.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gristmill::format_duration;
use rustix::io::Errno;
use tokio::time::Instant;

/// How much later a job runs again: as long as the trouble lasts, within these bounds.
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a slot stays taken, at first and at most.
const FIRST_HOLD: Duration = Duration::from_millis(20);
const LONGEST_HOLD: Duration = Duration::from_secs(1);
/// A scarcity is over when every start has worked for this long: before, starts that work and fail take
/// turns.
const CALM: Duration = Duration::from_secs(5);

/// Where a start fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The system does not start the program.
    Start,
    /// The same, for lack of something that ended programs set free.
    Scarcity,
    /// A shell or `env` was started, and ended with the code for a program that it could not start.
    Shell,
}

impl Stage {
    /// The stage of the system's error.
    pub(super) fn of(error: &io::Error) -> Self {
        let used_up = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM, Errno::TXTBSY, Errno::NOBUFS];
        match Errno::from_io_error(error) {
            Some(errno) if used_up.contains(&errno) => Self::Scarcity,
            _ => Self::Start,
        }
    }
}

/// What is known of the starts of programs.
#[derive(Debug, Default)]
pub(super) struct Starts {
    failing: Mutex<HashMap<String, Failing>>,
    /// Starts that failed since the last one that worked.
    in_a_row: AtomicU32,
}

/// A kind whose program does not start.
#[derive(Debug)]
struct Failing {
    since: Instant,
    failed_last: Instant,
    stage: Stage,
    why: String,
    failures: u64,
    /// It was started since it failed last.
    worked: bool,
}

/// What to do about a start that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    /// How long the slot stays taken.
    pub(super) hold: Duration,
    /// How much later the job runs again.
    pub(super) job: Duration,
}

impl Starts {
    /// The program of a kind could not be started.
    pub(super) fn failed(self: &Arc<Self>, kind: &str, program: &str, stage: Stage, why: &str) -> Pauses {
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed);
        let hold = FIRST_HOLD.saturating_mul(1 << in_a_row.min(10)).min(LONGEST_HOLD);
        let now = Instant::now();
        let mut failing = self.failing();
        let is_new = !failing.contains_key(kind);
        let entry = failing.entry(kind.to_owned()).or_insert_with(|| Failing {
            since: now,
            failed_last: now,
            stage,
            why: String::new(),
            failures: 0,
            worked: false,
        });
        // A scarcity shows in one place now and in another then.
        let is_same_scarcity = !is_new && stage == Stage::Scarcity && entry.stage == stage;
        let has_changed = entry.why != why && !is_same_scarcity;
        if has_changed {
            why.clone_into(&mut entry.why);
        }
        (entry.stage, entry.failed_last, entry.worked) = (stage, now, false);
        entry.failures += 1;
        let lasting = entry.since.elapsed().clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        drop(failing);
        if has_changed {
            tracing::warn!(
                name: "program_not_started", target: "gristmill::exec", kind, program, error = why,
                "a program cannot be started: its jobs are given back without an attempt spent, and run again later"
            );
        }
        if is_new {
            let (starts, kind) = (Arc::downgrade(self), kind.to_owned());
            // Ends with the trouble, or with the worker.
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(CALM).await;
                    let Some(starts) = starts.upgrade() else { return };
                    starts.end_if(&kind, |entry| entry.worked && entry.failed_last.elapsed() >= CALM);
                    if !starts.failing().contains_key(&kind) {
                        return;
                    }
                }
            });
        }
        Pauses { hold, job: lasting.mul_f64(0.75 + fastrand::f64() / 2.0) }
    }

    /// The system has started the program of a kind.
    pub(super) fn started(&self, kind: &str) {
        // A shell that is started says nothing of the program that it could not start the last time.
        let is_shell = self.failing().get(kind).is_some_and(|entry| entry.stage == Stage::Shell);
        if !is_shell {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
        self.end_if(kind, |entry| {
            entry.worked |= entry.stage == Stage::Scarcity;
            entry.stage == Stage::Start
        });
    }

    /// The program of a kind has run.
    pub(super) fn ran(&self, kind: &str) {
        self.in_a_row.store(0, Ordering::Relaxed);
        self.end_if(kind, |entry| entry.stage != Stage::Scarcity);
    }

    /// The worker ends; what was over is reported.
    pub(super) fn leave(&self) {
        let kinds: Vec<String> = self.failing().keys().cloned().collect();
        for kind in kinds {
            self.end_if(&kind, |entry| entry.worked);
        }
    }

    fn end_if(&self, kind: &str, is_over: impl FnOnce(&mut Failing) -> bool) {
        let mut failing = self.failing();
        if !failing.get_mut(kind).is_some_and(is_over) {
            return;
        }
        let over = failing.remove(kind);
        drop(failing);
        if let Some(Failing { since, failures, .. }) = over {
            tracing::warn!(
                name: "program_starts_again", target: "gristmill::exec", kind, failures,
                after = %format_duration(since.elapsed()), "a program can be started again"
            );
        }
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<String, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slot_is_held_longer_the_more_starts_fail_in_a_row() {
        let starts = Arc::new(Starts::default());
        let fail = || starts.failed("k", "p", Stage::Start, "no such file");
        let holds: Vec<Duration> = (0..20).map(|_| fail().hold).collect();
        assert_eq!((holds[0], holds[1], holds[19]), (FIRST_HOLD, FIRST_HOLD * 2, LONGEST_HOLD));
        starts.started("k");
        let pauses = fail();
        assert_eq!(pauses.hold, FIRST_HOLD);
        assert!(pauses.job < SHORTEST_PAUSE * 2, "{pauses:?}");
    }

    #[tokio::test]
    async fn a_shell_that_starts_and_cannot_start_its_program_holds_the_slot_longer_each_time() {
        let starts = Arc::new(Starts::default());
        let attempt = || {
            starts.started("k");
            starts.failed("k", "sh", Stage::Shell, "exit code 127").hold
        };
        let holds: Vec<Duration> = (0..20).map(|_| attempt()).collect();
        assert_eq!((holds[0], holds[1], holds[19]), (FIRST_HOLD, FIRST_HOLD * 2, LONGEST_HOLD));
        starts.started("k");
        starts.ran("k");
        assert_eq!(attempt(), FIRST_HOLD);
    }
}
