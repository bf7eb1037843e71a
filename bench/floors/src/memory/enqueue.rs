//! Enqueue: in bulk from one thread, then one job at a time from concurrent callers. A caller takes the lock
//! for one insert; there is nothing to wait for, so nothing else was tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::task::JoinSet;

use super::drain::enqueue_all;
use super::queue::Queue;
use crate::account::Account;
use crate::job::{NewJob, number_of};
use crate::options::Options;
use crate::report::{Figures, Outcome};
use crate::usage::Stopwatch;

/// Measures both ways, each on an empty queue.
pub(super) fn run(options: &Options) -> Result<Outcome> {
    let bulk = Stopwatch::start()?;
    enqueue_all(&Queue::default(), options)?;
    let bulk = bulk.stop()?;

    let queue = Arc::new(Queue::default());
    let runtime = super::runtime()?;
    let single = Stopwatch::start()?;
    runtime.block_on(enqueue_singly(&queue, options))?;
    let single = single.stop()?;

    let account = Account::new(options.jobs());
    queue.ready_ids().into_iter().for_each(|id| account.saw(number_of(id)));
    let mut settings = super::settings(options)?;
    settings.insert("callers".to_owned(), json!(options.callers()));
    let figures = Figures {
        enqueue_per_s: Some(single.jobs_per_second(options.jobs())),
        bulk_enqueue_per_s: Some(bulk.jobs_per_second(options.jobs())),
        client_cpu_us_per_job: Some(single.cpu_us_per_job(options.jobs())),
        ..Figures::default()
    };
    Ok(Outcome { variant: "lock an insert", settings, figures, account })
}

async fn enqueue_singly(queue: &Arc<Queue>, options: &Options) -> Result<()> {
    let next = Arc::new(AtomicU32::new(0));
    let (jobs, args_bytes) = (options.jobs(), options.args_bytes);
    let mut callers = JoinSet::new();
    for _ in 0..options.callers() {
        let (queue, next) = (queue.clone(), next.clone());
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return anyhow::Ok(());
                }
                queue.enqueue([NewJob::new(number, args_bytes)?]);
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.context("a caller panicked")??;
    }
    Ok(())
}
