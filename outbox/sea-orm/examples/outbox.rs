//! A user and the job that welcomes them are stored together, or not at all.
//!
//! Needs a server: `cargo run --example outbox-sea-orm --features postgres --
//! postgres://postgres@localhost/postgres`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Context as _, ensure};
use gristmill::{Client, Job, JobExt as _, MigrateMode, Postgres, Receipt, Worker};
use gristmill_outbox_sea_orm::{Outbox, Within as _, commit};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait as _, Database, DatabaseTransaction, PaginatorTrait as _,
    TransactionTrait as _, entity::prelude::*,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, DeriveEntityModel)]
#[sea_orm(table_name = "outbox_sea_orm_users")]
struct Model {
    #[sea_orm(primary_key)]
    id: i32,
    name: String,
}
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "user.welcome", queue = "outbox-sea-orm")]
struct Welcome {
    user: String,
}

async fn welcome(job: Welcome) {
    println!("welcome, {}", job.user);
}

/// A user with a job, in a transaction that is still open.
async fn sign_up(tx: &DatabaseTransaction, outbox: &Outbox, user: &str) -> anyhow::Result<Receipt> {
    ActiveModel { name: Set(user.to_owned()), ..Default::default() }.insert(tx).await?;
    let job = Welcome { user: user.to_owned() }.unique_key(user.to_lowercase());
    Ok(outbox.within(tx).enqueue(job).await?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("give the URL of a PostgreSQL server")?;
    let client = Client::new(Postgres::builder(&url)?.open()?);
    client.migrate(MigrateMode::Up).await?;
    let db = Database::connect(&url).await?;
    db.execute_unprepared("DROP TABLE IF EXISTS outbox_sea_orm_users").await?;
    db.execute_unprepared("CREATE TABLE outbox_sea_orm_users (id serial PRIMARY KEY, name text)").await?;
    let outbox = Outbox::postgres();

    let tx = db.begin().await?;
    let receipt = sign_up(&tx, &outbox, "Grace").await?;
    tx.rollback().await?;
    ensure!(client.job(receipt.id).await?.is_none(), "a job, although its transaction was rolled back");
    println!("rolled back: no user, no job");

    let mut receipts = Vec::new();
    for name in ["Ada", "ADA"] {
        let tx = db.begin().await?;
        receipts.push(sign_up(&tx, &outbox, name).await?);
        commit(tx).await?;
    }
    let (first, second) = (&receipts[0], &receipts[1]);
    ensure!(first.is_new() && !second.is_new() && second.id == first.id, "one key, but two jobs");
    println!("committed twice with one unique key: two users, one job");

    let worker = Worker::builder(client).queue("outbox-sea-orm", 1).drain().handle(welcome).build()?;
    let completed = worker.run().await?.stats.completed;
    let users = Entity::find().count(&db).await?;
    ensure!((users, completed) == (2, 1), "{users} users and {completed} jobs");
    println!("{users} users, {completed} job completed");
    Ok(())
}
