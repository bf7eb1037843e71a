//! apalis-postgres with what its documentation offers against its own limits: large fetches
//! (`Config::batch_size`, 10 by default), the state `Running` not written (`lock_tasks`), each job polled on
//! the runtime's threads (`parallelize`) and 4 workers, since each does one thing at a time: fetch, or store
//! ends. Without a poll strategy the ends of the last jobs would wait for the next heartbeat. The jobs do
//! nothing but decode their args. What is printed is a line of JSON with the members of `gristmill bench
//! --json`.
//!
//! It keeps finished jobs in the table that it fetches from.

#[path = "../../graphile_worker/src/account.rs"]
mod account;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use apalis::prelude::{
    BackendExt, BoxDynError, Data, ParallelizeExt, Strategy, TaskSink, WorkerBuilder, WorkerError,
};
use apalis_postgres::{Config, PostgresStorage};
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;

use crate::account::Account;

/// The release that Cargo.toml pins.
const VERSION: &str = "1.0.0";
const QUEUE: &str = "bench.count";
const WORKERS: u32 = 4;
const FETCH: usize = 1000;
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Measures apalis-postgres: enqueue in bulk, then drain.
#[derive(Debug, Parser)]
struct Options {
    /// The database; the schema `apalis` is made anew in it and dropped afterwards.
    #[arg(long, value_name = "URL")]
    db: String,
    #[arg(long, default_value_t = 200_000)]
    jobs: u32,
    /// Jobs in one bulk enqueue.
    #[arg(long, default_value_t = 1000)]
    batch: u32,
    /// Length of a job's args in bytes.
    #[arg(long, default_value_t = 100)]
    args_bytes: u32,
    /// Connections.
    #[arg(long, default_value_t = 10)]
    connections: u32,
    /// Accepted so that every program of the benchmark is called alike; JSON is all this one prints.
    #[arg(long)]
    json: bool,
}

/// The args of a job, as in the floors.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Count {
    number: u32,
    filler: String,
}

async fn run(args: Count, account: Data<Arc<Account>>) -> Result<(), BoxDynError> {
    std::hint::black_box(&args.filler);
    account.saw(args.number);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let pool = PgPoolOptions::new()
        .max_connections(options.connections)
        .connect(&options.db)
        .await
        .context("the server of --db cannot be reached")?;
    drop_schema(&pool).await?;
    PostgresStorage::setup(&pool).await.context("the schema cannot be set up")?;
    let config = Config::default().queue(QUEUE).batch_size(FETCH).lock_tasks(false);
    let storage = PostgresStorage::<Count>::new(&pool).with_config(config);
    let account = Arc::new(Account::new(options.jobs));
    let enqueue = Instant::now();
    enqueue_all(storage.clone(), &options).await?;
    let enqueue = enqueue.elapsed();

    let drain = Instant::now();
    let mut workers = start(&storage, &account);
    tokio::select! {
        stored = until_stored(&pool, &account) => stored?,
        Some(ended) = workers.join_next() => bail!("a worker ended: {ended:?}"),
    }
    let drain = drain.elapsed();
    workers.shutdown().await;
    drop_schema(&pool).await?;

    let per_second = |took: Duration| f64::from(options.jobs) / took.as_secs_f64();
    let line = json!({
        "system": "apalis-postgres",
        "version": VERSION,
        "backend": "postgres",
        "mode": "drain",
        "settings": {
            "workers": WORKERS,
            "batch_size": FETCH,
            "lock_tasks": false,
            "poll_interval_ms": POLL_INTERVAL.as_millis(),
            "connections": options.connections,
            "batch": options.batch,
        },
        "jobs": options.jobs,
        "args_bytes": options.args_bytes,
        "enqueue_per_s": per_second(enqueue),
        "drain_per_s": per_second(drain),
        "lost": account.lost(),
        "duplicated": account.duplicated(),
    });
    println!("{line}");
    Ok(())
}

fn start(storage: &PostgresStorage<Count>, account: &Arc<Account>) -> JoinSet<Result<(), WorkerError>> {
    let start_one = |number| {
        let strategy = Strategy::new().interval(POLL_INTERVAL);
        WorkerBuilder::new(format!("worker-{number}"))
            .backend(storage.clone().poll_with_strategy(strategy))
            .data(account.clone())
            .parallelize(tokio::spawn)
            .build(run)
            .run()
    };
    (0..WORKERS).map(start_one).collect()
}

async fn enqueue_all(mut storage: PostgresStorage<Count>, options: &Options) -> Result<()> {
    for first in (0..options.jobs).step_by(options.batch as usize) {
        let end = first.saturating_add(options.batch).min(options.jobs);
        let jobs: Result<Vec<_>> = (first..end).map(|number| count(number, options.args_bytes)).collect();
        storage.push_bulk(jobs?).await?;
    }
    Ok(())
}

/// Waits until every job has run, and then until each is stored as done: a run counts once its end is stored.
async fn until_stored(pool: &PgPool, account: &Account) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(600);
    let waiting_since = Instant::now();
    while account.seen() < account.len() {
        ensure!(waiting_since.elapsed() < PATIENCE, "{} of {} jobs ran", account.seen(), account.len());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let left = "SELECT EXISTS (SELECT FROM apalis.jobs WHERE status <> 'Done')";
    while sqlx::query_scalar::<_, bool>(left).fetch_one(pool).await? {
        ensure!(waiting_since.elapsed() < PATIENCE, "jobs that ran are not stored as done");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn drop_schema(pool: &PgPool) -> Result<()> {
    sqlx::query("DROP SCHEMA IF EXISTS apalis CASCADE").execute(pool).await?;
    Ok(())
}

fn count(number: u32, args_bytes: u32) -> Result<Count> {
    let mut args = Count { number, filler: String::new() };
    let empty_bytes = serde_json::to_vec(&args)?.len();
    args.filler = "x".repeat((args_bytes as usize).saturating_sub(empty_bytes));
    Ok(args)
}
