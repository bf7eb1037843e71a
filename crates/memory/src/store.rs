//! What the store holds, and the one way a job moves from place to place.
//!
//! A job is in exactly one place, told by its state: `waiting` (scheduled, retryable), its queue's `ready` (available),
//! a claim of a worker (running), or nowhere else (suspended, or ended). Every move goes through [`Store::settle_in`],
//! which keeps places and counts in step.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use gristmill_core::{
    ClaimId, Hint, JobEvent, JobId, JobSpec, JobState, LeaseToken, LogLine, Name, Output, Priority,
    QueueRecord, Retention, RunRecord, Timestamp, UniqueKey, WorkerId, WorkerRecord,
};

/// Everything, under one lock.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Jobs by slot; a slot is found again without a search, and used again after a deletion.
    pub(crate) jobs: Vec<Option<Box<Job>>>,
    free: Vec<usize>,
    pub(crate) by_id: BTreeMap<JobId, usize>,
    pub(crate) queues: BTreeMap<Name, Queue>,
    /// Scheduled and retryable jobs by due time.
    pub(crate) waiting: BTreeMap<(Timestamp, JobId), usize>,
    /// Ended jobs by the time their retention passes.
    pub(crate) ended: BTreeMap<(Timestamp, JobId), usize>,
    pub(crate) unique: HashMap<(Name, UniqueKey), JobId>,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) stale_finishes: u64,
    pub(crate) hints: Vec<Hint>,
    pub(crate) watch_ends: bool,
}

/// A queue: its available jobs in the order they are fetched, and its numbers.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) record: QueueRecord,
    pub(crate) ready: BTreeMap<ReadyKey, usize>,
    pub(crate) counts: [u64; 8],
}

/// The order of fetching: priority, due time, order of enqueueing.
pub(crate) type ReadyKey = (Priority, Timestamp, JobId);

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) record: WorkerRecord,
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

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) spec: JobSpec,
    pub(crate) state: JobState,
    pub(crate) attempt: u16,
    pub(crate) run: u32,
    pub(crate) crashes: u16,
    pub(crate) run_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) lease: Option<Held>,
    pub(crate) cancel_requested: bool,
    pub(crate) reason: Option<String>,
    pub(crate) output: Option<Output>,
    pub(crate) runs: Vec<EndedRun>,
    /// What few jobs have.
    pub(crate) notes: Option<Box<Notes>>,
}

/// What a running attempt recorded, and what happened outside leases.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) progress: Option<u8>,
    pub(crate) checkpoint: Option<Bytes>,
    pub(crate) log: Vec<LogLine>,
    pub(crate) events: VecDeque<JobEvent>,
}

/// The lease of a running job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) worker: WorkerId,
    pub(crate) claim: ClaimId,
    pub(crate) token: LeaseToken,
    pub(crate) fetched_at: Timestamp,
}

/// A run that has ended, and who ended it.
#[derive(Debug)]
pub(crate) struct EndedRun {
    pub(crate) record: RunRecord,
    pub(crate) token: LeaseToken,
    pub(crate) by: EndedBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Worker,
    Rescue,
    GiveBack,
}

impl Job {
    pub(crate) fn notes(&mut self) -> &mut Notes {
        self.notes.get_or_insert_default()
    }

    pub(crate) fn add_event(&mut self, event: JobEvent) {
        let events = &mut self.notes().events;
        if events.len() == JobEvent::KEPT {
            events.pop_front();
        }
        events.push_back(event);
    }

    fn ready_key(&self) -> ReadyKey {
        (self.spec.priority, self.run_at, self.id)
    }

    /// When its retention passes; for a job that has ended.
    fn expires_at(&self) -> Option<Timestamp> {
        let retention = self.spec.retention.as_deref().copied().unwrap_or_else(Retention::default);
        Some(self.finished_at? + retention.of(self.state)?)
    }
}

impl Store {
    pub(crate) fn queue(&mut self, name: &Name) -> &mut Queue {
        // Looked up twice on a miss only: the entry API would clone the name on every hit.
        if !self.queues.contains_key(name) {
            let queue =
                Queue { record: QueueRecord::new(name.clone()), ready: BTreeMap::new(), counts: [0; 8] };
            self.queues.insert(name.clone(), queue);
        }
        self.queues.get_mut(name).expect("it was inserted")
    }

