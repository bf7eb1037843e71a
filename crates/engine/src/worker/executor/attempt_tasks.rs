//! The attempts that have a task of their own: how to stop each.
//!
//! Sharded by the random end of the job's id. An entry is made before its task, so that the task's end finds
//! it, and gets the task's handle after: a runtime that shuts down ends a task while it is being spawned, so
//! no lock may be held then.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gristmill_core::{ClaimId, JobId};
use tokio::task::AbortHandle;

use crate::JobContext;
use crate::cancel::StopWhy;
use crate::handler::route::Mode;

const SHARDS: usize = 16;

/// A job and its run.
pub(crate) type Key = (JobId, u32);

type Shard = Mutex<HashMap<Key, Entry>>;

#[derive(Debug)]
struct Entry {
    context: JobContext,
    mode: Mode,
    task: Option<AbortHandle>,
    /// It was to be dropped before its task was there.
    aborted: bool,
}

/// The attempts that have a task of their own.
#[derive(Debug, Default)]
pub(crate) struct AttemptTasks {
    shards: [Shard; SHARDS],
}

pub(crate) fn key(context: &JobContext) -> Key {
    let lease = &context.attempt_state().job.lease;
    (lease.job, lease.run)
}

impl AttemptTasks {
    fn shard(&self, (job, _): Key) -> MutexGuard<'_, HashMap<Key, Entry>> {
        let shard = usize::from(job.as_bytes()[15]) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an attempt whose task `spawn` starts.
    pub(crate) fn enter(&self, context: JobContext, mode: Mode, spawn: impl FnOnce() -> AbortHandle) {
        let key = key(&context);
        self.shard(key).insert(key, Entry { context, mode, task: None, aborted: false });
        let task = spawn();
        if let Some(entry) = self.shard(key).get_mut(&key) {
            if entry.aborted {
                task.abort();
            }
            entry.task = Some(task);
        }
    }

    /// The attempt's code has ended.
    pub(crate) fn leave(&self, key: Key) {
        self.shard(key).remove(&key);
    }

    /// Signals attempts to stop; returns those that were not stopped before.
    pub(crate) fn stop(&self, which: Which, why: StopWhy) -> Vec<Key> {
        let mut keys = match which {
            Which::All => self.select(|_| true),
            Which::Claims(claims) => self.select(|claim| claims.contains(&claim)),
            Which::Runs(keys) => keys,
        };
        // Those that were stopped before are on their way already.
        keys.retain(|key| self.stop_one(*key, why));
        keys
    }

    /// Signals one attempt to stop. Returns whether it was there and not stopped before.
    fn stop_one(&self, key: Key, why: StopWhy) -> bool {
        let shard = self.shard(key);
        let Some(entry) = shard.get(&key) else { return false };
        let context = entry.context.clone();
        // A handler's waker runs in `stop`: not under the lock.
        drop(shard);
        let first = context.attempt_state().cancel.why().is_none();
        context.attempt_state().cancel.stop(why);
        first
    }

    /// The attempts for which `wanted` holds.
    fn select(&self, wanted: impl Fn(ClaimId) -> bool) -> Vec<Key> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let matching =
                shard.iter().filter(|(_, entry)| wanted(entry.context.attempt_state().job.lease.claim));
            keys.extend(matching.map(|(key, _)| *key));
        }
        keys
    }

    /// Drops the futures of all async handlers.
    pub(crate) fn abort_all(&self) {
        self.abort(&self.select(|_| true));
    }

    /// Drops the futures of async handlers among these. Their tasks end soon after and hand their runs over.
    pub(crate) fn abort(&self, keys: &[Key]) {
        for key in keys {
            let task = {
                let mut shard = self.shard(*key);
                let entry = shard.get_mut(key).filter(|entry| entry.mode == Mode::Async);
                entry.and_then(|entry| {
                    entry.aborted = true;
                    entry.task.clone()
                })
            };
            if let Some(task) = task {
                task.abort();
            }
        }
    }
}

/// Which attempts to stop.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    /// Every one.
    All,
    /// Those fetched with one of these claims.
    Claims(Vec<ClaimId>),
    /// These runs.
    Runs(Vec<Key>),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use gristmill_core::{Args, FetchedJob, IdSource, JobSpec, Lease, LeaseToken, Name, Place, Timestamp};
    use gristmill_memory::Memory;

    use super::*;
    use crate::Client;

    /// A stop may come after the entry is made and before its task is known.
    #[tokio::test]
    async fn an_abort_before_the_task_is_there_reaches_it() {
        let spec = JobSpec::new(Name::new("k").unwrap(), Name::new("q").unwrap(), Args::empty());
        let job = IdSource::new().next(Timestamp::EPOCH);
        let lease = Lease { job, run: 1, claim: ClaimId(1), token: LeaseToken(1), place: Place::default() };
        let fetched = FetchedJob::new(lease, 1, 0, Timestamp::EPOCH, spec);
        let client = Arc::new(Client::new(Memory::new()));
        let context = JobContext::new(fetched, client, Timestamp::EPOCH, None);
        let running = AttemptTasks::default();
        let mut task = None;
        running.enter(context.clone(), Mode::Async, || {
            running.abort(&[key(&context)]);
            let spawned = tokio::spawn(std::future::pending::<()>());
            let handle = spawned.abort_handle();
            task = Some(spawned);
            handle
        });
        let ended = tokio::time::timeout(Duration::from_secs(5), task.expect("it was spawned")).await;
        assert!(ended.expect("it is aborted").is_err_and(|ended| ended.is_cancelled()));
    }
}
