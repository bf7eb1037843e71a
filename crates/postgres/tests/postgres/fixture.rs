//! A schema of its own on the shared server, and short verbs.

use std::sync::OnceLock;
use std::time::Duration;

use gristmill_core::{
    Args, Backend, Call, ClaimId, Clock, EnqueueRequest, FetchRequest, FetchedJob, FinishItem, FinishRequest,
    Finished, IdSource, JobFilter, JobId, JobSpec, MigrateMode, Name, NewJob, QueueWant, RegisterWorker,
    SystemClock, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;
use tokio::runtime::Runtime;

use crate::faults::site::until;

pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// A schema; each handle on it stands for a process.
pub(crate) struct Schema {
    pub(crate) name: String,
    url: String,
    ids: IdSource,
}

impl Schema {
    pub(crate) fn new() -> Self {
        Self::at(Server::shared().url())
    }

    /// In a database of its own, whose numbers are those of its handles alone.
    pub(crate) fn alone() -> Self {
        Self::at(&Server::shared().fresh_database())
    }

    fn at(url: &str) -> Self {
        let name = Server::shared().fresh_schema_name();
        let schema = Self { name, url: url.to_owned(), ids: IdSource::new() };
        block_on(schema.open().migrate(Call::new(), MigrateMode::Up)).expect("the schema is made");
        schema
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn open(&self) -> Postgres {
        self.open_at(&self.url)
    }

    /// A handle with one connection for work, which heartbeats have a second one beside.
    pub(crate) fn open_narrow(&self) -> Postgres {
        let _runtime = runtime().enter();
        let builder = Postgres::builder(&self.url).expect("the server's URL parses");
        builder.schema(&self.name).connections(3).open().expect("the settings hold")
    }

    /// A handle whose calls wait for a lock without a break, so that the one that came first has it first.
    pub(crate) fn open_patient(&self) -> Postgres {
        self.open_at(&format!("{}?options=-c%20lock_timeout%3D30s", self.url))
    }

    fn open_at(&self, url: &str) -> Postgres {
        let _runtime = runtime().enter();
        let builder = Postgres::builder(url).expect("the server's URL parses");
        builder.schema(&self.name).connections(9).handler_connections(2).open().expect("the settings hold")
    }

    #[track_caller]
    pub(crate) fn assert_no_deadlocks(&self) {
        assert_no_deadlocks(&self.url);
    }

    /// The answer to a statement past the backend; `{schema}` in it is the schema's name.
    pub(crate) fn psql(&self, sql: &str) -> String {
        Server::shared().psql_at(&self.url, &sql.replace("{schema}", &format!("\"{}\"", self.name)))
    }

    pub(crate) fn job(&self) -> NewJob {
        let args = Args::from_json("{}").expect("it is JSON");
        NewJob::new(self.ids.next(SystemClock.now()), JobSpec::new(name("work"), name("line"), args))
    }

    /// Stores so many jobs.
    pub(crate) fn enqueue(&self, backend: &Postgres, count: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..count).map(|_| self.job()).collect();
        let ids = jobs.iter().map(|job| job.id).collect();
        block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs))).expect("they are stored");
        ids
    }
}

/// No transaction was the victim of a deadlock in a database of the test's own. All handles on it were
/// dropped: a session may tell what it counted at its end.
#[track_caller]
pub(crate) fn assert_no_deadlocks(url: &str) {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
        AND backend_type = 'client backend'";
    until("the sessions have ended", || Server::shared().psql_at(url, others) == "0");
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(Server::shared().psql_at(url, deadlocks), "0", "deadlocks");
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("it is a name")
}

pub(crate) fn register(backend: &Postgres) -> WorkerId {
    let worker = WorkerId::random();
    block_on(backend.register_worker(Call::new(), RegisterWorker::new(worker, "test", LEASE)))
        .expect("a worker registers");
    worker
}

/// A request for jobs.
pub(crate) fn wants(worker: WorkerId, claim: u64, max: usize) -> FetchRequest {
    FetchRequest::new(worker, ClaimId(claim), vec![QueueWant::new(name("line"), max)])
}

pub(crate) fn fetch(backend: &Postgres, worker: WorkerId, claim: u64, max: usize) -> Vec<FetchedJob> {
    block_on(backend.fetch(Call::new(), wants(worker, claim, max))).expect("a worker that lives fetches").jobs
}

pub(crate) fn complete(backend: &Postgres, jobs: Vec<FetchedJob>) -> Vec<Finished> {
    let items = jobs.into_iter().map(|job| FinishItem::complete(job.lease)).collect();
    block_on(backend.finish(Call::new(), FinishRequest::new(items))).expect("a finish is answered").items
}

pub(crate) fn count(backend: &Postgres, filter: JobFilter) -> u64 {
    block_on(backend.count(Call::new(), filter, None)).expect("a count is answered").value
}
