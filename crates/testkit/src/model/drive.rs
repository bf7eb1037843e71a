//! Does one history to a backend and to the model.

mod lease;

use std::time::Duration;

use gristmill_core::{
    Enqueued, FinishItem, JobFilter, JobId, Lease, NewJob, Order, Verb, VerbReply, VerbRequest, Verdict,
    WorkerId,
};

use super::compare::{compare, compare_runs};
use super::op::{Op, SLOTS};
use super::shape::{JobShape, Pick, kind, queue};
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
    /// Begins on a store without jobs, with a worker in the first slot.
    pub(super) fn new(t: &'a Fixture) -> Self {
        let stale_finishes = t.stats().stale_finishes;
        let mut drive = Self {
            t,
            model: Model::default(),
            ids: Vec::new(),
            leases: Vec::new(),
            sent: Vec::new(),
            slots: [None; SLOTS],
            stale_finishes,
        };
        drive.register(0, false);
        drive
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
