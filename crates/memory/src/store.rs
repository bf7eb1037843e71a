//! What the store holds, and the one way a job moves from place to place.
//!
//! A job's state determines its one place: `waiting` (scheduled, retryable), its queue's `parked` (scheduled,
//! without a handler), its queue's `ready` (available), a claim of a worker (running), or none of these
//! (suspended, or ended). Every move goes through [`Store::move_to`], which keeps places and counts in step.
//!
//! Jobs and queues are found by their index in a vector: the hot path compares no text and searches no tree
//! by id.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use gristmill_core::{
    ClaimId, Hint, JobId, JobState, KindSet, LeaseToken, Name, Priority, QueueRecord, Register, Timestamp,
    UniqueKey, WorkerId, WorkerRecord,
};

use crate::job::Job;

/// Everything, under one lock.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Jobs by slot; a slot is used again after a deletion.
    pub(crate) jobs: Vec<Option<Box<Job>>>,
    free: Vec<usize>,
    pub(crate) by_id: BTreeMap<JobId, usize>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) queues_by_name: BTreeMap<Name, usize>,
    /// The number of each kind, in the order they were first met: a fetch compares no text.
    kinds: HashMap<Name, usize>,
    /// Scheduled and retryable jobs by due time.
    pub(crate) waiting: BTreeMap<(Timestamp, JobId), usize>,
    /// Ended jobs by the time their retention passes. An entry is stale, and passed over, when its job is
    /// gone, runs again or ended anew.
    pub(crate) ended: BinaryHeap<Reverse<(Timestamp, JobId)>>,
    pub(crate) unique: HashMap<(usize, UniqueKey), JobId>,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    /// By space and key.
    pub(crate) registers: BTreeMap<(Name, Bytes), Register>,
    pub(crate) stale_finishes: u64,
    pub(crate) hints: Vec<Hint>,
    pub(crate) watch_ends: bool,
}

/// A queue: its available jobs in the order they are fetched, and its numbers.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) record: QueueRecord,
    pub(crate) ready: BTreeMap<ReadyKey, usize>,
    /// The parked jobs of each kind, in the order of fetching. No kind is empty.
    pub(crate) parked: BTreeMap<Name, BTreeMap<ReadyKey, usize>>,
    pub(crate) counts: [u64; 8],
    /// Whether a job became available, or was parked, since the hints were last taken.
    hinted: bool,
}

/// The order of fetching: priority, due time, order of enqueueing.
pub(crate) type ReadyKey = (Priority, Timestamp, JobId);

impl Queue {
    /// When the first of these jobs that has a priority became due.
    pub(crate) fn first_due(line: &BTreeMap<ReadyKey, usize>, priority: Priority) -> Option<Timestamp> {
        line.range(keys_of(priority, priority)).next().map(|((_, run_at, _), _)| *run_at)
    }
}

/// All keys of the priorities from the first to the last.
pub(crate) fn keys_of(first: Priority, last: Priority) -> RangeInclusive<ReadyKey> {
    let lowest = (first, Timestamp::EPOCH, JobId::from_bytes([0; 16]));
    lowest..=(last, Timestamp::MAX, JobId::from_bytes([0xff; 16]))
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) record: WorkerRecord,
    /// The kinds of the record.
    pub(crate) kinds: Arc<KindSet>,
    /// Whether each kind that the store had met at its latest fetch is one of them, by the kind's number.
    pub(crate) handles: Arc<Vec<bool>>,
    /// A rescue has found its lease expired. Nothing revives it, not even a clock that goes back; it stays
    /// only as long as its claims do.
    pub(crate) dead: bool,
    pub(crate) claims: BTreeMap<ClaimId, Claim>,
}

/// One fetched batch. It goes when the last of its runs has ended.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) token: LeaseToken,
    /// Slot, job and run of each job, in the order they were fetched.
    pub(crate) members: Vec<(usize, JobId, u32)>,
    pub(crate) open: usize,
}

impl Store {
    /// The index of a queue, made when it is first named.
    pub(crate) fn queue_index(&mut self, name: &Name) -> usize {
        if let Some(&index) = self.queues_by_name.get(name) {
            return index;
        }
        let record = QueueRecord::new(name.clone());
        let (ready, parked) = (BTreeMap::new(), BTreeMap::new());
        self.queues.push(Queue { record, ready, parked, counts: [0; 8], hinted: false });
        self.queues_by_name.insert(name.clone(), self.queues.len() - 1);
        self.queues.len() - 1
    }

    /// The number of a kind.
    pub(crate) fn kind_number(&mut self, name: &Name) -> usize {
        if let Some(&number) = self.kinds.get(name) {
            return number;
        }
        self.kinds.insert(name.clone(), self.kinds.len());
        self.kinds.len() - 1
    }

    /// Whether a worker handles each kind, by the kind's number.
    pub(crate) fn handles(&mut self, worker: WorkerId) -> Arc<Vec<bool>> {
        let kinds = &self.kinds;
        let Some(worker) = self.workers.get_mut(&worker) else { return Arc::default() };
        if worker.handles.len() < kinds.len() {
            let mut handles = vec![false; kinds.len()];
            for (kind, number) in kinds {
                handles[*number] = worker.kinds.handles(kind.as_str());
            }
            worker.handles = Arc::new(handles);
        }
        Arc::clone(&worker.handles)
    }

