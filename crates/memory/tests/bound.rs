//! The bound counts what would be stored, through every door.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{
    Args, Backend, BackendErrorKind, Call, Certainty, EnqueueRequest, Enqueued, ExistingBy, FetchRequest,
    FetchedJob, FinishItem, FinishRequest, IdSource, JobSpec, ManualClock, Name, NewJob, QueueWant,
    RegisterWorker, Retention, Timestamp, UniqueKey, WorkerId,
};
use gristmill_memory::Memory;
use gristmill_testkit::block_on;

struct Bounded {
    store: Memory,
    ids: IdSource,
    worker: WorkerId,
}

impl Bounded {
    fn new(max_jobs: usize) -> Self {
        let store = Memory::bounded(Arc::new(ManualClock::new(Timestamp::EPOCH)), max_jobs);
        let worker = WorkerId::random();
        let registration = RegisterWorker::new(worker, "test", Duration::from_secs(30));
        block_on(store.register_worker(Call::new(), registration)).expect("a worker registers");
        Self { store, ids: IdSource::new(), worker }
    }

    fn job(&self) -> NewJob {
        let name = |text| Name::new(text).expect("a name");
        NewJob::new(self.ids.next(Timestamp::EPOCH), JobSpec::new(name("work"), name("line"), Args::empty()))
    }

    fn keyed(&self) -> NewJob {
        let mut job = self.job();
        job.spec.unique_key = Some(UniqueKey::new("key").expect("a key"));
        job
    }

    fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, BackendErrorKind> {
        let reply = block_on(self.store.enqueue(Call::new(), EnqueueRequest::new(jobs)));
        reply.map(|reply| reply.jobs).map_err(|error| error.kind())
    }

    fn fetch(&self, claim: u64) -> Vec<FetchedJob> {
        let want = QueueWant::new(Name::new("line").expect("a name"), 10);
        let request = FetchRequest::new(self.worker, gristmill_core::ClaimId(claim), vec![want]);
        block_on(self.store.fetch(Call::new(), request)).expect("a fetch").jobs
    }

    fn complete(&self, job: &FetchedJob, effects: Vec<NewJob>) -> Result<(), (BackendErrorKind, Certainty)> {
        let mut item = FinishItem::complete(job.lease.clone());
        item.effects = effects;
        let finished = block_on(self.store.finish(Call::new(), FinishRequest::new(vec![item])));
        finished.map(drop).map_err(|error| (error.kind(), error.certainty()))
    }
}

#[test]
fn what_stores_nothing_is_taken_by_a_full_store() {
    let full = Bounded::new(1);
    let job = full.keyed();
    let id = job.id;
    assert_eq!(
        full.enqueue(vec![job.clone(), job.clone()]),
        Ok(vec![Enqueued::Created, existing(id, ExistingBy::Id)])
    );
    assert_eq!(full.enqueue(vec![job]), Ok(vec![existing(id, ExistingBy::Id)]));
    assert_eq!(full.enqueue(vec![full.keyed()]), Ok(vec![existing(id, ExistingBy::UniqueKey)]));
    assert_eq!(full.enqueue(vec![full.job()]), Err(BackendErrorKind::Full));
    assert_eq!(full.enqueue(vec![full.keyed(), full.job()]), Err(BackendErrorKind::Full));
}

const fn existing(id: gristmill_core::JobId, by: ExistingBy) -> Enqueued {
    Enqueued::Existing { id, by }
}

#[test]
fn two_jobs_of_one_key_take_one_place() {
    let store = Bounded::new(1);
    let first = store.keyed();
    let id = first.id;
    let stored = store.enqueue(vec![first, store.keyed()]);
    assert_eq!(stored, Ok(vec![Enqueued::Created, existing(id, ExistingBy::UniqueKey)]));
}

#[test]
fn follow_ups_are_counted_and_a_run_that_has_no_room_for_them_keeps_its_lease() {
    let store = Bounded::new(1);
    store.enqueue(vec![store.job()]).expect("it is stored");
    let job = store.fetch(1).remove(0);
    let full = Err((BackendErrorKind::Full, Certainty::NotStored));
    assert_eq!(store.complete(&job, vec![store.job()]), full);
    assert_eq!(store.complete(&job, Vec::new()), Ok(()));
}

#[test]
fn the_largest_bound_is_none() {
    let store = Bounded::new(usize::MAX);
    let mut job = store.job();
    job.spec.retention = Some(Box::new(Retention::all(Duration::ZERO)));
    store.enqueue(vec![job]).expect("it is stored");
    let job = store.fetch(1).remove(0);
    assert_eq!(store.complete(&job, vec![store.job()]), Ok(()));
}

#[test]
fn a_chain_of_jobs_that_are_not_kept_needs_one_place() {
    let store = Bounded::new(1);
    let unkept = || {
        let mut job = store.job();
        job.spec.retention = Some(Box::new(Retention::all(Duration::ZERO)));
        job
    };
    store.enqueue(vec![unkept()]).expect("it is stored");
    for claim in 1..5 {
        let job = store.fetch(claim).remove(0);
        assert_eq!(store.complete(&job, vec![unkept()]), Ok(()));
    }
    assert_eq!(store.fetch(5).len(), 1);
}
