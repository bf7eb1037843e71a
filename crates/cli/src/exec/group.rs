//! A process group: one attempt's program and what it started.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;

/// The groups whose leader has not been waited for. A process that leaves in a hurry drops no futures: it kills these.
static LIVE: Mutex<Live> = Mutex::new(Live { leaders: BTreeSet::new(), leaving: false });

struct Live {
    leaders: BTreeSet<i32>,
    /// The process leaves: what is started now is killed at once.
    leaving: bool,
}

/// A group whose leader we started. Dropped while the leader runs, it is killed.
#[derive(Debug)]
pub(super) struct Group(AtomicI32);

/// Stands for a group that has ended.
const ENDED: i32 = 0;

impl Group {
    /// The group that a child leads.
    pub(super) fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(ENDED);
        let mut live = live();
        if live.leaving {
            signal(leader, Signal::SIGKILL);
        } else if leader != ENDED {
            live.leaders.insert(leader);
        }
        Self(AtomicI32::new(leader))
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Ends what is left after its leader has been waited for. The number of a group that is not empty is not given to
    /// another; that of an empty one is free, but was so for microseconds only.
    pub(super) fn kill_rest(&self) {
        signal(self.end(), Signal::SIGKILL);
    }

    fn signal(&self, wanted: Signal) {
        signal(self.0.load(Ordering::Relaxed), wanted);
    }

    fn end(&self) -> i32 {
        let leader = self.0.swap(ENDED, Ordering::Relaxed);
        live().leaders.remove(&leader);
        leader
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        signal(self.end(), Signal::SIGKILL);
    }
}

fn signal(leader: i32, wanted: Signal) {
    if leader != ENDED {
        // A group that is gone already is what is wanted.
        let _ = killpg(Pid::from_raw(leader), wanted);
    }
}

/// Kills every group of this process; for its end.
pub(crate) fn kill_all() {
    let mut live = live();
    live.leaving = true;
    for leader in &live.leaders {
        signal(*leader, Signal::SIGKILL);
    }
}

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
