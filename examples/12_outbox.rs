//! The outbox: a job that is enqueued in a transaction of the database is there if and only if that commits.
//!
//! Needs a server: `cargo run -p gristmill-examples --bin 12_outbox postgres://postgres@localhost/postgres`.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use anyhow::Context as _;
use gristmill::tokio_postgres::{self, NoTls};
use gristmill::{Client, Job, MigrateMode, Postgres, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "user.welcome", queue = "lesson-12")]
struct Welcome {
    user: String,
}

async fn welcome(job: Welcome) {
    println!("welcome, {}", job.user);
}

/// A user, and the job that welcomes them: both are stored, or neither.
async fn sign_up(database: &mut tokio_postgres::Client, jobs: &Postgres, user: &str) -> anyhow::Result<()> {
    let tx = database.transaction().await?;
    jobs.enqueue_in(&tx, Welcome { user: user.to_owned() }).await?;
    // This fails for a name that is taken. Then the transaction is rolled back, and the job with it.
    tx.execute("INSERT INTO users VALUES ($1)", &[&user]).await?;
    // A worker hears of the job now, not before.
    tx.commit().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("give the URL of a PostgreSQL server")?;
    let jobs = Postgres::builder(&url)?.open()?;
    let client = Client::new(jobs.clone());
    client.migrate(MigrateMode::Up).await?;

    // The program's own connection. One of deadpool_postgres serves as well.
    let (mut database, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    database.batch_execute("CREATE TEMP TABLE users (name text PRIMARY KEY)").await?;

    sign_up(&mut database, &jobs, "Ada").await?;
    let error = sign_up(&mut database, &jobs, "Ada").await.expect_err("there is one Ada already");
    println!("the second Ada: {error}");
    sign_up(&mut database, &jobs, "Grace").await?;

    let worker = Worker::builder(client).queue("lesson-12", 1).drain().handle(welcome).build()?;
    println!("{} jobs completed", worker.run().await?.stats.completed);
    Ok(())
}
