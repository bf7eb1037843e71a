//! Leases available jobs to a worker.

use gristmill_core::{
    BackendError, ClaimId, FetchReply, FetchRequest, FetchedJob, FetchedQueue, JobState, Lease, LeaseToken,
    Place, QueueWant, Timestamp, WorkerId,
};

use std::sync::Arc;

use crate::job::{Held, Job};
use crate::store::{Claim, ReadyKey, Store, Worker};

impl Store {
    pub(crate) fn fetch(
        &mut self,
        request: FetchRequest,
        now: Timestamp,
    ) -> Result<FetchReply, BackendError> {
        let FetchRequest { worker, claim, queues, .. } = request;
        let lease = self.alive(worker, now)?.record.lease_expires_at.since(now);
        if let Some(reply) = self.repeat(worker, claim, &queues, lease) {
            return Ok(reply);
        }
        let token = LeaseToken(uuid_bits());
        let held = Arc::new(Held { worker, claim, token, fetched_at: now });
        let (mut jobs, mut states, mut members) = (Vec::new(), Vec::with_capacity(queues.len()), Vec::new());
        let next_due = self.waiting.keys().next().map(|(due, _)| *due);
        for want in queues {
            let slots = self.take_first(&want);
            let mut state = self.look(&want, slots.len() < want.max);
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

    /// Takes the first available jobs of a queue that is not paused out of its line.
    fn take_first(&mut self, want: &QueueWant) -> Vec<usize> {
        let index = self.queues_by_name.get(&want.queue).copied();
        let Some(queue) =
            index.map(|index| &mut self.queues[index]).filter(|queue| !queue.record.is_paused())
        else {
            return Vec::new();
        };
        let ready = &mut queue.ready;
        let Some((first, last)) = want.priorities else {
            return std::iter::from_fn(|| ready.pop_first()).take(want.max).map(|(_, slot)| slot).collect();
        };
        let wanted = |(priority, ..): &ReadyKey| (first..=last).contains(priority);
        let keys: Vec<ReadyKey> = ready.keys().filter(|key| wanted(key)).take(want.max).copied().collect();
        keys.iter().filter_map(|key| ready.remove(key)).collect()
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

/// 128 bits nobody can guess.
fn uuid_bits() -> u128 {
    WorkerId::random().as_u128()
}
