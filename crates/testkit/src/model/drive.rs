//! Does one history to a backend and to the model.

use std::time::Duration;

use gristmill_core::{
    BackendError, BackendErrorKind, ClaimId, Ending, Enqueued, FetchReply, FetchRequest, FetchedJob,
    FinishItem, FinishRequest, Finished, JobFilter, JobId, Lease, LeaseToken, NewJob, Order, Output,
    QueueWant, RecordRequest, Recorded, RunError, Verb, VerbReply, VerbRequest, Verdict, WorkerId,
};

use super::compare::{compare, compare_runs};
use super::op::{FetchShape, FinishShape, Op, SLOTS, Target};
use super::shape::{JobShape, Pick, kind, priority, queue};
use super::state::Model;
use crate::Fixture;
use crate::fixture::act::ALL;
use crate::fixture::name;

/// The length of a worker's leases in a history: never a whole ten milliseconds, see [`super::shape::when`].
const LEASE: Duration = Duration::from_millis(30_005);

/// One history on its way.
pub(super) struct Drive<'a> {
    t: &'a Fixture,
    model: Model,
    /// Every id that was ever named, in the order of naming.
    ids: Vec<JobId>,
    /// Every lease that was ever granted.
    leases: Vec<Lease>,
    /// Every end that was ever sent.
    sent: Vec<FinishItem>,
    slots: [Option<WorkerId>; SLOTS],
    stale_finishes: u64,
}

impl<'a> Drive<'a> {
    /// Begins on a store without jobs.
    pub(super) fn new(t: &'a Fixture) -> Self {
        let stale_finishes = t.stats().stale_finishes;
        Self {
            t,
            model: Model::default(),
            ids: Vec::new(),
            leases: Vec::new(),
            sent: Vec::new(),
            slots: [None; SLOTS],
            stale_finishes,
        }
    }

    /// Does one step to both and compares.
    pub(super) fn step(&mut self, op: &Op) {
        match op {
            Op::Enqueue(shapes) => self.enqueue(shapes),
            Op::Register { slot, second_kind } => self.register(*slot, *second_kind),
            Op::Fetch(shape) => self.fetch(shape),
            Op::FetchAgain(pick) => self.fetch_again(*pick),
            Op::Finish { items, then_fetch } => self.finish(items, then_fetch.as_ref()),
            Op::Record(target, percent) => self.record(*target, *percent),
            Op::Renew { slot, forget } => self.renew(*slot, *forget),
            Op::Retire { slot } => self.retire(*slot),
            Op::Verb(verb, picks) => self.act(*verb, picks),
            Op::Update(picks, patch) => {
                let now = self.t.now();
                let expected = self.verdicts(picks, |model, id| model.update(id, patch, now));
                let request = VerbRequest::ids(expected.iter().map(|(id, _)| *id).collect());
                let reply = self.t.must(|backend, call| backend.update(call, request, patch.clone()));
                assert_eq!(reply.jobs, expected);
            }
            Op::Pause(second) => self.pause(*second),
            Op::Resume(second) => {
                self.t.resume(queue(*second).as_str());
                self.model.paused.retain(|paused| *paused != queue(*second));
            }
            Op::Advance(by) => self.t.advance(*by),
            Op::Promote => assert_eq!(self.t.promote().done, self.model.promote(self.t.now())),
            Op::Rescue => self.rescue(),
            Op::Prune => assert_eq!(self.t.prune().done, self.model.prune(self.t.now())),
            Op::Audit => {
                let reply = self.t.must(|backend, call| backend.audit(call, None, ALL));
                assert!(reply.repaired.is_empty(), "the audit found jobs in no place: {reply:?}");
            }
            Op::List { filter, newest_first, limit } => self.list(filter, *newest_first, *limit),
            Op::Count { filter, cap } => self.count(filter, *cap),
            Op::Workers => self.workers(),
        }
        compare(self.t, &mut self.model, &self.ids, self.stale_finishes);
    }

