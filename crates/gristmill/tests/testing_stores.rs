//! The testing kit over every store: memory, an SQLite file and a PostgreSQL database of the test's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gristmill::testing::{START, TestQueue};
use gristmill::tokio_postgres::{Client as Driver, NoTls, connect};
use gristmill::{
    Client, ErrorKind, Job, JobContext, JobError, JobExt, JobPatch, JobState, ManualClock, Outcome, Postgres,
    PostgresTransaction, Sqlite, Tx, When, WorkerBuilder, assert_enqueued, refute_enqueued,
};
use gristmill_outbox::{BlockingDriver, Call, Database, Outbox, Refusal};
use gristmill_testserver::Postgres as Server;
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "add", output = i64)]
struct Add {
    a: i64,
    b: i64,
}

async fn add(job: Add) -> Result<i64, JobError> {
    job.a.checked_add(job.b).ok_or_else(|| JobError::cancel("too large"))
}

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "book")]
struct Book {
    amount: i64,
}

/// Writes, and fails for an amount below zero.
async fn book(job: Book, tx: Tx<PostgresTransaction>) -> anyhow::Result<()> {
    tx.execute("INSERT INTO booked VALUES ($1)", &[&job.amount]).await?;
    anyhow::ensure!(job.amount >= 0, "no credit");
    Ok(())
}

fn handlers(worker: WorkerBuilder<()>) -> WorkerBuilder<()> {
    worker.handle(add).handle(book)
}

/// A database with the schema and a table `booked`, and a connection of the program's own to it.
async fn database() -> (Postgres, Driver) {
    let url = Server::shared().fresh_database();
    let jobs = Postgres::connect(&url).await.expect("it is migrated");
    let (app, connection) = connect(&url, NoTls).await.expect("it connects");
    tokio::spawn(connection);
    app.batch_execute("CREATE TABLE booked (amount int8)").await.expect("the table is made");
    (jobs, app)
}

async fn booked(app: &Driver) -> Vec<i64> {
    let rows = app.query("SELECT amount FROM booked ORDER BY amount", &[]).await.expect("it is read");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn a_job_is_performed_at_once_and_others_stay(queue: TestQueue) -> anyhow::Result<()> {
    let queue = queue.with_handlers(|worker| worker.handle(add));
    let first = queue.client().enqueue(Add { a: 1, b: 1 }.priority(-10)).await?.id;
    let later = queue.client().enqueue(Add { a: 2, b: 2 }.delay(HOUR)).await?.id;

    assert_eq!(queue.output_of(Add { a: 3, b: 3 }.delay(HOUR)).await?, 6);

    for (id, state) in [(first, JobState::Available), (later, JobState::Scheduled)] {
        let job = queue.client().job(id).await?.expect("it is there");
        assert_eq!((job.state, job.attempt), (state, 0));
    }
    let performed = queue.drain().await?;
    assert_eq!(performed.len(), 1, "{performed:?}");
    assert_eq!((performed[0].id, performed[0].output::<Add>()?), (first, 2));
    assert!(queue.client().workers().await?.is_empty(), "the kit leaves no worker behind");
    Ok(())
}

#[tokio::test]
async fn a_job_is_performed_at_once_and_others_stay_on_memory() -> anyhow::Result<()> {
    a_job_is_performed_at_once_and_others_stay(TestQueue::new()).await
}

#[tokio::test]
async fn a_job_is_performed_at_once_and_others_stay_on_sqlite() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = Sqlite::open(folder.path().join("jobs.db"))?;
    a_job_is_performed_at_once_and_others_stay(TestQueue::on(store)).await
}

#[tokio::test]
async fn a_job_is_performed_at_once_and_others_stay_on_postgres() -> anyhow::Result<()> {
    a_job_is_performed_at_once_and_others_stay(TestQueue::on(database().await.0)).await
}

#[tokio::test]
async fn a_job_is_performed_behind_more_jobs_than_one_fetch_returns() -> anyhow::Result<()> {
    let queue = TestQueue::on(database().await.0).with_handlers(handlers);
    queue.client().enqueue_many((0..2_500).map(|a| Add { a, b: 0 })).await?;

    assert_eq!(queue.output_of(Add { a: 40, b: 2 }.priority(10)).await?, 42);
    Ok(())
}

#[tokio::test]
async fn a_file_that_takes_the_clock_of_the_test_follows_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::new(START));
    let store = Sqlite::builder(folder.path().join("jobs.db")).clock(clock.clone()).open()?;
    let queue = TestQueue::with_clock(store, clock).with_handlers(|worker| worker.handle(add));

    queue.client().enqueue(Add { a: 1, b: 1 }.delay(HOUR)).await?;
    assert!(queue.drain().await?.is_empty());
    queue.advance(HOUR);
    assert_eq!(queue.drain().await?[0].state, Some(JobState::Completed));
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "the store of this queue keeps the time itself")]
async fn a_store_that_keeps_the_time_itself_is_not_advanced() {
    TestQueue::on(database().await.0).advance(HOUR);
}

#[tokio::test]
async fn a_scheduled_job_is_made_due_by_an_update_where_no_clock_moves() -> anyhow::Result<()> {
    let queue = TestQueue::on(database().await.0).with_handlers(handlers);
    let id = queue.client().enqueue(Add { a: 1, b: 1 }.delay(HOUR)).await?.id;
    assert!(queue.drain().await?.is_empty());

    queue.client().update(id, JobPatch::default().when(When::Now)).await?;

    assert_eq!(queue.drain().await?[0].output::<Add>()?, 2);
    Ok(())
}

