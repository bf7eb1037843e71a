//! Does one history to a backend and to the model.

mod lease;
mod look;
mod maintain;
mod register;

use std::time::Duration;

use gristmill_core::{
    Change, Enqueued, FinishItem, JobFilter, JobId, JobPatch, JobState, Lease, NewJob, Stamp, Verb,
    VerbReply, VerbRequest, Verdict, WorkerId,
};

use super::compare::{compare, compare_histories};
use super::op::{Op, SLOTS};
use super::shape::{FilterShape, JobShape, KindsShape, Pick, queue};
use super::state::{ACTOR, Job, Model};
use crate::Fixture;
use crate::fixture::act::ALL;

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
    /// Every call of changes that was ever sent, and every stamp in it.
    committed: Vec<Vec<Change>>,
    stamps: Vec<Stamp>,
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
            committed: Vec::new(),
            stamps: Vec::new(),
            slots: [None; SLOTS],
            stale_finishes,
        };
        drive.register(0, KindsShape::Every);
        drive
    }

    /// Does one step to both and compares.
    pub(super) fn step(&mut self, op: &Op) {
        match op {
            Op::Enqueue(shapes) => self.enqueue(shapes),
            Op::Register { slot, kinds } => self.register(*slot, *kinds),
            Op::Fetch(shape) => self.fetch(shape),
            Op::FetchAgain(pick) => self.fetch_again(*pick),
            Op::Finish(items) => self.finish(items),
            Op::Record(target, shape) => self.record(*target, *shape),
            Op::Renew { slot, forget } => self.renew(*slot, *forget),
            Op::Retire { slot } => self.retire(*slot),
            Op::Verb(verb, picks) => self.act(*verb, picks),
            Op::Everywhere { verb, filter, limit } => self.act_everywhere(*verb, filter, *limit),
            Op::Update(picks, patch) => self.update(picks, patch),
            Op::Pause(second) => self.pause(*second),
            Op::Resume(second) => {
                self.t.resume(queue(*second).as_str());
                self.model.paused.retain(|paused| *paused != queue(*second));
            }
            Op::Advance(by) => self.t.advance(*by),
            Op::GoBack(by) => self.t.go_back(*by),
            Op::Promote { limit } => self.promote(*limit),
            Op::Rescue { limit } => self.rescue(*limit),
            Op::Prune { limit } => self.prune(*limit),
            Op::Audit => {
                let reply = self.t.must(|backend, call| backend.audit(call, None, ALL));
                assert!(reply.repaired.is_empty(), "the audit found jobs in no place: {reply:?}");
            }
            Op::List { filter, newest_first, limit } => self.list(filter, *newest_first, *limit),
            Op::Count { filter, cap } => self.count(filter, *cap),
            Op::Workers => self.workers(),
            Op::Commit(shapes) => self.commit(shapes),
            Op::CommitAgain(pick) => self.commit_again(*pick),
        }
        compare(self.t, &mut self.model, &self.ids, self.stale_finishes);
        self.compare_registers();
    }

    /// Compares what only the end shows, and leaves the store as empty as it was.
    pub(super) fn end(self) {
        compare_histories(self.t, &self.model, &self.ids);
        self.delete_registers();
        // A rescue frees the jobs of dead workers, since no living worker can retire for them.
        self.t.rescue();
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

    /// A job of this shape, with a new id or one that is there and stays: a running job may be deleted by the
    /// finish that stores this one, and an old id that is stored anew has no place in the order of ids.
    fn new_job(&mut self, shape: &JobShape) -> NewJob {
        let stays = |job: &&Job| job.state != JobState::Running;
        let there: Vec<JobId> = self.model.jobs.values().filter(stays).map(|job| job.id).collect();
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

    fn register(&mut self, slot: usize, kinds: KindsShape) {
        let now = self.t.now();
        let alive = self.slots[slot].filter(|worker| self.model.is_alive(*worker, now));
        let worker = alive.unwrap_or_else(WorkerId::random);
        let mut registration = self.t.registration(worker);
        registration.lease = LEASE;
        registration.queues = vec![queue(false), queue(true)];
        registration.kinds = kinds.names();
        self.model.register(worker, registration.kinds.clone(), LEASE, now);
        self.slots[slot] = Some(worker);
        self.t.register(registration);
    }

    fn retire(&mut self, slot: usize) {
        let Some(worker) = self.slots[slot].take() else { return };
        self.t.retire(worker);
        let open = self.model.open_claims(worker);
        self.model.give_back(worker, &open, self.t.now());
        self.model.workers.remove(&worker);
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
        let request = VerbRequest::ids(expected.iter().map(|(id, _)| *id).collect()).by(ACTOR);
        assert_eq!(ask(self.t, verb, request).jobs, expected);
        self.note_acts(verb, &expected);
    }

    fn act_everywhere(&mut self, verb: Verb, filter: &FilterShape, limit: usize) {
        let (now, filter) = (self.t.now(), self.filter(filter));
        let ids = self.matching(&filter);
        let expected: Vec<_> = ids.into_iter().map(|id| (id, self.model.act(verb, id, now))).collect();
        let verdicts = self.t.everywhere(&filter, limit, |t, request| ask(t, verb, request.by(ACTOR)));
        assert_eq!(verdicts, expected, "the verdicts on all that match");
        self.note_acts(verb, &expected);
    }

    fn update(&mut self, picks: &[Pick], patch: &JobPatch) {
        let now = self.t.now();
        let expected = self.verdicts(picks, |model, id| model.update(id, patch, now));
        let request = VerbRequest::ids(expected.iter().map(|(id, _)| *id).collect()).by(ACTOR);
        let reply = self.t.must(|backend, call| backend.update(call, request, patch.clone()));
        assert_eq!(reply.jobs, expected);
        self.note_acts(Verb::Update, &expected);
    }

    fn note_acts(&mut self, verb: Verb, verdicts: &[(JobId, Verdict)]) {
        for (id, verdict) in verdicts {
            self.model.note_act(*id, verb, verdict, self.t.now());
        }
    }

    fn pause(&mut self, second: bool) {
        self.t.pause(queue(second).as_str());
        if !self.model.paused.contains(&queue(second)) {
            self.model.paused.push(queue(second));
        }
    }
}

fn ask(t: &Fixture, verb: Verb, request: VerbRequest) -> VerbReply {
    t.must(|backend, call| match verb {
        Verb::Cancel => backend.cancel(call, request),
        Verb::Retry => backend.retry(call, request),
        Verb::Delete => backend.delete(call, request),
        Verb::ReleaseHold => backend.release_hold(call, request),
        Verb::Update => panic!("an update has a patch"),
    })
}
