//! A user and the job that welcomes them are stored together, or not at all.
//!
//! In a new file: `cargo run --example outbox-diesel -- jobs.db`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Context as _, bail, ensure};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use gristmill::{Client, Job, JobExt as _, MigrateMode, Receipt, Sqlite, Worker};
use gristmill_outbox_diesel::{Outbox, Within as _};
use serde::{Deserialize, Serialize};

diesel::table! {
    /// Who has signed up.
    users (name) {
        /// As they wrote it.
        name -> Text,
    }
}

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "user.welcome", queue = "outbox-diesel")]
struct Welcome {
    user: String,
}

async fn welcome(job: Welcome) {
    println!("welcome, {}", job.user);
}

fn sign_up(file: &mut SqliteConnection, outbox: &Outbox, user: &str) -> anyhow::Result<Receipt> {
    diesel::insert_into(users::table).values(users::name.eq(user)).execute(file)?;
    let job = Welcome { user: user.to_owned() }.unique_key(user.to_lowercase());
    Ok(outbox.within(file).enqueue(job)?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("give the path of a new file")?;
    let client = Client::new(Sqlite::builder(&path).migrate(MigrateMode::Up).open()?);
    let mut file = SqliteConnection::establish(&path)?;
    file.batch_execute("PRAGMA busy_timeout = 5000")?;
    file.batch_execute("CREATE TABLE users (name TEXT PRIMARY KEY)")?;
    let outbox = Outbox::sqlite();

    let mut enqueued = None;
    let rolled_back: anyhow::Result<()> = file.immediate_transaction(|file| {
        enqueued = Some(sign_up(file, &outbox, "Grace")?);
        bail!("an error rolls back")
    });
    let receipt = enqueued.context("nothing was enqueued")?;
    ensure!(rolled_back.is_err() && client.job(receipt.id).await?.is_none(), "a job is there all the same");
    println!("rolled back: no user, no job");

    let first = file.immediate_transaction(|file| sign_up(file, &outbox, "Ada"))?;
    let second = file.immediate_transaction(|file| sign_up(file, &outbox, "ADA"))?;
    ensure!(first.is_new() && !second.is_new() && second.id == first.id, "one key, but two jobs");
    println!("committed twice with one unique key: two users, one job");

    let worker = Worker::builder(client).queue("outbox-diesel", 1).drain().handle(welcome).build()?;
    let completed = worker.run().await?.stats.completed;
    let users: i64 = users::table.count().get_result(&mut file)?;
    ensure!((users, completed) == (2, 1), "{users} users and {completed} jobs");
    println!("{users} users, {completed} job completed");
    Ok(())
}
