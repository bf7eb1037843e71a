//! The guards of this process: the idle ones, and the children that have to be waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::guard::{Closer, Guard, USABLE_FOR};
use super::kin;
use crate::failure::{Failure, Result};

/// How long the guards are waited for when this process leaves. They need milliseconds, unless something
/// cannot be killed.
const LEAVING: Duration = Duration::from_secs(3);

/// The guards of a worker process.
#[derive(Debug)]
pub(crate) struct Guards {
    inside: Mutex<Inside>,
    /// A guard has gone.
    gone: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    /// Every guard that has not been waited for.
    live: BTreeMap<i32, Closer>,
    idle: Vec<(Guard, Instant)>,
    /// Children that this process had before it was a worker: a shell may have started them and become this
    /// program.
    strangers: BTreeSet<i32>,
    /// Orphans that have nothing to do with jobs may become children of this process.
    adopts_others: bool,
    leaving: bool,
}

impl Guards {
    /// Takes care of every child of this process from now on, until it ends.
    pub(crate) fn start() -> Result<Arc<Self>> {
        let ended = signal(SignalKind::child())
            .map_err(|error| Failure::io("cannot learn of ended processes", &error))?;
        kin::adopt_orphans();
        let strangers: BTreeSet<i32> = kin::children_of(own_pid()).into_iter().collect();
        let adopts_others = own_pid() == 1 || !strangers.is_empty();
        let inside = Mutex::new(Inside { strangers, adopts_others, ..Inside::default() });
        let guards = Arc::new(Self { inside, gone: Notify::new() });
        tokio::spawn(wait_for_children(guards.clone(), ended));
        Ok(guards)
    }

    /// A guard without a program.
    pub(super) fn take(&self) -> io::Result<Guard> {
        let mut inside = self.inside();
        while let Some((guard, since)) = inside.idle.pop() {
            if since.elapsed() < USABLE_FOR {
                return Ok(guard);
            }
        }
        if inside.leaving {
            return Err(io::Error::other("this process is leaving"));
        }
        // Under the lock: the end of a child that is not entered yet must not be taken for another one's.
        let guard = Guard::spawn()?;
        inside.live.insert(guard.pid, guard.closer());
        Ok(guard)
    }

    /// Takes a guard back whose program has ended with all it started.
    pub(super) fn put_back(&self, guard: Guard) {
        let mut inside = self.inside();
        if inside.live.contains_key(&guard.pid) && !inside.leaving {
            inside.idle.push((guard, Instant::now()));
        }
    }

    /// Kills what runs and waits until nothing is left of it, for the end of this process.
    pub(crate) async fn leave(&self) {
        {
            let mut inside = self.inside();
            inside.leaving = true;
            inside.idle.clear();
            inside.live.values().for_each(Closer::close);
        }
        let all_gone = async {
            loop {
                let gone = self.gone.notified();
                if self.inside().live.is_empty() {
                    return;
                }
                gone.await;
            }
        };
        if timeout(LEAVING, all_gone).await.is_err() {
            tracing::warn!(
                name: "processes_left", target: "gristmill::exec", guards = self.inside().live.len(),
                "processes that programs have started cannot be killed; their guards wait for their end"
            );
        }
    }

    /// Waits for children that have ended, and ends those that a killed guard has left behind.
    fn look_after_children(&self) {
        let mut inside = self.inside();
        for pid in kin::reap().pids() {
            inside.strangers.remove(&pid);
            if inside.live.remove(&pid).is_some() {
                inside.idle.retain(|(guard, _)| guard.pid != pid);
                self.gone.notify_one();
            }
        }
        for pid in kin::children_of(own_pid()) {
            let is_known = inside.live.contains_key(&pid) || inside.strangers.contains(&pid);
            if !is_known && (!inside.adopts_others || is_of_an_attempt(pid)) {
                kin::kill_child(pid);
            }
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lives as long as the process.
async fn wait_for_children(guards: Arc<Guards>, mut ended: Signal) {
    loop {
        guards.look_after_children();
        ended.recv().await;
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// Whether an adopted child is of an attempt. The first process of a container adopts every orphan, and a
/// worker that had children before it was one adopts what those leave behind: some have nothing to do with
/// jobs, and are waited for, but not killed. All that another worker adopts is of an attempt.
fn is_of_an_attempt(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ.split(|byte| *byte == 0).any(|word| word.starts_with(b"GRISTMILL_TOKEN="))
    })
}