    /// Compares what only the end shows, and leaves the store as empty as it was.
    pub(super) fn end(self) {
        compare_runs(self.t, &self.model);
        for worker in self.t.workers() {
            self.t.retire(worker.id);
        }
        for paused in &self.model.paused {
            self.t.resume(paused.as_str());
        }
        let all = JobFilter::new();
        self.t.everywhere(&all, ALL, |t, request| t.must(|backend, call| backend.delete(call, request)));
        assert_eq!(self.t.count(all), 0, "a job is left that no verb reaches");
    }

    /// A job of this shape, with a new id or one that is there.
    fn new_job(&mut self, shape: &JobShape) -> NewJob {
        let there: Vec<JobId> = self.model.jobs.keys().copied().collect();
        let id = shape.repeat.and_then(|pick| pick.of(&there)).unwrap_or_else(|| {
            let id = self.t.next_id();
            self.ids.push(id);
            id
        });
        NewJob::new(id, shape.spec()).when(shape.when())
    }

    fn enqueue(&mut self, shapes: &[JobShape]) {
        let jobs: Vec<NewJob> = shapes.iter().map(|shape| self.new_job(shape)).collect();
        let now = self.t.now();
        let expected: Vec<Enqueued> = jobs.iter().map(|job| self.model.enqueue(job.clone(), now)).collect();
        assert_eq!(self.t.enqueue(jobs), expected);
    }

    fn register(&mut self, slot: usize, second_kind: bool) {
        let now = self.t.now();
        let alive = self.slots[slot].filter(|worker| self.model.is_alive(*worker, now));
        let worker = alive.unwrap_or_else(WorkerId::random);
        let mut registration = self.t.registration(worker);
        registration.lease = LEASE;
        registration.queues = vec![queue(false), queue(true)];
        registration.kinds = vec![kind(second_kind)];
        self.model.register(worker, registration.kinds.clone(), LEASE, now);
        self.slots[slot] = Some(worker);
        self.t.register(registration);
    }

