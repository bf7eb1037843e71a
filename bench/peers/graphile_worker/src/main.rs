//! `graphile_worker` at the settings of its own `perf_test` benchmark: local queue of 5000, 500 jobs at once,
//! completions collected for 5 ms, a poll each 5 ms. The jobs do nothing but decode their args. What is
//! printed is a line of JSON with the members of `gristmill bench --json`.
//!
//! It deletes jobs as they complete and keeps no history.

mod account;
mod transactions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, Worker, WorkerContext, WorkerOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::account::Account;

/// The release that Cargo.toml pins.
const VERSION: &str = "0.14.1";
const SCHEMA: &str = "gristmill_peer_graphile_worker";
const CONCURRENCY: usize = 500;
const LOCAL_QUEUE: usize = 5000;
const DELAY: Duration = Duration::from_millis(5);

/// Measures `graphile_worker`: enqueue in bulk, then drain.
#[derive(Debug, Parser)]
struct Options {
    /// The database; a schema is made anew in it and dropped afterwards.
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
    #[arg(long, default_value_t = 30)]
    connections: u32,
    /// Measure so many transactions of a caller's with an `add_job` in each, instead of a drain.
    #[arg(long, value_name = "N")]
    transactions: Option<u32>,
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

impl TaskHandler for Count {
    const IDENTIFIER: &'static str = "bench.count";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        std::hint::black_box(&self.filler);
        let account = context.get_ext::<Arc<Account>>().ok_or_else(|| "no account".to_owned())?;
        account.saw(self.number);
        Ok::<(), String>(())
    }
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
    let account = Arc::new(Account::new(options.jobs));
    let worker = worker(&pool, &account).await?;
    if let Some(transactions) = options.transactions {
        let line = transactions::measure(&pool, &options, transactions).await?;
        drop_schema(&pool).await?;
        println!("{line}");
        return Ok(());
    }
    let enqueue = Instant::now();
    enqueue_all(&worker, &options).await?;
    let enqueue = enqueue.elapsed();

    let worker = Arc::new(worker);
    let drain = Instant::now();
    let running = tokio::spawn({
        let worker = worker.clone();
        async move { worker.run().await }
    });
    until_stored(&pool, &account).await?;
    let drain = drain.elapsed();
    worker.request_shutdown();
    running.await?.context("the worker ended with an error")?;
    drop_schema(&pool).await?;

    let per_second = |took: Duration| f64::from(options.jobs) / took.as_secs_f64();
    let line = json!({
        "system": "graphile_worker",
        "version": VERSION,
        "backend": "postgres",
        "mode": "drain",
        "settings": {
            "concurrency": CONCURRENCY,
            "local_queue": LOCAL_QUEUE,
            "complete_job_batch_delay_ms": DELAY.as_millis(),
            "poll_interval_ms": DELAY.as_millis(),
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

async fn worker(pool: &PgPool, account: &Arc<Account>) -> Result<Worker> {
    let worker = WorkerOptions::default()
        .schema(SCHEMA)
        .pg_pool(pool.clone())
        .concurrency(CONCURRENCY)
        .poll_interval(DELAY)
        .complete_job_batch_delay(DELAY)
        .local_queue(LocalQueueConfig::default().with_size(LOCAL_QUEUE))
        .add_extension(account.clone())
        .define_job::<Count>();
    Box::pin(worker.init()).await.context("the worker cannot be set up")
}

async fn enqueue_all(worker: &Worker, options: &Options) -> Result<()> {
    let utils = worker.create_utils();
    let spec = JobSpec::default();
    for first in (0..options.jobs).step_by(options.batch as usize) {
        let end = first.saturating_add(options.batch).min(options.jobs);
        let jobs: Result<Vec<_>> =
            (first..end).map(|number| Ok((count(number, options.args_bytes)?, &spec))).collect();
        utils.add_jobs(&jobs?).await?;
    }
    Ok(())
}

/// Waits until every job has run, and then until none is left in the table: a run counts once its end is
/// stored.
async fn until_stored(pool: &PgPool, account: &Account) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(600);
    let waiting_since = Instant::now();
    while account.seen() < account.len() {
        ensure!(waiting_since.elapsed() < PATIENCE, "{} of {} jobs ran", account.seen(), account.len());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let left = format!("SELECT EXISTS (SELECT FROM {SCHEMA}._private_jobs)");
    while sqlx::query_scalar::<_, bool>(sqlx::AssertSqlSafe(left.clone())).fetch_one(pool).await? {
        ensure!(waiting_since.elapsed() < PATIENCE, "jobs that ran are still stored");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn drop_schema(pool: &PgPool) -> Result<()> {
    sqlx::query(sqlx::AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))).execute(pool).await?;
    Ok(())
}

fn count(number: u32, args_bytes: u32) -> Result<Count> {
    let mut args = Count { number, filler: String::new() };
    let empty_bytes = serde_json::to_vec(&args)?.len();
    args.filler = "x".repeat((args_bytes as usize).saturating_sub(empty_bytes));
    Ok(args)
}
