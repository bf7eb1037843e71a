//! Latency: one job each 5 ms on an idle queue, from the enqueue call to the first line of the handler. The
//! enqueue tells a sleeping consumer, which fetches and spawns the handler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::queue::{Claim, Queue};
use crate::account::Account;
use crate::job::{self, NewJob};
use crate::options::Options;
use crate::report::{Figures, Outcome, Spread};
use crate::usage::Stopwatch;

const PACE: Duration = Duration::from_millis(5);

/// A handler that has run: the number of its job and when it began.
type Start = (u32, Instant);

/// Measures the whole run; its processor time contains the waking of an idle process.
pub(super) fn run(options: &Options) -> Result<Outcome> {
    let queue = Arc::new(Queue::default());
    let (starts, mut started) = mpsc::channel(1024);
    let runtime = super::runtime()?;
    let measured = Stopwatch::start()?;
    let (called, starts) = runtime.block_on(async {
        let consumer = tokio::spawn(consume(queue.clone(), starts, options.batch));
        let producer = tokio::spawn(produce(queue.clone(), options.jobs(), options.args_bytes));
        let mut seen: Vec<Start> = Vec::with_capacity(options.jobs() as usize);
        while seen.len() < options.jobs() as usize {
            let Some(start) = started.recv().await else { break };
            seen.push(start);
        }
        if consumer.is_finished() {
            consumer.await.context("the consumer panicked")??;
        } else {
            consumer.abort();
        }
        anyhow::Ok((producer.await.context("the producer panicked")??, seen))
    })?;
    let measured = measured.stop()?;

    let account = Account::new(options.jobs());
    for (number, _) in &starts {
        account.saw(*number);
    }
    let waits = starts.iter().filter_map(|(number, start)| Some(*start - *called.get(*number as usize)?));
    let mut settings = super::settings(options)?;
    settings.insert("pace_ms".to_owned(), json!(PACE.as_millis()));
    let figures = Figures {
        latency_ms: Spread::of(waits.collect()),
        client_cpu_us_per_job: Some(measured.cpu_us_per_job(options.jobs())),
        ..Figures::default()
    };
    Ok(Outcome { variant: "notify", settings, figures, account })
}

async fn produce(queue: Arc<Queue>, jobs: u32, args_bytes: u32) -> Result<Vec<Instant>> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut called = Vec::with_capacity(jobs as usize);
    for number in 0..jobs {
        let job = NewJob::new(number, args_bytes)?;
        pace.tick().await;
        called.push(Instant::now());
        queue.enqueue([job]);
    }
    Ok(called)
}

async fn consume(queue: Arc<Queue>, starts: mpsc::Sender<Start>, batch: u32) -> Result<()> {
    loop {
        let Claim { number, jobs } = queue.fetch(batch);
        if jobs.is_empty() {
            queue.arrived.notified().await;
            continue;
        }
        let mut completed = Vec::with_capacity(jobs.len());
        for job in jobs {
            let starts = starts.clone();
            let handler = tokio::spawn(async move {
                let start = Instant::now();
                starts.send((job::run(job.id, &job.args)?, start)).await?;
                anyhow::Ok(job)
            });
            completed.push(handler.await.context("a handler panicked")??);
        }
        queue.finish(number, completed)?;
    }
}