    /// The worker of a slot; one that nobody knows where there is none.
    fn worker(&self, slot: usize) -> WorkerId {
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

    fn fetch(&mut self, shape: &FetchShape) {
        let (worker, claim, wants) = (self.worker(shape.slot), self.t.next_claim(), Self::wants(shape));
        let reply = self.t.try_fetch(FetchRequest::new(worker, claim, wants.clone()));
        if let Some(reply) = self.alive_or_gone(worker, reply) {
            self.fetched(worker, claim, &wants, reply);
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
    fn fetched(&mut self, worker: WorkerId, claim: ClaimId, wants: &[QueueWant], reply: FetchReply) {
        let left = self.model.workers[&worker].expires_at().since(self.t.now());
        assert_eq!(reply.lease_expires_in, left, "how long the leases hold");
        let queues: Vec<_> = reply.queues.iter().map(|state| &state.queue).collect();
        assert_eq!(queues, wants.iter().map(|want| &want.queue).collect::<Vec<_>>());
        let mut given = Vec::new();
        for (want, state) in wants.iter().zip(&reply.queues) {
            let fetchable = self.model.fetchable(want);
            let expected: Vec<JobId> = fetchable.iter().copied().take(want.max).collect();
            let jobs: Vec<_> = reply.jobs.iter().filter(|job| job.spec.queue == want.queue).collect();
            let ids: Vec<JobId> = jobs.iter().map(|job| job.lease.job).collect();
            assert_eq!(ids, expected, "what queue {} gives", want.queue);
            assert_eq!(state.paused, self.model.paused.contains(&want.queue));
            let drained = fetchable.len() == expected.len();
            assert!(drained || !state.exhausted, "queue {} has more", want.queue);
            let short = ids.len() < want.max && !state.paused;
            assert!(state.exhausted || !short, "queue {} has nothing more", want.queue);
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

    fn assert_fetched(&self, job: &FetchedJob) {
        let known = &self.model.jobs[&job.lease.job];
        assert_eq!(job.lease.run, known.run, "the run of the lease");
        let said = (job.attempt, job.crashes, job.run_at, &*job.spec);
        assert_eq!(said, (known.attempt, known.crashes, known.run_at(), &known.spec));
    }

    /// Repeats the fetch of a claim that still has a running job.
    fn fetch_again(&self, pick: Pick) {
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
            _ => {}
        }
        item.effects = shape.effects.iter().map(|effect| self.new_job(effect)).collect();
        Some(item)
    }

    fn finish(&mut self, shapes: &[FinishShape], then_fetch: Option<&FetchShape>) {
        let items: Vec<FinishItem> = shapes.iter().filter_map(|shape| self.item(shape)).collect();
        self.sent.extend(items.iter().cloned());
        let now = self.t.now();
        let mut request = FinishRequest::new(items.clone());
        let fetch = then_fetch.filter(|shape| self.model.is_alive(self.worker(shape.slot), now));
        request.then_fetch = fetch
            .map(|shape| FetchRequest::new(self.worker(shape.slot), self.t.next_claim(), Self::wants(shape)));
        let wish = request.then_fetch.clone();
        let reply = self.t.finish_request(request);
        for (item, answer) in items.into_iter().zip(&reply.items) {
            let allowed = self.model.finish(item, now);
            assert!(allowed.contains(answer), "the finish answers {answer:?}, not {allowed:?}");
            self.stale_finishes += u64::from(matches!(answer, Finished::LeaseLost { .. }));
        }
        assert_eq!(reply.fetched.is_some(), wish.is_some(), "whether the fetch behind a finish was done");
        if let (Some(wish), Some(fetched)) = (wish, reply.fetched) {
            self.fetched(wish.worker, wish.claim, &wish.queues, fetched);
        }
    }

    fn record(&mut self, target: Target, percent: u8) {
        let Some(lease) = self.target(target) else { return };
        let mut request = RecordRequest::new(lease.clone());
        request.progress = Some(percent);
        let expected = if self.model.holds(&lease) {
            self.model.job(lease.job).progress = Some(percent);
            Recorded::Accepted
        } else {
            Recorded::LeaseLost
        };
        assert_eq!(self.t.record(request), expected);
    }

    fn renew(&mut self, slot: usize, forget: Option<Pick>) {
        let (worker, now) = (self.worker(slot), self.t.now());
        let open = self.model.open_claims(worker);
        let forgotten = forget.and_then(|pick| pick.of(&open));
        let lost: Vec<ClaimId> = self
            .model
            .given_back
            .iter()
            .filter(|(other, _)| *other == worker)
            .map(|(_, claim)| *claim)
            .collect();
        let kept = open.iter().copied().filter(|claim| Some(*claim) != forgotten);
        let known = kept.chain(lost.iter().copied()).collect();
        let request = gristmill_core::RenewRequest::new(worker, known);
        let reply = self.t.ask(|backend, call| backend.renew(call, request));
        let Some(mut reply) = self.alive_or_gone(worker, reply) else { return };
        let forgotten = Vec::from_iter(forgotten);
        self.model.give_back(worker, &forgotten, now);
        self.model.given_back.extend(forgotten.iter().map(|claim| (worker, *claim)));
        self.model.workers.get_mut(&worker).expect("it is alive").heartbeat_at = now;
        reply.lost.sort_unstable();
        assert_eq!((reply.expires_in, reply.given_back, reply.lost), (LEASE, forgotten, lost));
        let mut cancels: Vec<_> = self
            .model
            .running(worker)
            .filter(|(job, _)| job.cancel_requested)
            .map(|(job, _)| (job.id, job.run))
            .collect();
        (cancels.sort_unstable(), reply.cancels.sort_unstable());
        assert_eq!(reply.cancels, cancels, "the cancels the worker learns of");
        let mut paused = self.model.paused.clone();
        (paused.sort(), reply.paused.sort());
        assert_eq!(reply.paused, paused, "the paused queues the worker learns of");
    }

    fn retire(&mut self, slot: usize) {
        let Some(worker) = self.slots[slot].take() else { return };
        self.t.retire(worker);
        if self.model.workers.contains_key(&worker) {
            let open = self.model.open_claims(worker);
            self.model.give_back(worker, &open, self.t.now());
            self.model.workers.remove(&worker);
        }
    }

    /// The verdicts the model gives on the chosen jobs, one after the other.
    fn verdicts(
        &mut self,
        picks: &[Pick],
        act: impl Fn(&mut Model, JobId) -> Verdict,
    ) -> Vec<(JobId, Verdict)> {
        let ids: Vec<JobId> = picks.iter().filter_map(|pick| pick.of(&self.ids)).collect();
        ids.into_iter().map(|id| (id, act(&mut self.model, id))).collect()
    }

    fn act(&mut self, verb: Verb, picks: &[Pick]) {
        let now = self.t.now();
        let expected = self.verdicts(picks, |model, id| model.act(verb, id, now));
        let request = VerbRequest::ids(expected.iter().map(|(id, _)| *id).collect());
        let reply: VerbReply = self.t.must(|backend, call| match verb {
            Verb::Cancel => backend.cancel(call, request),
            Verb::Retry => backend.retry(call, request),
            Verb::Delete => backend.delete(call, request),
            _ => backend.release_hold(call, request),
        });
        assert_eq!(reply.jobs, expected);
    }

    fn pause(&mut self, second: bool) {
        self.t.pause(queue(second).as_str());
        if !self.model.paused.contains(&queue(second)) {
            self.model.paused.push(queue(second));
        }
    }

    fn rescue(&mut self) {
        let reply = self.t.rescue();
        let mut rescued: Vec<_> = reply.jobs.iter().map(|job| (job.id, job.state)).collect();
        rescued.sort();
        assert_eq!(rescued, self.model.rescue(self.t.now()), "the rescued jobs");
        assert!(!reply.more, "a round without a bound is the last one");
        let next = self.model.workers.values().map(super::state::Worker::expires_at).min();
        assert_eq!(reply.next_due, next, "when the next lease ends");
    }

    /// The ids of the jobs that match, by the model's own reading of the filter.
    fn matching(&self, filter: &JobFilter) -> Vec<JobId> {
        let matches = |job: &&super::state::Job| {
            (filter.states.is_empty() || filter.states.contains(&job.state))
                && (filter.queues.is_empty() || filter.queues.contains(&job.spec.queue))
                && (filter.kinds.is_empty() || filter.kinds.contains(&job.spec.kind))
        };
        self.model.jobs.values().filter(matches).map(|job| job.id).collect()
    }

    fn list(&self, filter: &JobFilter, newest_first: bool, limit: usize) {
        let mut expected = self.matching(filter);
        let order = if newest_first { Order::NewestFirst } else { Order::OldestFirst };
        if newest_first {
            expected.reverse();
        }
        assert_eq!(self.t.list(filter, order, limit), expected, "the list");
    }

    fn count(&self, filter: &JobFilter, cap: u64) {
        let expected = self.matching(filter).len() as u64;
        assert_eq!(self.t.count(filter.clone()), expected, "the count");
        let count = self.t.count_up_to(filter.clone(), cap);
        assert_eq!(count.value, expected.min(cap), "the count up to {cap}");
        assert!(count.capped == (expected > cap) || expected == cap, "whether {expected} is capped at {cap}");
    }

    fn workers(&self) {
        let mut seen = self.t.workers();
        seen.sort_by_key(|record| record.id);
        assert_eq!(seen.len(), self.model.workers.len(), "the workers {seen:?}");
        for (record, (id, known)) in seen.iter().zip(&self.model.workers) {
            assert_eq!((record.id, &record.kinds), (*id, &known.kinds));
            let times = (record.started_at, record.heartbeat_at, record.lease_expires_at);
            assert_eq!(times, (known.started_at, known.heartbeat_at, known.expires_at()), "worker {id}");
            assert_eq!(record.running, self.model.running(*id).count() as u64, "what worker {id} runs");
        }
        let queues = self.t.must(|backend, call| backend.list_queues(call));
        for paused in &self.model.paused {
            let found = queues.iter().find(|queue| queue.name == name(paused.as_str()));
            assert!(found.is_some_and(gristmill_core::QueueRecord::is_paused), "queue {paused}");
        }
    }
}
