//! A store on some server, handles on it that stand for processes, and plain connections of other programs.

use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{Args, Clock as _};
use gristmill_core::{
    Backend, BackendError, BackendErrorKind, Call, Certainty, EnqueueRequest, FinishItem, FinishRequest,
    Finished, IdSource, JobId, JobSpec, MigrateMode, NewJob, RegisterWorker, Reply, SystemClock, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::fixture::{name, runtime};

/// How long a fact may take to come true.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A schema at a URL.
pub(super) struct Site {
    pub(super) url: String,
    pub(super) schema: String,
    ids: IdSource,
}

impl Site {
    /// A schema of its own on the server that all tests share.
    pub(super) fn shared() -> Self {
        Self::at(Server::shared().url())
    }

    /// A schema of its own at a URL.
    pub(super) fn at(url: &str) -> Self {
        let site = Self::empty(url, Server::shared().fresh_schema_name());
        site.migrate();
        site
    }

    /// A schema that is not made yet.
    pub(super) fn empty(url: &str, schema: impl Into<String>) -> Self {
        Self { url: url.to_owned(), schema: schema.into(), ids: IdSource::new() }
    }

    pub(super) fn migrate(&self) {
        block_on(self.open().migrate(Call::new(), MigrateMode::Up)).expect("the schema is made");
    }

    /// Another process.
    pub(super) fn open(&self) -> Postgres {
        self.open_at(&self.url)
    }

    /// Another process whose calls wait for a lock without a break, so that the one that came first has it
    /// first.
    pub(super) fn open_patient(&self) -> Postgres {
        self.open_at(&format!("{}?options=-c%20lock_timeout%3D30s", self.url))
    }

    /// Another process that knows another way to the server.
    pub(super) fn open_at(&self, url: &str) -> Postgres {
        let _runtime = runtime().enter();
        let builder = Postgres::builder(url).expect("the URL parses").schema(&self.schema);
        builder.connections(9).handler_connections(2).open().expect("the settings hold")
    }

    /// A connection past the backend.
    pub(super) fn raw(&self) -> Raw {
        let client = runtime().block_on(async {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.expect("it connects");
            tokio::spawn(connection);
            client
        });
        Raw { client, schema: self.schema.clone() }
    }

    pub(super) fn job(&self) -> NewJob {
        let args = Args::from_json("{}").expect("it is JSON");
        NewJob::new(self.ids.next(SystemClock.now()), JobSpec::new(name("work"), name("line"), args))
    }

    pub(super) fn jobs(&self, count: usize) -> Vec<NewJob> {
        (0..count).map(|_| self.job()).collect()
    }

    pub(super) fn put(&self, backend: &Postgres, count: usize) -> Vec<JobId> {
        let jobs = self.jobs(count);
        let ids = jobs.iter().map(|job| job.id).collect();
        block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs))).expect("they are stored");
        ids
    }
}

/// A plain connection of another program; `{schema}` in its statements is the schema's name.
pub(super) struct Raw {
    client: Client,
    schema: String,
}

impl Raw {
    pub(super) fn run(&self, sql: &str) {
        runtime().block_on(self.client.batch_execute(&self.of_schema(sql))).expect("the statements succeed");
    }

    /// Begins statements whose end may take its time.
    pub(super) fn start(self, sql: &str) -> tokio::task::JoinHandle<Result<(), tokio_postgres::Error>> {
        let sql = self.of_schema(sql);
        runtime().spawn(async move { self.client.batch_execute(&sql).await })
    }

    /// The first column, a row a line.
    pub(super) fn value(&self, sql: &str) -> String {
        let sql = self.of_schema(sql);
        let answer = runtime().block_on(self.client.simple_query(&sql)).expect("the statement succeeds");
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default()),
            _ => None,
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    /// The table's number of rows.
    pub(super) fn rows(&self, table: &str) -> usize {
        self.value(&format!("SELECT count(*) FROM {{schema}}.{table}")).parse().expect("it is a number")
    }

    /// Until so many statements on the schema wait for a lock. In a transaction the server would show its
    /// first look again.
    pub(super) fn wait_for_waiters(&self, count: usize) {
        let waiters = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
            self.schema
        );
        until("statements wait for a lock", || self.value(&waiters) == count.to_string());
    }

    fn of_schema(&self, sql: &str) -> String {
        sql.replace("{schema}", &format!("\"{}\"", self.schema.replace('"', "\"\"")))
    }
}

/// Looks until a fact holds.
#[track_caller]
pub(crate) fn until(fact: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {fact}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Repeats a call until it succeeds, as a user of a backend does.
#[track_caller]
pub(super) fn insist<'a, T>(ask: impl Fn() -> Reply<'a, T>) -> T {
    let begun = Instant::now();
    loop {
        match block_on(ask()) {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_retryable() && begun.elapsed() < PATIENCE, "{error:?}"),
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// The error that a call must end with.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(reply: Reply<'_, T>, kind: BackendErrorKind) -> BackendError {
    let error = block_on(reply).expect_err("it must fail");
    assert_eq!(error.kind(), kind, "{error:?}");
    error
}

/// A call that ends by its deadline without an answer, and whether it may have done something.
#[track_caller]
pub(super) fn late<'a, T: std::fmt::Debug>(ask: impl Fn(Call) -> Reply<'a, T>) -> Certainty {
    const DEADLINE: Duration = Duration::from_millis(400);
    let begun = Instant::now();
    let error = refused(ask(Call::new().within(DEADLINE)), BackendErrorKind::TimedOut);
    let took = begun.elapsed();
    assert!(took < 4 * DEADLINE, "the call took {took:?}");
    error.certainty()
}

pub(super) fn register_for(backend: &Postgres, lease: Duration) -> WorkerId {
    let worker = WorkerId::random();
    let registration = RegisterWorker::new(worker, "test", lease);
    block_on(backend.register_worker(Call::new(), registration)).expect("a worker registers");
    worker
}

/// Ends one run; while it is busy it is repeated, as a worker does.
pub(super) fn finish(backend: &Postgres, item: FinishItem) -> Finished {
    let request = FinishRequest::new(vec![item]);
    loop {
        let reply = block_on(backend.finish(Call::new(), request.clone()));
        match reply.expect("a finish is answered").items[0] {
            Finished::Busy => thread::park_timeout(Duration::from_millis(5)),
            finished => return finished,
        }
    }
}
