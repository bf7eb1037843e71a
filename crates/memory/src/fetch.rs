//! Leases available jobs to a worker.

use gristmill_core::{
    BackendError, ClaimId, FetchReply, FetchRequest, FetchedJob, FetchedQueue, JobState, KindSet, Lease,
    LeaseToken, Place, Priority, QueueWant, Reason, Timestamp, WorkerId,
};

use std::sync::Arc;

use crate::job::{Held, Job};
use crate::store::{Claim, ReadyKey, Store, Worker, keys_of};

/// A fetch parks no more jobs of a queue than this: its caller asks again.
const PARKED_AT_ONCE: usize = 10_000;

impl Store {
    pub(crate) fn fetch(
        &mut self,
        request: FetchRequest,
        now: Timestamp,
    ) -> Result<FetchReply, BackendError> {
        let FetchRequest { worker, claim, queues, .. } = request;
        let known = self.alive(worker, now)?;
        let (lease, kinds) = (known.record.lease_expires_at.since(now), Arc::clone(&known.kinds));
        if let Some(reply) = self.repeat(worker, claim, &queues, lease) {
            return Ok(reply);
        }
        let handles = self.handles(worker);
        let token = LeaseToken(uuid_bits());
        let held = Arc::new(Held { worker, claim, token, fetched_at: now });
        let (mut jobs, mut states, mut members) = (Vec::new(), Vec::with_capacity(queues.len()), Vec::new());
        let next_due = self.waiting.keys().next().map(|(due, _)| *due);
        for want in queues {
            let (slots, is_exhausted) = self.take_first(&want, &kinds, &handles);
            let has_none = want.max == 0 && !self.has_any(&want);
            let mut state = self.look(&want, has_none || is_exhausted);
            state.next_due = next_due;
            states.push(state);
            jobs.reserve(slots.len());
            for slot in slots {
                self.lease(slot, Arc::clone(&held));
                let job = fetched(slot, self.job(slot), &held);
                members.push((slot, job.lease.job, job.lease.run));
                jobs.push(job);
            }
        }
        if !members.is_empty() {
            let open = members.len();
            self.worker(worker).claims.insert(claim, Claim { token, members, open });
        }
        Ok(FetchReply::new(jobs, states, lease))
    }

    /// The worker, if it is known and its lease holds.
    pub(crate) fn alive(&self, worker: WorkerId, now: Timestamp) -> Result<&Worker, BackendError> {
        match self.workers.get(&worker) {
            Some(known) if !known.dead && known.record.lease_expires_at > now => Ok(known),
            _ => Err(BackendError::worker_gone(worker)),
        }
    }

    pub(crate) fn worker(&mut self, worker: WorkerId) -> &mut Worker {
        self.workers.get_mut(&worker).expect("the worker was found alive")
    }

    /// The jobs of a claim that is there already: the reply to its fetch was lost.
    fn repeat(
        &self,
        worker: WorkerId,
        claim: ClaimId,
        queues: &[QueueWant],
        lease: std::time::Duration,
    ) -> Option<FetchReply> {
        self.workers.get(&worker)?.claims.get(&claim)?;
        let open = self.open_members(worker, claim).into_iter();
        let jobs = open
            .filter_map(|slot| {
                let job = self.job(slot);
                Some(fetched(slot, job, job.lease.as_ref()?))
            })
            .collect();
        Some(FetchReply::new(jobs, queues.iter().map(|want| self.look(want, false)).collect(), lease))
    }

    fn look(&self, want: &QueueWant, exhausted: bool) -> FetchedQueue {
        let mut state = FetchedQueue::new(want.queue.clone());
        let index = self.queues_by_name.get(&want.queue);
        state.paused = index.is_some_and(|index| self.queues[*index].record.is_paused());
        state.exhausted = exhausted;
        state
    }

    /// Whether a queue has available jobs of the wanted priorities, or parked ones.
    fn has_any(&self, want: &QueueWant) -> bool {
        let Some(index) = self.queues_by_name.get(&want.queue) else { return false };
        let queue = &self.queues[*index];
        let (first, last) = want.priorities.unwrap_or((Priority::FIRST, Priority::LAST));
        !queue.parked.is_empty() || queue.ready.range(keys_of(first, last)).next().is_some()
    }

    /// Takes the first jobs that the worker may have out of the lines of a queue that is not paused, and says
    /// whether it left none. Those of kinds without a handler that stand before them are parked.
    fn take_first(&mut self, want: &QueueWant, kinds: &KindSet, handles: &[bool]) -> (Vec<usize>, bool) {
        let index = self.queues_by_name.get(&want.queue).copied();
        let Some(index) = index.filter(|index| !self.queues[*index].record.is_paused()) else {
            return (Vec::new(), want.max > 0);
        };
        let (first, last) = want.priorities.unwrap_or((Priority::FIRST, Priority::LAST));
        let mut slots = self.first_parked(index, want.max, (first, last), kinds);
        let mut parked = 0;
        while slots.len() < want.max {
            if parked == PARKED_AT_ONCE {
                return (slots, false);
            }
            let ready = &mut self.queues[index].ready;
            let next = if want.priorities.is_none() {
                ready.pop_first().map(|(_, slot)| slot)
            } else {
                let key = ready.range(keys_of(first, last)).next().map(|(key, _)| *key);
                key.and_then(|key| ready.remove(&key))
            };
            let Some(slot) = next else { return (slots, true) };
            if handles[self.job(slot).kind] {
                slots.push(slot);
            } else {
                self.park(slot);
                parked += 1;
            }
        }
        (slots, false)
    }

    /// The first parked jobs of a queue that the worker has a handler for. They stay where they are until
    /// they are leased.
    fn first_parked(
        &self,
        queue: usize,
        max: usize,
        (first, last): (Priority, Priority),
        kinds: &KindSet,
    ) -> Vec<usize> {
        let lines = self.queues[queue].parked.iter().filter(|(kind, _)| kinds.handles(kind.as_str()));
        let mut jobs: Vec<(&ReadyKey, &usize)> =
            lines.flat_map(|(_, line)| line.range(keys_of(first, last)).take(max)).collect();
        jobs.sort_unstable();
        jobs.into_iter().take(max).map(|(_, slot)| *slot).collect()
    }

    fn park(&mut self, slot: usize) {
        self.move_to(slot, JobState::Scheduled, |job| {
            job.is_parked = true;
            job.reason = Some(Reason::NoHandler.as_str().into());
        });
    }

    fn lease(&mut self, slot: usize, held: Arc<Held>) {
        self.move_to(slot, JobState::Running, |job| {
            job.attempt += 1;
            job.run += 1;
            job.reason = None;
            job.lease = Some(held);
            if let Some(notes) = &mut job.notes {
                notes.progress = None;
            }
        });
    }
}

fn fetched(slot: usize, job: &Job, held: &Held) -> FetchedJob {
    let lease =
        Lease { job: job.id, run: job.run, claim: held.claim, token: held.token, place: Place(slot as u128) };
    FetchedJob::new(lease, job.attempt, job.crashes, job.run_at, Arc::clone(&job.spec))
}

/// 128 unguessable bits.
fn uuid_bits() -> u128 {
    WorkerId::random().as_u128()
}
