//! Handlers that write in the transaction which also finishes their job, on a PostgreSQL server: exactly
//! once, whatever happens to the worker, its lease and its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gristmill::backend::{Backend, Call};
use gristmill::testing::TestQueue;
use gristmill::tokio_postgres::{Client as Driver, NoTls, connect};
use gristmill::{
    Client, Ending, EventKind, Job, JobContext, JobError, JobExt, JobState, MigrateMode, Postgres,
    PostgresTransaction, RetryPolicy, Tx, Worker, WorkerBuilder, WorkerReport,
};
use gristmill_testserver::{FaultProxy, Postgres as Server};
use tokio::sync::Notify;

const SOON: Duration = Duration::from_millis(20);

#[derive(serde::Serialize, serde::Deserialize, Job)]
#[job(kind = "note", retry = RetryPolicy::fixed(SOON))]
struct Note {
    number: i64,
}

/// A schema with jobs and a table that handlers write in.
struct Place {
    schema: String,
    table: String,
    database: Driver,
}

impl Place {
    async fn new() -> Self {
        let schema = Server::shared().fresh_schema_name();
        let (database, connection) = connect(Server::shared().url(), NoTls).await.expect("it connects");
        tokio::spawn(connection);
        let place = Self { table: format!("\"{schema}\".notes"), schema, database };
        place.client().migrate(MigrateMode::Up).await.expect("the schema is made");
        let text = format!("CREATE TABLE {} (number int8, run int8)", place.table);
        place.database.batch_execute(&text).await.expect("the table is made");
        place
    }

    fn open(&self, url: &str) -> Postgres {
        Postgres::builder(url).expect("a URL").schema(&self.schema).open().expect("the settings hold")
    }

    fn client(&self) -> Client {
        Client::new(self.open(Server::shared().url()))
    }

