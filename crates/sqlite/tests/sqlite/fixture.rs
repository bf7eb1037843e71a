//! A file in a folder of its own, and short verbs.

use std::path::PathBuf;
use std::time::Duration;

use gristmill_core::{
    Args, Backend, BackendError, Call, ClaimId, Clock, EnqueueReply, EnqueueRequest, FetchRequest,
    FetchedJob, FinishItem, FinishRequest, Finished, IdSource, JobFilter, JobSpec, Name, NewJob, QueueWant,
    RegisterWorker, SystemClock, WorkerId,
};
use gristmill_sqlite::{Sqlite, SqliteBuilder, Synchronous};
use gristmill_testkit::block_on;
use rusqlite::Connection;
use tempfile::TempDir;

pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_millis(300);
pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) struct File {
    folder: TempDir,
    ids: IdSource,
}

impl File {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), ids: IdSource::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    pub(crate) fn options(&self) -> SqliteBuilder {
        Sqlite::builder(self.path()).synchronous(Synchronous::Off).busy_timeout(BUSY_TIMEOUT)
    }

    pub(crate) fn open(&self) -> Sqlite {
        self.options().open().expect("the file opens")
    }

    /// A connection past the backend.
    pub(crate) fn raw(&self) -> Connection {
        let connection = Connection::open(self.path()).expect("the file opens");
        connection.busy_timeout(Duration::from_secs(10)).expect("it is set");
        connection
    }

    pub(crate) fn job(&self) -> NewJob {
        let args = Args::from_json("{}").expect("it is JSON");
        NewJob::new(self.ids.next(SystemClock.now()), JobSpec::new(name("work"), name("line"), args))
    }

    pub(crate) fn jobs(&self, count: usize) -> Vec<NewJob> {
        (0..count).map(|_| self.job()).collect()
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("it is a name")
}

pub(crate) fn enqueue(backend: &Sqlite, jobs: Vec<NewJob>) -> Result<EnqueueReply, BackendError> {
    block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs)))
}

pub(crate) fn register(backend: &Sqlite) -> WorkerId {
    register_for(backend, &[])
}

/// A worker with handlers for these kinds; without any it takes every job.
pub(crate) fn register_for(backend: &Sqlite, kinds: &[&str]) -> WorkerId {
    let worker = WorkerId::random();
    let mut request = RegisterWorker::new(worker, "test", LEASE);
    request.kinds = kinds.iter().map(|kind| name(kind)).collect();
    block_on(backend.register_worker(Call::new(), request)).expect("a worker registers");
    worker
}

pub(crate) fn fetch(backend: &Sqlite, worker: WorkerId, claim: u64, max: usize) -> Vec<FetchedJob> {
    let wants = vec![QueueWant::new(name("line"), max)];
    let request = FetchRequest::new(worker, ClaimId(claim), wants);
    block_on(backend.fetch(Call::new(), request)).expect("a worker that lives fetches").jobs
}

pub(crate) fn complete(backend: &Sqlite, jobs: Vec<FetchedJob>) -> Vec<Finished> {
    let items = jobs.into_iter().map(|job| FinishItem::complete(job.lease)).collect();
    block_on(backend.finish(Call::new(), FinishRequest::new(items))).expect("a finish is answered").items
}

pub(crate) fn count(backend: &Sqlite, filter: JobFilter) -> u64 {
    block_on(backend.count(Call::new(), filter, None)).expect("a count is answered").value
}
