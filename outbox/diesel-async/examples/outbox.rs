//! A user and the job that welcomes them are stored together, or not at all.
//!
//! Needs a server: `cargo run --example outbox-diesel-async -- postgres://postgres@localhost/postgres`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Context as _, bail, ensure};
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use gristmill::{Client, Job, JobExt as _, MigrateMode, Postgres, Receipt, Worker};
use gristmill_outbox_diesel_async::{Outbox, Within as _, transaction};
use serde::{Deserialize, Serialize};

diesel::table! {
    /// Who has signed up.
    outbox_diesel_users (name) {
        /// Their names.
        name -> Text,
    }
}

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "user.welcome", queue = "outbox-diesel-async")]
struct Welcome {
    user: String,
}

async fn welcome(job: Welcome) {
    println!("welcome, {}", job.user);
}

/// A user with a job, in the transaction that the connection is in.
async fn sign_up(db: &mut AsyncPgConnection, outbox: &Outbox, user: &str) -> anyhow::Result<Receipt> {
    let row = outbox_diesel_users::name.eq(user);
    diesel::insert_into(outbox_diesel_users::table).values(row).execute(db).await?;
    let job = Welcome { user: user.to_owned() }.unique_key(user.to_lowercase());
    Ok(outbox.within(db).enqueue(job).await?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("give the URL of a PostgreSQL server")?;
    let client = Client::new(Postgres::builder(&url)?.open()?);
    client.migrate(MigrateMode::Up).await?;
    let mut db = AsyncPgConnection::establish(&url).await?;
    let table = "DROP TABLE IF EXISTS outbox_diesel_users; CREATE TABLE outbox_diesel_users (name text)";
    db.batch_execute(table).await?;
    let outbox = Outbox::postgres();

    let mut receipt = None;
    let end: anyhow::Result<()> = transaction(&mut db, async |db| {
        receipt = Some(sign_up(db, &outbox, "Grace").await?);
        bail!("Grace has changed her mind")
    })
    .await;
    let id = receipt.context("it was enqueued")?.id;
    ensure!(
        end.is_err() && client.job(id).await?.is_none(),
        "a job, although its transaction was rolled back"
    );
    println!("rolled back: no user, no job");

    let first = transaction(&mut db, async |db| sign_up(db, &outbox, "Ada").await).await?;
    let second = transaction(&mut db, async |db| sign_up(db, &outbox, "ADA").await).await?;
    ensure!(first.is_new() && !second.is_new() && second.id == first.id, "one key, but two jobs");
    println!("committed twice with one unique key: two users, one job");

    let worker = Worker::builder(client).queue("outbox-diesel-async", 1).drain().handle(welcome).build()?;
    let completed = worker.run().await?.stats.completed;
    let users: i64 = outbox_diesel_users::table.count().get_result(&mut db).await?;
    ensure!((users, completed) == (2, 1), "{users} users and {completed} jobs");
    println!("{users} users, {completed} job completed");
    Ok(())
}