    pub(crate) fn job(&self, slot: usize) -> &Job {
        self.jobs[slot].as_deref().expect("a slot in use holds a job")
    }

    pub(crate) fn job_mut(&mut self, slot: usize) -> &mut Job {
        self.jobs[slot].as_deref_mut().expect("a slot in use holds a job")
    }

    /// The job of a claim's member, unless it has been deleted.
    pub(crate) fn member(&self, (slot, id, run): (usize, JobId, u32)) -> Option<&Job> {
        self.jobs[slot].as_deref().filter(|job| job.id == id && job.run == run)
    }

    /// Adds a job and puts it in its place.
    pub(crate) fn insert(&mut self, job: Job) {
        let id = job.id;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() - 1
        });
        self.jobs[slot] = Some(Box::new(job));
        self.by_id.insert(id, slot);
        self.settle_in(slot);
    }

    /// Removes a job from its place and from the store, as its end says.
    pub(crate) fn remove(&mut self, slot: usize) {
        self.take_out(slot);
        if let Some(job) = self.jobs[slot].take() {
            self.by_id.remove(&job.id);
            self.free.push(slot);
        }
    }

    /// Moves a job to another state: out of the old place, `change`, into the new one.
    pub(crate) fn move_to(&mut self, slot: usize, state: JobState, change: impl FnOnce(&mut Job)) {
        let job = self.job(slot);
        debug_assert!(
            // A parked job is leased where it is, as if it were available.
            job.state == state
                || job.state.can_become(state)
                || (job.is_parked && state == JobState::Running),
            "{} cannot become {state}",
            job.state
        );
        self.take_out(slot);
        let job = self.job_mut(slot);
        job.is_parked = false;
        change(job);
        job.state = state;
        self.settle_in(slot);
    }

    /// Out of its place, and of its queue's numbers. A job that was fetched has left `ready` already.
    fn take_out(&mut self, slot: usize) {
        let job = self.jobs[slot].as_deref().expect("a slot in use holds a job");
        let queue = &mut self.queues[job.queue];
        queue.counts[job.state.index()] -= 1;
        match job.state {
            JobState::Available => {
                queue.ready.remove(&job.ready_key());
            }
            JobState::Scheduled if job.is_parked => {
                if let Some(line) = queue.parked.get_mut(&job.spec.kind) {
                    line.remove(&job.ready_key());
                    if line.is_empty() {
                        queue.parked.remove(&job.spec.kind);
                    }
                }
            }
            JobState::Scheduled | JobState::Retryable => {
                self.waiting.remove(&(job.run_at, job.id));
            }
            JobState::Suspended
            | JobState::Running
            | JobState::Completed
            | JobState::Cancelled
            | JobState::Discarded => {}
        }
    }

    /// Into the place its state tells, and into its queue's numbers.
    fn settle_in(&mut self, slot: usize) {
        let job = self.jobs[slot].as_deref().expect("a slot in use holds a job");
        let queue = &mut self.queues[job.queue];
        queue.counts[job.state.index()] += 1;
        match job.state {
            JobState::Available => {
                queue.ready.insert(job.ready_key(), slot);
                if !std::mem::replace(&mut queue.hinted, true) {
                    self.hints.push(Hint::Available(queue.record.name.clone()));
                }
            }
            JobState::Scheduled if job.is_parked => {
                queue.parked.entry(job.spec.kind.clone()).or_default().insert(job.ready_key(), slot);
                // Another worker may have a handler.
                if !std::mem::replace(&mut queue.hinted, true) {
                    self.hints.push(Hint::Available(queue.record.name.clone()));
                }
            }
            JobState::Scheduled | JobState::Retryable => {
                if self.waiting.first_key_value().is_none_or(|((first, _), _)| job.run_at < *first) {
                    self.hints.push(Hint::Due(job.run_at));
                }
                self.waiting.insert((job.run_at, job.id), slot);
            }
            JobState::Suspended
            | JobState::Running
            | JobState::Completed
            | JobState::Cancelled
            | JobState::Discarded => {}
        }
    }

    pub(crate) fn free_unique(&mut self, slot: usize) {
        let job = self.jobs[slot].as_deref().expect("a slot in use holds a job");
        if let Some(key) = job.spec.unique_key.clone() {
            let entry = (job.queue, key);
            if self.unique.get(&entry) == Some(&job.id) {
                self.unique.remove(&entry);
            }
        }
    }

    /// The hints of the operation that ends.
    pub(crate) fn take_hints(&mut self) -> Vec<Hint> {
        for hint in &self.hints {
            match hint {
                Hint::Available(name) => self.queues[self.queues_by_name[name]].hinted = false,
                Hint::Due(_)
                | Hint::CancelRequested(_)
                | Hint::QueueChanged(_)
                | Hint::Missed
                | Hint::Ended(_) => {}
            }
        }
        std::mem::take(&mut self.hints)
    }
}
