//! Two files with the same history, but that one has it from the outbox and the other from the backend.

use std::collections::BTreeSet;

use gristmill_core::{
    Backend, Call, ClaimId, Clock, EnqueueRequest, FetchRequest, FetchedJob, FinishItem, FinishRequest,
    Finished, JobId, JobPatch, NewJob, QueueWant, RegisterWorker, SystemClock, Timestamp, Verb, VerbRequest,
    Verdict, WorkerId,
};
use gristmill_sql::{REQUEST_REFUSED, refusal_detail};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;
use rusqlite::Connection;
use serde_json::Value;

use super::answer::{ENQUEUE, REQUEST, enqueued, send};
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
        let (now, answers) = enqueued(&send(&self.outbox.raw, *ENQUEUE, &request::enqueue(jobs)));
        self.now = now;
        let reply = self.backend.backend.enqueue(Call::at(now), EnqueueRequest::new(jobs.to_vec()));
        assert_eq!(answers, block_on(reply).expect("they are stored").jobs, "{jobs:?}");
        self.assert_equal("an enqueue");
        answers
    }

    pub(crate) fn cancel(&mut self, ids: &[JobId], actor: Option<&str>) -> Vec<Verdict> {
        self.act(Verb::Cancel, ids, actor, None)
    }

    pub(crate) fn delete(&mut self, ids: &[JobId], actor: Option<&str>) -> Vec<Verdict> {
        self.act(Verb::Delete, ids, actor, None)
    }

    pub(crate) fn update(&mut self, ids: &[JobId], actor: Option<&str>, patch: &JobPatch) -> Vec<Verdict> {
        self.act(Verb::Update, ids, actor, Some(patch))
    }

    /// Stores requests in one and applies them, and calls the verb of the other at the same instant. Returns
    /// the verdicts.
    fn act(
        &mut self,
        verb: Verb,
        ids: &[JobId],
        actor: Option<&str>,
        patch: Option<&JobPatch>,
    ) -> Vec<Verdict> {
        let before = self.refusals();
        let stored = send(&self.outbox.raw, *REQUEST, &request::request(verb.as_str(), ids, actor, patch));
        assert_eq!(stored["requests"].as_array().map(Vec::len), Some(ids.len()), "{stored}");
        self.now = self.now.max(SystemClock.now());
        let (call, request) = (Call::at(self.now), request_of(ids, actor));
        let reply = match verb {
            Verb::Cancel => block_on(self.backend.backend.cancel(call, request)),
            Verb::Delete => block_on(self.backend.backend.delete(call, request)),
            _ => block_on(self.backend.backend.update(call, request, patch.cloned().unwrap_or_default())),
        };
        for side in [&self.outbox, &self.backend] {
            while block_on(side.backend.promote(call, 1_000)).expect("a round").more {}
        }
        let verdicts: Vec<Verdict> =
            reply.expect("it is answered").jobs.into_iter().map(|(_, verdict)| verdict).collect();
        let mut wanted: Vec<String> =
            verdicts.iter().filter_map(|verdict| refusal_detail(verb, verdict)).collect();
        let mut refused: Vec<String> =
            self.refusals().difference(&before).map(|(.., detail)| detail.clone()).collect();
        // The number of an event is used again when it was the last and its job is gone.
        wanted.sort();
        refused.sort();
        assert_eq!(refused, wanted, "{verb:?}");
        self.assert_equal("a verb");
        verdicts
    }

    /// The events that refused requests left: number, job and detail.
    fn refusals(&self) -> BTreeSet<(i64, i64, String)> {
        let mut select = self
            .outbox
            .raw
            .prepare("SELECT event, seq, detail FROM events WHERE what = ?1")
            .expect("the table is there");
        let rows = select.query_map([REQUEST_REFUSED], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.expect("they are read").collect::<rusqlite::Result<_>>().expect("they are read")
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
        send(&self.outbox.raw, *super::answer::GET, &request::ids(&[id]))["jobs"][0].take()
    }

    pub(crate) fn assert_equal(&self, after: &str) {
        assert_equal(&content(&self.outbox.raw), &content(&self.backend.raw), after);
    }
}

fn request_of(ids: &[JobId], actor: Option<&str>) -> VerbRequest {
    let request = VerbRequest::ids(ids.to_vec());
    match actor {
        Some(actor) => request.by(actor),
        None => request,
    }
}