#[tokio::test]
async fn what_a_handler_writes_in_its_transaction_is_stored_if_it_succeeds() -> anyhow::Result<()> {
    let (jobs, app) = database().await;
    let queue = TestQueue::on(jobs).with_handlers(handlers);

    let failed = queue.perform(Book { amount: -1 }).await?;
    let completed = queue.perform(Book { amount: 7 }).await?;

    let Outcome::Failed { error, .. } = failed else { panic!("it must fail: {failed:?}") };
    assert!(error.message.contains("no credit"), "{}", error.message);
    assert_eq!(completed, Outcome::Completed { output: None });
    assert_eq!(booked(&app).await, [7]);
    let states: Vec<JobState> = queue.jobs_of::<Book>().await?.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Retryable, JobState::Completed]);
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_outlives_its_handler_fails_the_attempt() -> anyhow::Result<()> {
    async fn keeps(_: Book, tx: Tx<PostgresTransaction>) {
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(tx);
        });
    }
    let queue = TestQueue::on(database().await.0).with_handlers(|worker| worker.handle(keeps));

    let outcome = queue.perform(Book { amount: 1 }).await?;

    let Outcome::Failed { error, .. } = outcome else { panic!("it must fail: {outcome:?}") };
    assert!(error.message.contains("still in use"), "{}", error.message);
    Ok(())
}

#[tokio::test]
async fn a_handler_of_a_transaction_leaves_its_neighbours_testable_on_memory() -> anyhow::Result<()> {
    const NEEDS: &str =
        "the handler of `book` needs `transactions`, which the memory backend does not promise";
    let queue = TestQueue::new().with_handlers(handlers);
    assert_eq!(queue.output_of(Add { a: 1, b: 2 }).await?, 3);

    let error = queue.perform(Book { amount: 1 }).await.expect_err("memory has no transactions");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, NEEDS));
    assert!(error.hint().is_some_and(|hint| hint.contains("TestQueue::on")), "{error}");

    let id = queue.client().enqueue(Book { amount: 1 }).await?.id;
    let error = queue.drain().await.expect_err("memory has no transactions");
    assert_eq!(error.message(), NEEDS);
    let job = queue.client().job(id).await?.expect("it is there");
    assert_eq!((job.state, job.attempt), (JobState::Available, 0));
    Ok(())
}

#[tokio::test]
async fn a_job_of_an_outbox_on_postgres_is_found_when_its_transaction_commits() -> anyhow::Result<()> {
    let (jobs, mut app) = database().await;
    let queue = TestQueue::on(jobs.clone()).with_handlers(handlers);

    let tx = app.transaction().await?;
    jobs.enqueue_in(&tx, Book { amount: 1 }).await?;
    refute_enqueued!(queue, Book { amount: 1 });
    tx.rollback().await?;
    refute_enqueued!(queue, Book { amount: 1 });

    let tx = app.transaction().await?;
    jobs.enqueue_in(&tx, Book { amount: 2 }).await?;
    tx.commit().await?;
    assert_enqueued!(queue, Book { amount: 2 });
    assert_enqueued!(queue.client(), Book { amount: 2 });
    assert_eq!(queue.drain().await?.len(), 1);
    assert_eq!(booked(&app).await, [2]);
    Ok(())
}

/// A driver of the outbox, as the adapter for rusqlite has one.
struct Connected<'a>(&'a rusqlite::Connection);

impl BlockingDriver for Connected<'_> {
    fn database(&self) -> Database {
        Database::Sqlite
    }

    fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        let answer = self.0.query_row(call.statement(), [call.request()], |row| row.get(0));
        answer.map_err(|error| Refusal::new(None, error.to_string(), error))
    }
}

fn enqueue_in_a_file(path: &Path, a: i64, commits: bool) -> anyhow::Result<()> {
    let mut connection = rusqlite::Connection::open(path)?;
    let tx = connection.transaction()?;
    Outbox::sqlite().in_blocking_transaction(Connected(&tx)).enqueue(Add { a, b: 0 })?;
    if commits {
        tx.commit()?;
    } else {
        tx.rollback()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_job_of_an_outbox_on_sqlite_is_found_when_its_transaction_commits() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("jobs.db");
    let queue = TestQueue::on(Sqlite::open(&path)?).with_handlers(|worker| worker.handle(add));

    enqueue_in_a_file(&path, 1, false)?;
    refute_enqueued!(queue, Add { a: 1, b: 0 });
    enqueue_in_a_file(&path, 2, true)?;
    assert_enqueued!(queue, Add { a: 2, b: 0 });
    assert_eq!(queue.drain().await?[0].output::<Add>()?, 2);
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "the store cannot be read: ")]
async fn a_store_that_cannot_be_read_refutes_nothing() {
    let url = Server::shared().fresh_database();
    let client = Client::new(Postgres::builder(&url).expect("a URL").open().expect("the settings hold"));
    refute_enqueued!(client, Add { a: 1, b: 0 });
}

#[tokio::test]
async fn an_output_is_that_of_a_completed_job_of_this_kind() -> anyhow::Result<()> {
    let queue = TestQueue::new().with_handlers(|worker| {
        worker.handle(add).handle_raw("text", async |_: JobContext| Ok::<_, JobError>("text"))
    });
    let error = queue.output_of(Add { a: i64::MAX, b: 1 }).await.expect_err("it is cancelled");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.message(), "job `add` did not complete: cancelled: too large");

    queue.client().enqueue_raw("text", "{}", gristmill::JobOptions::new()).await?;
    let performed = queue.drain().await?;
    let error = performed[0].output::<Add>().expect_err("it is of another kind");
    assert!(error.message().contains("is of kind `text`, not `add`"), "{error}");
    Ok(())
}