    /// Number and run of what was written.
    async fn notes(&self) -> Vec<(i64, i64)> {
        let text = format!("SELECT number, run FROM {} ORDER BY number, run", self.table);
        let rows = self.database.query(&text, &[]).await.expect("it is read");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

async fn write(table: &str, number: i64, tx: &PostgresTransaction, context: &JobContext) {
    let text = format!("INSERT INTO {table} VALUES ($1, $2)");
    tx.execute(&text, &[&number, &i64::from(context.run())]).await.expect("it is written");
}

/// A worker whose handler writes and then does what `then` says of the run.
fn writer(
    client: Client,
    place: &Place,
    then: impl Fn(u32) -> Result<(), JobError> + Clone + Send + Sync + 'static,
) -> WorkerBuilder<()> {
    let table = place.table.clone();
    let handler = move |job: Note, tx: Tx<PostgresTransaction>, context: JobContext| {
        let (table, then) = (table.clone(), then.clone());
        async move {
            write(&table, job.number, &tx, &context).await;
            then(context.run())
        }
    };
    Worker::builder(client).queue("default", 8).drain().handle(handler)
}

async fn run(builder: WorkerBuilder<()>) -> WorkerReport {
    let worker = builder.build().expect("the worker is valid");
    tokio::time::timeout(Duration::from_secs(60), worker.run()).await.expect("in time").expect("it runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_writes_once_although_attempts_fail() {
    let place = Place::new().await;
    let client = place.client();
    client.enqueue_many((0..50).map(|number| Note { number })).await.unwrap();
    let fails_first = |run| if run == 1 { Err(JobError::retry_after(SOON, "not yet")) } else { Ok(()) };

    let report = run(writer(client, &place, fails_first)).await;

    assert_eq!((report.stats.completed, report.stats.failed, report.is_clean()), (50, 50, true));
    assert_eq!(place.notes().await, (0..50).map(|number| (number, 2)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_whose_job_was_rescued_meanwhile_writes_nothing() {
    let place = Place::new().await;
    let client = place.client();
    let id = client.enqueue(Note { number: 7 }).await.unwrap().id;
    let (started, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let lost = Arc::new(AtomicBool::new(false));
    let (table, starts, waits) = (place.table.clone(), started.clone(), goes_on.clone());
    let handler = move |job: Note, tx: Tx<PostgresTransaction>, context: JobContext| {
        let (table, starts, waits) = (table.clone(), starts.clone(), waits.clone());
        async move {
            write(&table, job.number, &tx, &context).await;
            if context.run() == 1 {
                starts.notify_one();
                waits.notified().await;
            }
        }
    };
    let is_lost = lost.clone();
    let worker = Worker::builder(client.clone())
        .queue("default", 8)
        .handle(handler)
        .on(EventKind::LeaseLost, move |_| is_lost.store(true, Ordering::Release))
        .build()
        .unwrap();
    let handle = worker.handle();
    let task = tokio::spawn(worker.run());
    started.notified().await;

    // Another process finds the worker dead, an hour from now, and takes its jobs.
    let other = place.open(Server::shared().url());
    let later = other.ping(Call::new()).await.unwrap().now + Duration::from_secs(3600);
    other.rescue(Call::at(later), 100).await.unwrap();
    goes_on.notify_one();
    let completed = client.wait(id, Duration::from_secs(30)).await.unwrap();
    handle.stop();
    let report = task.await.unwrap().unwrap();

    assert_eq!((completed.state, completed.run), (JobState::Completed, 2));
    assert_eq!(place.notes().await, [(7, 2)]);
    assert!(lost.load(Ordering::Acquire));
    assert_eq!(report.stats.stale_finishes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_writes_once_and_completes_once() {
    let place = Place::new().await;
    let proxy = Arc::new(FaultProxy::start(Server::shared().address()));
    let client = Client::new(place.open(&proxy.url_through(Server::shared().url())));
    let id = client.enqueue(Note { number: 1 }).await.unwrap().id;
    // Armed when the handler is about to return: the next COMMIT is its transaction's.
    let of_commit = |request: &[u8]| request.windows(6).any(|word| word == b"COMMIT");
    let armed = proxy.clone();
    let lose = move |_| {
        armed.lose_next_reply_to(of_commit);
        Ok(())
    };

    let report = run(writer(client.clone(), &place, lose)).await;

    assert_eq!(proxy.lost_replies(), 1);
    assert_eq!((report.stats.completed, report.stats.failed, report.stats.stale_finishes), (1, 0, 0));
    assert_eq!(place.notes().await, [(1, 1)]);
    let runs = client.runs(id).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.ending).collect::<Vec<_>>(), [Ending::Completed]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_times_out_or_panics_writes_nothing() {
    let place = Place::new().await;
    let client = place.client();
    let slow = client.enqueue(Note { number: 1 }.timeout(SOON).max_attempts(1)).await.unwrap().id;
    let broken = client.enqueue(Note { number: 2 }.max_attempts(1)).await.unwrap().id;
    let table = place.table.clone();
    let handler = move |job: Note, tx: Tx<PostgresTransaction>, context: JobContext| {
        let table = table.clone();
        async move {
            write(&table, job.number, &tx, &context).await;
            assert!(job.number != 2, "a broken handler");
            // The server is busy with it when the handler is dropped.
            tx.batch_execute("SELECT pg_sleep(5)").await
        }
    };

    let report = run(Worker::builder(client.clone()).queue("default", 8).drain().handle(handler)).await;

    assert_eq!(report.stats.discarded, 2);
    assert_eq!(place.notes().await, []);
    for (id, ending) in [(slow, Ending::Timeout), (broken, Ending::Panic)] {
        assert_eq!(client.runs(id).await.unwrap()[0].ending, ending);
    }
}

#[tokio::test]
async fn a_handler_that_takes_a_transaction_can_be_tested_with_the_kit() {
    let place = Place::new().await;
    let table = place.table.clone();
    let note = move |job: Note, tx: Tx<PostgresTransaction>, context: JobContext| {
        let table = table.clone();
        async move {
            write(&table, job.number, &tx, &context).await;
            Ok::<_, JobError>(())
        }
    };
    let queue = TestQueue::on(place.open(Server::shared().url())).with_handlers(|worker| worker.handle(note));

    let outcome = queue.perform(Note { number: 1 }).await.expect("it is performed");

    assert_eq!(outcome, gristmill::Outcome::Completed { output: None });
    assert_eq!(place.notes().await, [(1, 1)]);
}
