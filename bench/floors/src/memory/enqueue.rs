//! Enqueue: in bulk from one thread, then one job at a time from concurrent callers. A caller takes the lock for
//! one insert; there is nothing to wait for, so nothing else was tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::task::JoinSet;

use super::drain::enqueue_all;
use super::queue::Queue;
use crate::account::Account;
use crate::args::Args;
use crate::job::{NewJob, number_of};
use crate::report::{Figures, Outcome};
use crate::usage::Stopwatch;

/// Measures both ways, each on an empty queue.
pub(super) fn run(args: &Args) -> Result<Outcome> {
    let bulk = Stopwatch::start()?;
    enqueue_all(&Queue::default(), args)?;
    let bulk = bulk.stop()?;

    let queue = Arc::new(Queue::default());
    let runtime = super::runtime()?;
    let single = Stopwatch::start()?;
    runtime.block_on(enqueue_singly(&queue, args))?;
    let single = single.stop()?;

    let account = Account::new(args.jobs());
    queue.ready_ids().into_iter().for_each(|id| account.saw(number_of(id)));
    let mut settings = super::settings(args)?;
    settings.insert("callers".to_owned(), json!(args.callers));
    let figures = Figures {
        enqueue_per_s: Some(single.jobs_per_second(args.jobs())),
        bulk_enqueue_per_s: Some(bulk.jobs_per_second(args.jobs())),
        client_cpu_us_per_job: Some(single.cpu_us_per_job(args.jobs())),
        ..Figures::default()
    };
    Ok(Outcome { variant: "lock an insert", settings, figures, account })
}

async fn enqueue_singly(queue: &Arc<Queue>, args: &Args) -> Result<()> {
    let next = Arc::new(AtomicU32::new(0));
    let (jobs, args_bytes) = (args.jobs(), args.args_bytes);
    let mut callers = JoinSet::new();
    for _ in 0..args.callers {
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
