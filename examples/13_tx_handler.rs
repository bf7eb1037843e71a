//! A handler that writes in the transaction which also finishes its job: each write happens exactly once.
//!
//! Needs a server: `cargo run -p gristmill-examples --bin 13_tx_handler
//! postgres://postgres@localhost/postgres`.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use std::time::Duration;

use anyhow::Context as _;
use gristmill::backend::Call;
use gristmill::tokio_postgres::{self, NoTls};
use gristmill::{
    Client, EventKind, Job, JobContext, MigrateMode, Postgres, PostgresTransaction, RetryPolicy, Tx, Worker,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "ledger.book", queue = "lesson-13", retry = RetryPolicy::fixed(Duration::from_millis(10)))]
struct Book {
    amount: i64,
}

async fn book(job: Book, tx: Tx<PostgresTransaction>, context: JobContext) -> anyhow::Result<()> {
    tx.execute("INSERT INTO lesson_13 VALUES ($1)", &[&job.amount]).await?;
    println!("run {} books {}", context.run(), job.amount);
    match context.run() {
        // What it wrote is rolled back, and the job is tried again.
        1 => anyhow::bail!("the bank does not answer"),
        // It succeeds, but meanwhile the job has passed on: what it wrote is rolled back, too.
        2 => lose_the_lease(context.client()).await,
        // Both are stored at once: the amount, and that the job has completed.
        _ => Ok(()),
    }
}

/// As if this process had stood still for longer than its lease, and another one had found it dead.
async fn lose_the_lease(client: &Client) -> anyhow::Result<()> {
    for worker in client.workers().await? {
        client.backend().retire_worker(Call::new(), worker.id).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("give the URL of a PostgreSQL server")?;
    let client = Client::new(Postgres::builder(&url)?.open()?);
    client.migrate(MigrateMode::Up).await?;
    let (database, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let table = "DROP TABLE IF EXISTS lesson_13; CREATE TABLE lesson_13 (amount int8 NOT NULL)";
    database.batch_execute(table).await?;

    client.enqueue(Book { amount: 100 }).await?;
    let worker = Worker::builder(client)
        .queue("lesson-13", 1)
        .drain()
        .handle(book)
        .on(EventKind::LeaseLost, |_| println!("the lease was lost"))
        .build()?;
    println!("{} job completed", worker.run().await?.stats.completed);

    let booked: i64 = database.query_one("SELECT sum(amount)::int8 FROM lesson_13", &[]).await?.get(0);
    println!("booked: {booked}");
    database.batch_execute("DROP TABLE lesson_13").await?;
    Ok(())
}
