//! Enqueue: in bulk from one thread, then one job at a time from concurrent callers, each of which awaits its
//! commit. One writer thread takes everything that waits into one transaction. With the callers on a runtime
//! of one thread, 1.0–1.1 of this at NORMAL and 0.8–1.6 at FULL, without a winner.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow};
use rusqlite::Connection;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::drain::enqueue_all;
use super::file::File;
use super::store::{Insert, begin};
use crate::account::Account;
use crate::job::{NewJob, number_of};
use crate::options::Options;
use crate::report::{Figures, Outcome};
use crate::usage::Stopwatch;

/// A job and where to say that it is stored.
type Request = (NewJob, oneshot::Sender<()>);

/// Measures both ways, each on a file of its own.
pub(super) fn run(options: &Options) -> Result<Outcome> {
    let mut connection = File::create(options)?.connect()?;
    let bulk = Stopwatch::start()?;
    enqueue_all(&mut connection, options)?;
    let bulk = bulk.stop()?;
    drop(connection);

    let file = File::create(options)?;
    let connection = file.connect()?;
    let runtime = Builder::new_multi_thread().build().context("the runtime does not start")?;
    let single = Stopwatch::start()?;
    let (requests, incoming) = mpsc::channel(options.callers() as usize);
    let writer = thread::Builder::new().name("writer".to_owned()).spawn(|| write(connection, incoming))?;
    let called = runtime.block_on(call(requests, options));
    writer.join().map_err(|_| anyhow!("the writer panicked"))??;
    called?;
    let single = single.stop()?;

    let mut settings = file.settings(options);
    settings.insert("callers".to_owned(), json!(options.callers()));
    let figures = Figures {
        enqueue_per_s: Some(single.jobs_per_second(options.jobs())),
        bulk_enqueue_per_s: Some(bulk.jobs_per_second(options.jobs())),
        client_cpu_us_per_job: Some(single.cpu_us_per_job(options.jobs())),
        ..Figures::default()
    };
    Ok(Outcome { variant: "one writer, group commit", settings, figures, account: stored(&file, options)? })
}

fn write(mut connection: Connection, mut incoming: mpsc::Receiver<Request>) -> Result<()> {
    let limit = incoming.max_capacity();
    let mut waiting = Vec::with_capacity(limit);
    while incoming.blocking_recv_many(&mut waiting, limit) > 0 {
        let tx = begin(&mut connection)?;
        let mut insert = Insert::new(&tx)?;
        for (job, _) in &waiting {
            insert.insert(job)?;
        }
        drop(insert);
        tx.commit()?;
        for (_, stored) in waiting.drain(..) {
            // The receiver is gone only if its caller ended with an error, which the run reports.
            stored.send(()).ok();
        }
    }
    Ok(())
}

async fn call(requests: mpsc::Sender<Request>, options: &Options) -> Result<()> {
    let next = Arc::new(AtomicU32::new(0));
    let (jobs, args_bytes) = (options.jobs(), options.args_bytes);
    let mut callers = JoinSet::new();
    for _ in 0..options.callers() {
        let (requests, next) = (requests.clone(), next.clone());
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return anyhow::Ok(());
                }
                let (stored, is_stored) = oneshot::channel();
                let request = (NewJob::new(number, args_bytes)?, stored);
                requests.send(request).await.map_err(|_| anyhow!("the writer has ended"))?;
                is_stored.await.context("the writer has ended")?;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.context("a caller panicked")??;
    }
    Ok(())
}

fn stored(file: &File, options: &Options) -> Result<Account> {
    let account = Account::new(options.jobs());
    let connection = file.connect()?;
    let mut select = connection.prepare("SELECT jobs.id FROM ready JOIN jobs ON jobs.seq = ready.seq")?;
    for id in select.query_map([], |row| row.get(0))? {
        account.saw(number_of(id?));
    }
    Ok(account)
}