    pub(crate) fn job(&self, slot: usize) -> &Job {
        self.jobs[slot].as_deref().expect("a slot in use holds a job")
    }

    pub(crate) fn job_mut(&mut self, slot: usize) -> &mut Job {
        self.jobs[slot].as_deref_mut().expect("a slot in use holds a job")
    }

    /// Adds a job and puts it in its place.
    pub(crate) fn insert(&mut self, job: Job) -> usize {
        let (id, state) = (job.id, job.state);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() - 1
        });
        self.jobs[slot] = Some(Box::new(job));
        self.by_id.insert(id, slot);
        self.settle_in(slot, state);
        slot
    }

    /// Removes a job from its place and from the store.
    pub(crate) fn remove(&mut self, slot: usize) {
        self.take_out(slot);
        self.free_unique(slot);
        if let Some(job) = self.jobs[slot].take() {
            self.by_id.remove(&job.id);
            self.free.push(slot);
        }
    }

    /// Moves a job to another state: out of the old place, `change`, into the new one.
    pub(crate) fn move_to(&mut self, slot: usize, state: JobState, change: impl FnOnce(&mut Job)) {
        debug_assert!(
            self.job(slot).state == state || self.job(slot).state.can_become(state),
            "{} cannot become {state}",
            self.job(slot).state
        );
        self.take_out(slot);
        change(self.job_mut(slot));
        self.settle_in(slot, state);
    }

    /// Out of its place, and of its queue's numbers.
    fn take_out(&mut self, slot: usize) {
        let job = self.jobs[slot].as_deref().expect("a slot in use holds a job");
        let queue = self.queues.get_mut(&job.spec.queue).expect("a job's queue is known");
        queue.counts[job.state.index()] -= 1;
        match job.state {
            JobState::Available => {
                queue.ready.remove(&job.ready_key());
            }
            JobState::Scheduled | JobState::Retryable => {
                self.waiting.remove(&(job.run_at, job.id));
            }
            JobState::Completed | JobState::Cancelled | JobState::Discarded => {
                if let Some(expires_at) = job.expires_at() {
                    self.ended.remove(&(expires_at, job.id));
                }
            }
            JobState::Suspended | JobState::Running => {}
        }
    }

    /// Into the place its state tells, and into its queue's numbers.
    fn settle_in(&mut self, slot: usize, state: JobState) {
        self.job_mut(slot).state = state;
        let name = self.job(slot).spec.queue.clone();
        self.queue(&name).counts[state.index()] += 1;
        let job = self.jobs[slot].as_deref().expect("a slot in use holds a job");
        match state {
            JobState::Available => {
                let (key, queue) = (job.ready_key(), job.spec.queue.clone());
                self.queue(&queue).ready.insert(key, slot);
                self.hint_available(&queue);
            }
            JobState::Scheduled | JobState::Retryable => {
                self.waiting.insert((job.run_at, job.id), slot);
            }
            JobState::Completed | JobState::Cancelled | JobState::Discarded => self.settle_end(slot),
            JobState::Suspended | JobState::Running => {}
        }
    }

    /// An ended job frees its unique key and waits for its retention, or goes at once.
    fn settle_end(&mut self, slot: usize) {
        self.free_unique(slot);
        let job = self.job(slot);
        let id = job.id;
        let expires_at = job.expires_at().expect("an ended job has its time");
        let at_once = job.finished_at == Some(expires_at);
        if self.watch_ends {
            self.hints.push(Hint::Ended(id));
        }
        self.ended.insert((expires_at, id), slot);
        if at_once {
            self.remove(slot);
        }
    }

    fn free_unique(&mut self, slot: usize) {
        let job = self.job(slot);
        if let Some(key) = job.spec.unique_key.clone() {
            let (id, entry) = (job.id, (job.spec.queue.clone(), key));
            if self.unique.get(&entry) == Some(&id) {
                self.unique.remove(&entry);
            }
        }
    }
}
