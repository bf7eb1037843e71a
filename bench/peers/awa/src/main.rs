//! awa at the best settings that were found: 2 partitions of 512 workers each, 128 jobs in one claim,
//! completions collected for 5 ms by 2 flushers, plans that are made once per statement (`plan_cache_mode`),
//! since planning over its many partitions cost a quarter of the server's time. No deadline: the peer's short
//! path for short jobs is for those without one (documentation of
//! `QueueStorageConfig::lease_claim_receipts`). The jobs do nothing but decode their args. What is printed is
//! a line of JSON with the members of `gristmill bench --json`.
//!
//! It keeps finished jobs for a day, in batches.

#[path = "../../graphile_worker/src/account.rs"]
mod account;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use awa::model::insert::params_with;
use awa::worker::TransitionWorkerRole;
use awa::{
    Client, InsertOpts, JobArgs, JobResult, PartitionedQueue, QueueConfig, QueueStorage, QueueStorageConfig,
};
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::PgPool;

use crate::account::Account;

/// The release that Cargo.toml pins.
const VERSION: &str = "0.6.9";
const QUEUE: &str = "bench_count";
const PARTITIONS: usize = 2;
const WORKERS: u32 = 512;
const CLAIM_BATCH: usize = 128;
const COMPLETION_SHARDS: u32 = 2;
const COMPLETION_FLUSH_MS: u32 = 5;
const PLAN_CACHE_MODE: &str = "force_generic_plan";

/// Measures awa: enqueue in bulk, then drain.
#[derive(Debug, Parser)]
struct Options {
    /// The database; the schema `awa` is made anew in it and dropped afterwards.
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
    #[arg(long, default_value_t = 20)]
    connections: u32,
    /// Accepted so that every program of the benchmark is called alike; JSON is all this one prints.
    #[arg(long)]
    json: bool,
}

/// The args of a job, as in the floors.
#[derive(Debug, Clone, Serialize, Deserialize, JobArgs)]
struct Count {
    number: u32,
    filler: String,
}

fn main() -> Result<()> {
    // Before there is a second thread.
    std::env::set_var("AWA_COMPLETION_SHARDS", COMPLETION_SHARDS.to_string());
    std::env::set_var("AWA_COMPLETION_FLUSH_MS", COMPLETION_FLUSH_MS.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&Options::parse()))
}

async fn measure(options: &Options) -> Result<()> {
    let server: PgConnectOptions = options.db.parse().context("--db is not a URL of a database")?;
    let pool = PgPoolOptions::new()
        .max_connections(options.connections)
        .connect_with(server.options([("plan_cache_mode", PLAN_CACHE_MODE)]))
        .await
        .context("the server of --db cannot be reached")?;
    drop_schema(&pool).await?;
    awa::migrations::run(&pool).await.context("the schema cannot be set up")?;
    let store = QueueStorage::new(QueueStorageConfig::default())?;
    store.install(&pool).await?;
    let queue = PartitionedQueue::new(QUEUE, PARTITIONS)?;
    let enqueue = Instant::now();
    enqueue_all(&store, &pool, &queue, options).await?;
    let enqueue = enqueue.elapsed();

    let account = Arc::new(Account::new(options.jobs));
    let client = client(&pool, &queue, &account)?;
    let drain = Instant::now();
    client.start().await?;
    until_stored(&store, &pool, &queue, &account).await?;
    let drain = drain.elapsed();
    client.shutdown(Duration::from_secs(10)).await;
    drop_schema(&pool).await?;

    let per_second = |took: Duration| f64::from(options.jobs) / took.as_secs_f64();
    let line = json!({
        "system": "awa",
        "version": VERSION,
        "backend": "postgres",
        "mode": "drain",
        "settings": {
            "partitions": PARTITIONS,
            "workers": WORKERS,
            "claim_batch": CLAIM_BATCH,
            "completion_shards": COMPLETION_SHARDS,
            "completion_flush_ms": COMPLETION_FLUSH_MS,
            "plan_cache_mode": PLAN_CACHE_MODE,
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

fn client(pool: &PgPool, queue: &PartitionedQueue, account: &Arc<Account>) -> Result<Client> {
    let account = account.clone();
    let config = QueueConfig {
        max_workers: WORKERS,
        claim_batch_size: CLAIM_BATCH,
        deadline_duration: Duration::ZERO,
        ..QueueConfig::default()
    };
    let client = Client::builder(pool.clone())
        .partitioned_queue(queue, config)
        .transition_role(TransitionWorkerRole::QueueStorageTarget)
        .register::<Count, _, _>(move |args, _| {
            std::hint::black_box(&args.filler);
            account.saw(args.number);
            std::future::ready(Ok(JobResult::Completed))
        })
        .build()?;
    Ok(client)
}

async fn enqueue_all(
    store: &QueueStorage,
    pool: &PgPool,
    queue: &PartitionedQueue,
    options: &Options,
) -> Result<()> {
    for first in (0..options.jobs).step_by(options.batch as usize) {
        let end = first.saturating_add(options.batch).min(options.jobs);
        let jobs: Result<Vec<_>> = (first..end)
            .map(|number| {
                let opts = queue.route_opts_by_index(InsertOpts::default(), number as usize);
                Ok(params_with(&count(number, options.args_bytes)?, opts)?)
            })
            .collect();
        store.enqueue_params_copy(pool, &jobs?).await?;
    }
    Ok(())
}

/// Waits until every job has run, and then until each is stored as finished: a run counts once its end is
/// stored.
async fn until_stored(
    store: &QueueStorage,
    pool: &PgPool,
    queue: &PartitionedQueue,
    account: &Account,
) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(600);
    let waiting_since = Instant::now();
    while account.seen() < account.len() {
        ensure!(waiting_since.elapsed() < PATIENCE, "{} of {} jobs ran", account.seen(), account.len());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    loop {
        let mut finished = 0;
        for queue in queue {
            finished += store.queue_counts(pool, queue).await?.terminal;
        }
        if finished == i64::try_from(account.len())? {
            return Ok(());
        }
        ensure!(waiting_since.elapsed() < PATIENCE, "{finished} jobs that ran are stored as finished");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn drop_schema(pool: &PgPool) -> Result<()> {
    sqlx::query("DROP SCHEMA IF EXISTS awa CASCADE").execute(pool).await?;
    Ok(())
}

fn count(number: u32, args_bytes: u32) -> Result<Count> {
    let mut args = Count { number, filler: String::new() };
    let empty_bytes = serde_json::to_vec(&args)?.len();
    args.filler = "x".repeat((args_bytes as usize).saturating_sub(empty_bytes));
    Ok(args)
}
