//! The queue: a map of what may be fetched, a claim per fetched batch, a map of what has finished, one lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::sync::Notify;

use crate::job::{KIND, MAX_ATTEMPTS, NewJob, PRIORITY, now_ms};

/// A job as it is kept from enqueue to history.
#[derive(Debug)]
#[expect(dead_code, reason = "a queue keeps these for whoever looks at a job; a floor has no such reader")]
pub(crate) struct Job {
    pub(crate) id: [u8; 16],
    pub(crate) kind: &'static str,
    pub(crate) args: Vec<u8>,
    pub(crate) created_at_ms: i64,
    pub(crate) max_attempts: u16,
    pub(crate) attempt: u16,
}

/// A finished job in history.
#[derive(Debug)]
#[expect(dead_code, reason = "a queue keeps these for whoever looks at a job; a floor has no such reader")]
pub(crate) struct Finished {
    job: Arc<Job>,
    finished_at_ms: i64,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Wakes a sleeping consumer; signalled after each enqueue.
    pub(crate) arrived: Notify,
}

/// A fetched job, shared by its handler and its claim.
pub(crate) type Lease = Arc<Job>;

/// A fetched batch. Its jobs stay in the queue's `claims` until it is finished, so that they could be run
/// again.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Shown at the finish.
    pub(crate) number: u64,
    /// Best first; empty if nothing may be fetched.
    pub(crate) jobs: Vec<Lease>,
}

#[derive(Debug, Default)]
struct State {
    ready: BTreeMap<(i16, i64, u64), Arc<Job>>,
    claims: HashMap<u64, Vec<Lease>>,
    history: BTreeMap<[u8; 16], Finished>,
    last_sequence: u64,
    last_claim: u64,
}

impl Queue {
    /// Stores jobs; they may be fetched when this returns.
    pub(crate) fn enqueue(&self, jobs: impl IntoIterator<Item = NewJob>) {
        let mut state = self.lock();
        for NewJob { id, args, created_at_ms } in jobs {
            state.last_sequence += 1;
            let key = (PRIORITY, created_at_ms, state.last_sequence);
            let job = Job { id, kind: KIND, args, created_at_ms, max_attempts: MAX_ATTEMPTS, attempt: 1 };
            state.ready.insert(key, Arc::new(job));
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Leases up to `limit` jobs, best first.
    pub(crate) fn fetch(&self, limit: u32) -> Claim {
        let mut state = self.lock();
        let mut jobs = Vec::with_capacity(limit as usize);
        while jobs.len() < limit as usize
            && let Some((_, job)) = state.ready.pop_first()
        {
            jobs.push(job);
        }
        state.last_claim += 1;
        let number = state.last_claim;
        state.claims.insert(number, jobs.clone());
        Claim { number, jobs }
    }

    /// Moves the jobs of a claim that were `completed` to history.
    pub(crate) fn finish(&self, claim: u64, completed: Vec<Lease>) -> Result<()> {
        let finished_at_ms = now_ms()?;
        let mut state = self.lock();
        state.claims.remove(&claim);
        for job in completed {
            state.history.insert(job.id, Finished { job, finished_at_ms });
        }
        Ok(())
    }

    /// The ids in history.
    pub(crate) fn finished_ids(&self) -> Vec<[u8; 16]> {
        self.lock().history.keys().copied().collect()
    }

    /// The ids that may be fetched.
    pub(crate) fn ready_ids(&self) -> Vec<[u8; 16]> {
        self.lock().ready.values().map(|job| job.id).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
