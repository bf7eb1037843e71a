//! Drain: as many consumers as cores; each fetches a batch, spawns a Tokio task for each job, awaits them in
//! order and finishes the batch. A second consumer keeps the cores busy while the first awaits its last jobs.
//!
//! Tried with 1 M jobs of 100 B on two shared cores, as a share of what is here: one consumer 0.65; a
//! `JoinSet` 0.7–1.0; results through a channel 0.55–0.75; a shared counter whose last task reports the batch
//! 0.8–0.9; a hash map for history 0.55–0.8. Without a task a job, which gives up that jobs run side by side,
//! 1.6–2.0.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use super::queue::{Claim, Lease, Queue};
use crate::account::Account;
use crate::job::{self, NewJob};
use crate::options::Options;
use crate::report::{Figures, Outcome};
use crate::usage::Stopwatch;

/// Enqueues all jobs in bulk, then runs them until none is left.
pub(super) fn run(options: &Options) -> Result<Outcome> {
    let queue = Arc::new(Queue::default());
    let account = Arc::new(Account::new(options.jobs()));
    let runtime = super::runtime()?;
    let enqueue = Stopwatch::start()?;
    enqueue_all(&queue, options)?;
    let enqueue = enqueue.stop()?;

    let drain = Stopwatch::start()?;
    runtime.block_on(consume(&queue, &account, options.batch))?;
    let drain = drain.stop()?;

    let kept = queue.finished_ids().len();
    ensure!(kept == options.jobs() as usize, "history holds {kept} of {} jobs", options.jobs());
    let figures = Figures {
        enqueue_per_s: Some(enqueue.jobs_per_second(options.jobs())),
        drain_per_s: Some(drain.jobs_per_second(options.jobs())),
        client_cpu_us_per_job: Some(drain.cpu_us_per_job(options.jobs())),
        ..Figures::default()
    };
    let account = Arc::into_inner(account).context("a job outlived the drain")?;
    Ok(Outcome { variant: "task a job", settings: super::settings(options)?, figures, account })
}

/// Stores the jobs of the command line, `--batch` at a time.
pub(super) fn enqueue_all(queue: &Queue, options: &Options) -> Result<()> {
    for first in (0..options.jobs()).step_by(options.batch as usize) {
        let end = first.saturating_add(options.batch).min(options.jobs());
        let jobs: Result<Vec<_>> =
            (first..end).map(|number| NewJob::new(number, options.args_bytes)).collect();
        queue.enqueue(jobs?);
    }
    Ok(())
}

async fn consume(queue: &Arc<Queue>, account: &Arc<Account>, batch: u32) -> Result<()> {
    let consumers = std::thread::available_parallelism().context("the number of cores is unknown")?;
    let mut running = JoinSet::new();
    for _ in 0..consumers.get() {
        running.spawn(consume_until_empty(queue.clone(), account.clone(), batch));
    }
    while let Some(consumer) = running.join_next().await {
        consumer.context("a consumer panicked")??;
    }
    Ok(())
}

async fn consume_until_empty(queue: Arc<Queue>, account: Arc<Account>, batch: u32) -> Result<()> {
    loop {
        let Claim { number, jobs } = queue.fetch(batch);
        if jobs.is_empty() {
            return Ok(());
        }
        let spawn_job = |job: Lease| {
            let account = account.clone();
            tokio::spawn(async move {
                account.saw(job::run(job.id, &job.args)?);
                anyhow::Ok(job)
            })
        };
        let handlers: Vec<_> = jobs.into_iter().map(spawn_job).collect();
        let mut completed = Vec::with_capacity(handlers.len());
        for handler in handlers {
            completed.push(handler.await.context("a handler panicked")??);
        }
        queue.finish(number, completed)?;
    }
}
