//! Promote, rescue, prune, audit: bounded rounds that any worker may run.

use std::cmp::Reverse;

use gristmill_core::{
    AuditReply, ClaimId, Cursor, End, JobId, JobState, Maintained, RescueReply, Rescued, Timestamp, WorkerId,
};

use crate::end::Said;
use crate::store::{Store, Worker};

impl Store {
    pub(crate) fn promote(&mut self, limit: usize, now: Timestamp) -> Maintained {
        let due: Vec<usize> = self
            .waiting
            .iter()
            .take_while(|((due, _), _)| *due <= now)
            .take(limit)
            .map(|(_, slot)| *slot)
            .collect();
        for &slot in &due {
            self.make_available(slot, now);
        }
        let next_due = self.waiting.keys().next().map(|(due, _)| *due);
        Maintained::round(due.len(), next_due, now)
    }

    pub(crate) fn rescue(&mut self, limit: usize, now: Timestamp) -> RescueReply {
        let mut reply = RescueReply::default();
        for worker in self.workers.values_mut() {
            worker.dead |= worker.record.lease_expires_at <= now;
        }
        for (worker, claim) in self.claims_of_the_dead() {
            if reply.jobs.len() >= limit {
                reply.more = true;
                break;
            }
            for slot in self.open_members(worker, claim) {
                reply.jobs.push(self.rescue_one(slot, now));
            }
        }
        self.workers.retain(|_, worker| !worker.dead || !worker.claims.is_empty());
        reply.next_due = self.living().map(|worker| worker.record.lease_expires_at).min();
        reply
    }

    fn claims_of_the_dead(&self) -> Vec<(WorkerId, ClaimId)> {
        let dead = self.workers.iter().filter(|(_, worker)| worker.dead);
        dead.flat_map(|(id, worker)| worker.claims.keys().map(|claim| (*id, *claim))).collect()
    }

    /// The workers that no rescue has declared dead.
    pub(crate) fn living(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values().filter(|worker| !worker.dead)
    }

    fn rescue_one(&mut self, slot: usize, now: Timestamp) -> Rescued {
        let job = self.job(slot);
        let (id, queue) = (job.id, job.spec.queue.clone());
        let end = End::of_crash(&job.spec.retry_policy(), self.facts(slot), fastrand::f64(), now);
        self.end(slot, end, Said::default(), now);
        Rescued::new(id, queue, end.state)
    }

    pub(crate) fn prune(&mut self, limit: usize, now: Timestamp) -> Maintained {
        let mut done = 0;
        while let Some(&Reverse((expires_at, id))) = self.ended.peek() {
            if expires_at > now || done == limit {
                break;
            }
            self.ended.pop();
            let Some(&slot) = self.by_id.get(&id) else { continue };
            if let Some(end) = self.expiry(slot, now) {
                self.end(slot, end, Said::default(), now);
                done += 1;
            }
        }
        let next_due = self.ended.peek().map(|Reverse((expires_at, _))| *expires_at);
        let next_register = self.prune_registers(limit, now);
        Maintained::round(done, next_due.into_iter().chain(next_register).min(), now)
    }

    /// The end of a job whose retention has passed: it may run again, or have ended anew, since that was
    /// noted.
    fn expiry(&self, slot: usize, now: Timestamp) -> Option<End> {
        let job = self.job(slot);
        let standing = job.standing();
        End::of_expiry(standing, standing.expires_at(job.finished_at?)?, now)
    }

    pub(crate) fn audit(&mut self, cursor: Option<Cursor>, limit: usize, now: Timestamp) -> AuditReply {
        let mut reply = AuditReply::default();
        let slots: Vec<(JobId, usize)> =
            self.behind(cursor).take(limit).map(|(id, slot)| (*id, *slot)).collect();
        reply.checked = slots.len() as u64;
        reply.next = slots.last().filter(|_| slots.len() == limit).map(|(id, _)| Cursor(*id));
        for (id, slot) in slots {
            if !self.is_in_place(slot) {
                self.move_to(slot, JobState::Available, |job| job.run_at = now);
                reply.repaired.push(id);
            }
        }
        reply
    }

    fn is_in_place(&self, slot: usize) -> bool {
        let job = self.job(slot);
        match job.state {
            JobState::Available => self.queues[job.queue].ready.contains_key(&job.ready_key()),
            JobState::Scheduled if job.is_parked => {
                let line = self.queues[job.queue].parked.get(&job.spec.kind);
                line.is_some_and(|line| line.contains_key(&job.ready_key()))
            }
            JobState::Scheduled | JobState::Retryable => self.waiting.contains_key(&(job.run_at, job.id)),
            JobState::Running => job.lease.as_ref().is_some_and(|held| {
                let worker = self.workers.get(&held.worker);
                worker.is_some_and(|worker| worker.claims.contains_key(&held.claim))
            }),
            JobState::Suspended | JobState::Completed | JobState::Cancelled | JobState::Discarded => true,
        }
    }
}
