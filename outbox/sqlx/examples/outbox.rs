//! A user and the job that welcomes them are stored together, or not at all.
//!
//! Needs a server: `cargo run --example outbox-sqlx --features postgres --
//! postgres://postgres@localhost/postgres`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Context as _, ensure};
use gristmill::{Client, Job, JobExt as _, MigrateMode, Postgres, Receipt, Worker};
use gristmill_outbox_sqlx::{Outbox, Within as _, commit};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "user.welcome", queue = "outbox-sqlx")]
struct Welcome {
    user: String,
}

async fn welcome(job: Welcome) {
    println!("welcome, {}", job.user);
}

/// What becomes of a sign-up.
#[derive(PartialEq)]
enum End {
    Commit,
    RollBack,
}

async fn sign_up(pool: &PgPool, outbox: &Outbox, user: &str, end: End) -> anyhow::Result<Receipt> {
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO outbox_sqlx_users VALUES ($1)").bind(user).execute(&mut *tx).await?;
    let job = Welcome { user: user.to_owned() }.unique_key(user.to_lowercase());
    let receipt = outbox.within(&mut tx).enqueue(job).await?;
    if end == End::Commit {
        commit(tx).await?;
    } else {
        tx.rollback().await?;
    }
    Ok(receipt)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("give the URL of a PostgreSQL server")?;
    let client = Client::new(Postgres::builder(&url)?.open()?);
    client.migrate(MigrateMode::Up).await?;
    let pool = PgPool::connect(&url).await?;
    sqlx::raw_sql("DROP TABLE IF EXISTS outbox_sqlx_users; CREATE TABLE outbox_sqlx_users (name text)")
        .execute(&pool)
        .await?;
    let outbox = Outbox::postgres();

    let receipt = sign_up(&pool, &outbox, "Grace", End::RollBack).await?;
    ensure!(
        client.job(receipt.id).await?.is_none(),
        "a job is there although its transaction was rolled back"
    );
    println!("rolled back: no user, no job");

    let first = sign_up(&pool, &outbox, "Ada", End::Commit).await?;
    let second = sign_up(&pool, &outbox, "ADA", End::Commit).await?;
    ensure!(first.is_new() && !second.is_new() && second.id == first.id, "one key, but two jobs");
    println!("committed twice with one unique key: two users, one job");

    let worker = Worker::builder(client).queue("outbox-sqlx", 1).drain().handle(welcome).build()?;
    let completed = worker.run().await?.stats.completed;
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox_sqlx_users").fetch_one(&pool).await?;
    ensure!((users, completed) == (2, 1), "{users} users and {completed} jobs");
    println!("{users} users, {completed} job completed");
    Ok(())
}
