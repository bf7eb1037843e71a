//! Workers: they register, renew all their leases at once, and retire.

use gristmill_core::{
    BackendError, ClaimId, End, JobId, JobState, KindSet, Name, RegisterWorker, RenewReply, RenewRequest,
    Timestamp, WorkerId, WorkerRecord,
};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::end::Said;
use crate::store::{Store, Worker};

impl Store {
    pub(crate) fn register_worker(
        &mut self,
        request: RegisterWorker,
        now: Timestamp,
    ) -> Result<(), BackendError> {
        if self.workers.contains_key(&request.worker) {
            self.alive(request.worker, now)?;
        }
        let mut record = WorkerRecord::new(request.worker, request.label, now, request.lease);
        record.slots = request.slots;
        record.queues = request.queues;
        record.kinds = request.kinds;
        let kinds = Arc::new(KindSet::new(&record.kinds));
        let claims = match self.workers.remove(&record.id) {
            Some(worker) => {
                record.started_at = worker.record.started_at;
                worker.claims
            }
            None => BTreeMap::new(),
        };
        self.workers
            .insert(record.id, Worker { record, kinds, handles: Arc::default(), dead: false, claims });
        Ok(())
    }

    /// A waiting job becomes available, due no later than now.
    pub(crate) fn make_available(&mut self, slot: usize, now: Timestamp) {
        self.move_to(slot, JobState::Available, |job| {
            job.run_at = job.run_at.min(now);
            job.reason = None;
        });
    }

    pub(crate) fn renew(
        &mut self,
        request: &RenewRequest,
        now: Timestamp,
    ) -> Result<RenewReply, BackendError> {
        self.alive(request.worker, now)?;
        let worker = self.worker(request.worker);
        worker.record.heartbeat_at = now;
        worker.record.lease_expires_at = now + worker.record.lease;
        let mut reply = RenewReply::default();
        reply.expires_in = worker.record.lease;
        reply.lost =
            request.known_claims.iter().copied().filter(|claim| !worker.claims.contains_key(claim)).collect();
        reply.given_back =
            worker.claims.keys().copied().filter(|claim| !request.known_claims.contains(claim)).collect();
        for claim in &reply.given_back {
            self.give_back(request.worker, *claim, now);
        }
        reply.cancels = self.cancels_of(request.worker);
        let paused = |name: &&Name| {
            self.queues_by_name.get(*name).is_some_and(|index| self.queues[*index].record.is_paused())
        };
        reply.paused = self.workers[&request.worker].record.queues.iter().filter(paused).cloned().collect();
        Ok(reply)
    }

    /// The running jobs of a worker with a requested cancel.
    fn cancels_of(&self, worker: WorkerId) -> Vec<(JobId, u32)> {
        let claims = self.workers[&worker].claims.keys();
        let slots = claims.flat_map(|claim| self.open_members(worker, *claim));
        slots
            .map(|slot| self.job(slot))
            .filter(|job| job.cancel_requested)
            .map(|job| (job.id, job.run))
            .collect()
    }

    /// Ends the open runs of a claim as released, their attempts refunded.
    fn give_back(&mut self, worker: WorkerId, claim: ClaimId, now: Timestamp) {
        for slot in self.open_members(worker, claim) {
            let end = End::of_give_back(self.facts(slot), now);
            self.end(slot, end, Said::default(), now);
        }
    }

    /// The slots of a claim's jobs that still run under it.
    pub(crate) fn open_members(&self, worker: WorkerId, claim: ClaimId) -> Vec<usize> {
        let Some(claim) = self.workers.get(&worker).and_then(|worker| worker.claims.get(&claim)) else {
            return Vec::new();
        };
        let open = |member: &(usize, JobId, u32)| {
            let held = self.member(*member)?.lease.as_ref()?;
            (held.token == claim.token).then_some(member.0)
        };
        claim.members.iter().filter_map(open).collect()
    }

    pub(crate) fn retire_worker(&mut self, worker: WorkerId, now: Timestamp) {
        let Some(known) = self.workers.get(&worker) else { return };
        let claims: Vec<ClaimId> = known.claims.keys().copied().collect();
        for claim in claims {
            self.give_back(worker, claim, now);
        }
        self.workers.remove(&worker);
    }
}
