//! Two files with the same history, but that one has it from the outbox and the other from the backend.

use gristmill_core::{
    Backend, Call, ClaimId, Clock, EnqueueRequest, FetchRequest, FetchedJob, FinishItem, FinishRequest,
    Finished, JobId, JobPatch, NewJob, QueueWant, RegisterWorker, SystemClock, Timestamp, VerbRequest,
    Verdict, WorkerId,
};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;
use rusqlite::Connection;
use serde_json::Value;

use super::answer::{CANCEL, ENQUEUE, UPDATE, enqueued, send, verdicts};
use super::equal::{assert_equal, content};
use super::request;
use crate::fixture::{File, LEASE, name};

pub(crate) struct Side {
    pub(crate) file: File,
    pub(crate) backend: Sqlite,
    pub(crate) raw: Connection,
}

impl Side {
    pub(crate) fn new() -> Self {
        let file = File::new();
        let backend = file.open();
        let raw = file.raw();
        Self { file, backend, raw }
    }
}

pub(crate) struct Twins {
    pub(crate) outbox: Side,
    pub(crate) backend: Side,
    pub(crate) now: Timestamp,
    pub(crate) worker: WorkerId,
    claims: u64,
}

impl Twins {
    pub(crate) fn new() -> Self {
        let now = SystemClock.now();
        let twins =
            Self { outbox: Side::new(), backend: Side::new(), now, worker: WorkerId::random(), claims: 0 };
        for side in [&twins.outbox, &twins.backend] {
            let request = RegisterWorker::new(twins.worker, "test", LEASE * 100);
            block_on(side.backend.register_worker(Call::at(now), request)).expect("a worker registers");
        }
        twins
    }

    /// Stores jobs in both, the same way in each; what the outbox said.
    pub(crate) fn enqueue(&mut self, jobs: &[NewJob]) -> Vec<gristmill_core::Enqueued> {
        let (now, answers) = enqueued(&send(&self.outbox.raw, ENQUEUE, &request::enqueue(jobs)));
        self.now = now;
        let reply = self.backend.backend.enqueue(Call::at(now), EnqueueRequest::new(jobs.to_vec()));
        assert_eq!(answers, block_on(reply).expect("they are stored").jobs, "{jobs:?}");
        self.assert_equal("an enqueue");
        answers
    }

    pub(crate) fn cancel(&mut self, ids: &[JobId], actor: Option<&str>) -> Vec<Verdict> {
        let told = verdicts(&send(&self.outbox.raw, CANCEL, &request::cancel(ids, actor)));
        self.now = self.now_of_latest_event();
        let reply = self.backend.backend.cancel(Call::at(self.now), verb(ids, actor));
        let reply = block_on(reply).expect("it is answered");
        assert_eq!(told, reply.jobs.into_iter().map(|(_, verdict)| verdict).collect::<Vec<_>>(), "{ids:?}");
        self.assert_equal("a cancel");
        told
    }

    pub(crate) fn update(&mut self, ids: &[JobId], actor: Option<&str>, patch: &JobPatch) -> Vec<Verdict> {
        let told = verdicts(&send(&self.outbox.raw, UPDATE, &request::update(ids, actor, patch)));
        self.now = self.now_of_latest_event();
        let reply = self.backend.backend.update(Call::at(self.now), verb(ids, actor), patch.clone());
        let reply = block_on(reply).expect("it is answered");
        assert_eq!(told, reply.jobs.into_iter().map(|(_, verdict)| verdict).collect::<Vec<_>>(), "{patch:?}");
        self.assert_equal("an update");
        told
    }

    /// Fetches the same jobs in both; each side has leases of its own.
    pub(crate) fn fetch(&mut self, max: usize) -> Vec<(FetchedJob, FetchedJob)> {
        self.claims += 1;
        let fetch = |side: &Side| {
            let wants = vec![QueueWant::new(name("line"), max)];
            let request = FetchRequest::new(self.worker, ClaimId(self.claims), wants);
            block_on(side.backend.fetch(Call::at(self.now), request))
                .expect("a worker that lives fetches")
                .jobs
        };
        let (of_outbox, of_backend) = (fetch(&self.outbox), fetch(&self.backend));
        self.assert_equal("a fetch");
        of_outbox.into_iter().zip(of_backend).collect()
    }

    /// Ends a run in both.
    pub(crate) fn finish(
        &self,
        (of_outbox, of_backend): (FetchedJob, FetchedJob),
        end: impl Fn(FetchedJob) -> FinishItem,
    ) -> Finished {
        let finish = |side: &Side, job| {
            let reply = side.backend.finish(Call::at(self.now), FinishRequest::new(vec![end(job)]));
            block_on(reply).expect("a finish is answered").items.remove(0)
        };
        let finished = finish(&self.outbox, of_outbox);
        assert_eq!(finished, finish(&self.backend, of_backend));
        self.assert_equal("a finish");
        finished
    }

    pub(crate) fn get(&self, id: JobId) -> Value {
        send(&self.outbox.raw, super::answer::GET, &request::ids(&[id]))["jobs"][0].take()
    }

    pub(crate) fn assert_equal(&self, after: &str) {
        assert_equal(&content(&self.outbox.raw), &content(&self.backend.raw), after);
    }

    /// When the outbox says that it has just changed a job; a request that changed none has no time.
    fn now_of_latest_event(&self) -> Timestamp {
        let latest = "SELECT max(coalesce((SELECT max(at) FROM events), 0), coalesce((SELECT max(finished_at) FROM ended), 0))";
        let at = self.outbox.raw.query_row(latest, [], |row| row.get(0)).expect("one row");
        Timestamp::from_millis(at).max(self.now)
    }
}

fn verb(ids: &[JobId], actor: Option<&str>) -> VerbRequest {
    let request = VerbRequest::ids(ids.to_vec());
    match actor {
        Some(actor) => request.by(actor),
        None => request,
    }
}
