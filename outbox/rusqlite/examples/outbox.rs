//! A user and the job that welcomes them are stored together, or not at all.
//!
//! In a new file: `cargo run --example outbox-rusqlite -- jobs.db`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use gristmill::{Client, Job, JobExt as _, MigrateMode, Receipt, Sqlite, Worker};
use gristmill_outbox_rusqlite::{Outbox, Within as _, commit};
use rusqlite::{Connection, TransactionBehavior};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "user.welcome", queue = "outbox-rusqlite")]
struct Welcome {
    user: String,
}

async fn welcome(job: Welcome) {
    println!("welcome, {}", job.user);
}

/// What becomes of a sign-up.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Commit,
    RollBack,
}

fn sign_up(file: &mut Connection, outbox: &Outbox, user: &str, end: End) -> anyhow::Result<Receipt> {
    let tx = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("INSERT INTO users VALUES (?1)", [user])?;
    let job = Welcome { user: user.to_owned() }.unique_key(user.to_lowercase());
    let receipt = outbox.within(&tx).enqueue(job)?;
    if end == End::Commit {
        commit(tx)?;
    } else {
        tx.rollback()?;
    }
    Ok(receipt)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("give the path of a new file")?;
    let client = Client::new(Sqlite::builder(&path).migrate(MigrateMode::Up).open()?);
    let mut file = Connection::open(&path)?;
    file.busy_timeout(Duration::from_secs(5))?;
    file.execute_batch("CREATE TABLE users (name TEXT)")?;
    let outbox = Outbox::sqlite();

    let receipt = sign_up(&mut file, &outbox, "Grace", End::RollBack)?;
    ensure!(
        client.job(receipt.id).await?.is_none(),
        "a job is there although its transaction was rolled back"
    );
    println!("rolled back: no user, no job");

    let first = sign_up(&mut file, &outbox, "Ada", End::Commit)?;
    let second = sign_up(&mut file, &outbox, "ADA", End::Commit)?;
    ensure!(first.is_new() && !second.is_new() && second.id == first.id, "one key, but two jobs");
    println!("committed twice with one unique key: two users, one job");

    let worker = Worker::builder(client).queue("outbox-rusqlite", 1).drain().handle(welcome).build()?;
    let completed = worker.run().await?.stats.completed;
    let users: i64 = file.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
    ensure!((users, completed) == (2, 1), "{users} users and {completed} jobs");
    println!("{users} users, {completed} job completed");
    Ok(())
}
