//! What workers do: fetch, finish, record, renew.

use std::time::Duration;

use gristmill_core::{
    BackendError, BackendErrorKind, ClaimId, Ending, FetchReply, FetchRequest, FetchedJob, FetchedQueue,
    FinishItem, FinishRequest, Finished, JobId, JobRecord, JobState, KindSet, Lease, LeaseToken, LogLine,
    Output, QueueWant, RecordRequest, Recorded, RenewRequest, RunError, WorkerId,
};

use super::{Drive, LEASE};
use crate::model::op::{FetchShape, FinishShape, RecordShape, Target};
use crate::model::parked::Met;
use crate::model::shape::{Pick, priority, queue};

impl Drive<'_> {
    /// The worker of a slot; an unknown one if the slot has none.
    pub(super) fn worker(&self, slot: usize) -> WorkerId {
        self.slots[slot].unwrap_or_else(WorkerId::random)
    }

    fn wants(shape: &FetchShape) -> Vec<QueueWant> {
        let queues = [false, true].into_iter().zip(shape.max).filter(|(_, max)| *max > 0);
        queues
            .map(|(second, max)| {
                let mut want = QueueWant::new(queue(second), max);
                want.priorities = shape.priorities.map(|(first, last)| (priority(first), priority(last)));
                want
            })
            .collect()
    }

    pub(super) fn fetch(&mut self, shape: &FetchShape) {
        let (worker, claim, wants) = (self.worker(shape.slot), self.t.next_claim(), Self::wants(shape));
        let reply = self.t.try_fetch(FetchRequest::new(worker, claim, wants.clone()));
        if let Some(reply) = self.alive_or_gone(worker, reply) {
            self.fetched(worker, claim, &wants, &reply);
        }
    }

    /// The reply, if the worker is alive; it must be refused otherwise.
    fn alive_or_gone<T>(&self, worker: WorkerId, reply: Result<T, BackendError>) -> Option<T> {
        match (self.model.is_alive(worker, self.t.now()), reply) {
            (true, Ok(reply)) => Some(reply),
            (false, Err(error)) => {
                assert_eq!(error.kind(), BackendErrorKind::WorkerGone, "{error:?}");
                None
            }
            (true, Err(error)) => panic!("the worker is alive, but: {error:?}"),
            (false, Ok(_)) => panic!("the worker is gone and was served all the same"),
        }
    }

    /// Checks what a fetch gave and leases it in the model.
    fn fetched(&mut self, worker: WorkerId, claim: ClaimId, wants: &[QueueWant], reply: &FetchReply) {
        let left = self.model.workers[&worker].expires_at().since(self.t.now());
        assert_eq!(reply.lease_expires_in, left, "how long the leases hold");
        let queues: Vec<_> = reply.queues.iter().map(|state| &state.queue).collect();
        assert_eq!(queues, wants.iter().map(|want| &want.queue).collect::<Vec<_>>());
        let kinds = KindSet::new(&self.model.workers[&worker].kinds);
        let met: Vec<(Met, Vec<JobId>)> = wants
            .iter()
            .map(|want| {
                let met = self.model.met(want, &kinds);
                let parks = self.parked_now(&met);
                (met, parks)
            })
            .collect();
        let leases_parked = reply.jobs.iter().any(|job| self.model.jobs[&job.lease.job].is_parked);
        let may_be_short = leases_parked || met.iter().any(|(_, parks)| !parks.is_empty());
        let mut given = Vec::new();
        for ((want, state), (met, parks)) in wants.iter().zip(&reply.queues).zip(met) {
            let jobs: Vec<_> = reply.jobs.iter().filter(|job| job.spec.queue == want.queue).collect();
            let ids: Vec<JobId> = jobs.iter().map(|job| job.lease.job).collect();
            assert_eq!(state.paused, self.model.paused.contains(&want.queue));
            let is_short = ids.len() < want.max && !state.paused;
            assert!(state.exhausted || !is_short || may_be_short, "queue {} has nothing more", want.queue);
            self.given(want, state, &met, &parks, &ids);
            for id in parks {
                self.model.park(id);
            }
            given.extend(jobs);
        }
        assert_eq!(given.len(), reply.jobs.len(), "a job of a queue that was not asked for");
        for job in &reply.jobs {
            assert_eq!(job.lease.claim, claim);
            self.model.lease(job.lease.clone(), worker, self.t.now());
            self.assert_fetched(job);
            self.leases.push(job.lease.clone());
        }
    }

    /// Which of the available jobs that a fetch met, and that its worker has no handler for, are parked now.
    fn parked_now(&self, met: &Met) -> Vec<JobId> {
        let found = self.t.find_all(&met.unknown);
        let is_parked =
            |job: &Option<JobRecord>| job.as_ref().is_some_and(|job| job.state == JobState::Scheduled);
        let parked = met.unknown.iter().zip(found).filter(|(_, job)| is_parked(job));
        parked.map(|(id, _)| *id).collect()
    }

    /// Checks what a fetch gave of one queue. How many jobs it parks beyond those it had to is left open, and
    /// where it parked some, or gave parked ones, it may give fewer than there are.
    fn given(&self, want: &QueueWant, state: &FetchedQueue, met: &Met, parks: &[JobId], ids: &[JobId]) {
        let expected: Vec<JobId> = met.parked.iter().chain(&met.available).copied().collect();
        let is_left = ids.len() < expected.len();
        assert_eq!(ids, &expected[..ids.len().min(expected.len())], "what queue {} gives", want.queue);
        assert!(ids.len() <= want.max, "queue {} gives more than was wanted", want.queue);
        assert!(!is_left || !state.exhausted, "queue {} has more", want.queue);
        let last =
            ids.last().filter(|id| met.available.contains(id)).map(|id| self.model.jobs[id].position());
        for id in &met.unknown {
            let is_before = last.is_some_and(|last| self.model.jobs[id].position() < last);
            assert!(!is_before || parks.contains(id), "job {id} still stands before others");
        }
    }

    fn assert_fetched(&self, job: &FetchedJob) {
        let known = &self.model.jobs[&job.lease.job];
        assert_eq!(job.lease.run, known.run, "the run of the lease");
        let said = (job.attempt, job.crashes, job.run_at, &*job.spec);
        assert_eq!(said, (known.attempt, known.crashes, known.run_at(), &known.spec));
    }

    /// Repeats the fetch of a claim that still has a running job.
    pub(super) fn fetch_again(&self, pick: Pick) {
        let held: Vec<_> = self.model.jobs.values().filter_map(|job| job.held.clone()).collect();
        let Some(chosen) = pick.of(&held) else { return };
        let (worker, claim) = (chosen.worker, chosen.lease.claim);
        let wants = vec![QueueWant::new(queue(false), 9), QueueWant::new(queue(true), 9)];
        let reply = self.t.try_fetch(FetchRequest::new(worker, claim, wants));
        let Some(mut reply) = self.alive_or_gone(worker, reply) else { return };
        reply.jobs.sort_by_key(|job| job.lease.job);
        reply.jobs.iter().for_each(|job| self.assert_fetched(job));
        let leases: Vec<_> = reply.jobs.into_iter().map(|job| job.lease).collect();
        let mut expected: Vec<_> = self.model.running(worker).map(|(_, held)| held.lease.clone()).collect();
        expected.retain(|lease| lease.claim == claim);
        expected.sort_by_key(|lease| lease.job);
        assert_eq!(leases, expected, "the repeated fetch");
    }

    fn target(&self, target: Target) -> Option<Lease> {
        let running = || -> Vec<Lease> {
            let held = self.model.jobs.values().filter_map(|job| job.held.as_ref());
            held.map(|held| held.lease.clone()).collect()
        };
        match target {
            Target::Running(pick) => pick.of(&running()),
            Target::Ever(pick) | Target::Again(pick) => pick.of(&self.leases),
            Target::Forged(pick) => pick.of(&running()).map(|mut lease| {
                lease.token = LeaseToken(lease.token.0 ^ 1);
                lease
            }),
        }
    }

    /// What a worker says of a run: something new, or what was sent before.
    fn item(&mut self, shape: &FinishShape) -> Option<FinishItem> {
        if let Target::Again(pick) = shape.target {
            return pick.of(&self.sent);
        }
        let mut item = FinishItem::new(self.target(shape.target)?, shape.decision, shape.ending);
        match item.ending {
            Ending::Completed => item.output = Some(Output::from_json("[1]")),
            Ending::Undecodable => item.reason = Some("undecodable".to_owned()),
            Ending::Failed | Ending::Timeout => item.error = Some(RunError::new("it broke")),
            Ending::Panic
            | Ending::Snoozed
            | Ending::Cancelled
            | Ending::Discarded
            | Ending::Released
            | Ending::Limited
            | Ending::UnknownKind
            | Ending::Crashed => {}
        }
        item.started_at = shape.started.then(|| self.t.now() - Duration::from_millis(3));
        item.effects = shape.effects.iter().map(|effect| self.new_job(effect)).collect();
        Some(item)
    }

    pub(super) fn finish(&mut self, shapes: &[FinishShape]) {
        let items: Vec<FinishItem> = shapes.iter().filter_map(|shape| self.item(shape)).collect();
        self.sent.extend(items.iter().cloned());
        let now = self.t.now();
        let reply = self.t.finish_request(FinishRequest::new(items.clone()));
        for (item, answer) in items.into_iter().zip(&reply.items) {
            let id = item.lease.job;
            let allowed = self.model.finish(item, now);
            assert!(allowed.contains(answer), "the finish answers {answer:?}, not {allowed:?}");
            if matches!(answer, Finished::LeaseLost { .. }) {
                self.stale_finishes += 1;
                self.model.note_stale(id, now);
            }
        }
    }

    pub(super) fn record(&mut self, target: Target, shape: RecordShape) {
        let Some(lease) = self.target(target) else { return };
        let at = self.t.now();
        let mut request = RecordRequest::new(lease.clone());
        request.progress = shape.percent;
        request.checkpoint = shape.checkpoint.map(|byte| vec![byte; 3].into());
        request.log = (0..shape.lines).map(|line| LogLine { at, text: format!("line {line}") }).collect();
        let expected = if self.model.holds(&lease) {
            let job = self.model.job(lease.job);
            request.first_line = u32::try_from(job.log.len()).unwrap_or(u32::MAX) + 1;
            job.progress = request.progress.or(job.progress);
            job.checkpoint = request.checkpoint.clone().or(job.checkpoint.take());
            job.log.extend(request.log.iter().cloned());
            Recorded::Accepted
        } else {
            Recorded::LeaseLost
        };
        assert_eq!(self.t.record(request), expected);
    }

    pub(super) fn renew(&mut self, slot: usize, forget: Option<Pick>) {
        let (worker, now) = (self.worker(slot), self.t.now());
        let open = self.model.open_claims(worker);
        let forgotten = forget.and_then(|pick| pick.of(&open));
        let mut lost: Vec<ClaimId> = self
            .model
            .given_back
            .iter()
            .filter(|(other, _)| *other == worker)
            .map(|(_, claim)| *claim)
            .collect();
        let kept = open.iter().copied().filter(|claim| Some(*claim) != forgotten);
        let known = kept.chain(lost.iter().copied()).collect();
        let request = RenewRequest::new(worker, known);
        let reply = self.t.ask(|backend, call| backend.renew(call, request));
        let Some(mut reply) = self.alive_or_gone(worker, reply) else { return };
        let forgotten = Vec::from_iter(forgotten);
        self.model.give_back(worker, &forgotten, now);
        self.model.given_back.extend(forgotten.iter().map(|claim| (worker, *claim)));
        self.model.workers.get_mut(&worker).expect("it is alive").heartbeat_at = now;
        lost.sort_unstable();
        reply.lost.sort_unstable();
        assert_eq!((reply.expires_in, reply.given_back, reply.lost), (LEASE, forgotten, lost));
        let mut cancels: Vec<_> = self
            .model
            .running(worker)
            .filter(|(job, _)| job.cancel_requested)
            .map(|(job, _)| (job.id, job.run))
            .collect();
        cancels.sort_unstable();
        reply.cancels.sort_unstable();
        assert_eq!(reply.cancels, cancels, "the cancels the worker learns of");
        let mut paused = self.model.paused.clone();
        paused.sort();
        reply.paused.sort();
        assert_eq!(reply.paused, paused, "the paused queues the worker learns of");
    }
}
