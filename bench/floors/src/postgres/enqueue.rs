//! Enqueue: in bulk over one connection, then one job at a time from concurrent callers, each with a
//! connection of its own and a commit a job; the server lets commits that meet share a write of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::fill;
use super::server::Server;
use super::session::Session;
use crate::account::Account;
use crate::job::{NewJob, number_of};
use crate::options::Options;
use crate::report::{Figures, Outcome, WalBytes};
use crate::usage::Stopwatch;

/// Measures both ways, each on tables of its own.
pub(super) async fn run(options: &Options) -> Result<Outcome> {
    let jobs = options.jobs();
    let server = Server::prepare(options).await?;
    let session = Session::open(&server, options.design).await?;
    let bulk = Stopwatch::start()?;
    fill::enqueue(&session, 0..jobs, options).await?;
    let bulk = bulk.stop()?;
    drop(session);

    let server = Server::prepare(options).await?;
    let mut sessions = Vec::with_capacity(options.callers() as usize);
    for _ in 0..options.callers() {
        sessions.push(Session::open(&server, options.design).await?);
    }
    server.checkpoint().await?;
    let before = server.cost().await?;
    let single = Stopwatch::start()?;
    call(sessions, options).await?;
    let single = single.stop()?;
    let after = server.cost().await?;

    let mut settings = server.settings(options).await?;
    settings.insert("callers".to_owned(), json!(options.callers()));
    let figures = Figures {
        enqueue_per_s: Some(single.jobs_per_second(jobs)),
        bulk_enqueue_per_s: Some(bulk.jobs_per_second(jobs)),
        client_cpu_us_per_job: Some(single.cpu_us_per_job(jobs)),
        server_cpu_us_per_job: after.cpu_us_per_job(before, jobs),
        wal_bytes_per_job: Some(WalBytes {
            enqueue: Some(after.wal_bytes_per_job(before, jobs)),
            fetch_and_finish: None,
        }),
        ..Figures::default()
    };
    let account = stored(&server, jobs).await?;
    server.drop_tables().await?;
    Ok(Outcome { variant: "connection a caller", settings, figures, account })
}

async fn call(sessions: Vec<Session>, options: &Options) -> Result<()> {
    let next = Arc::new(AtomicU32::new(0));
    let (jobs, args_bytes) = (options.jobs(), options.args_bytes);
    let mut callers = JoinSet::new();
    for session in sessions {
        let next = next.clone();
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return anyhow::Ok(());
                }
                session.insert_one(&NewJob::new(number, args_bytes)?).await?;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.context("a caller panicked")??;
    }
    Ok(())
}

async fn stored(server: &Server, jobs: u32) -> Result<Account> {
    let account = Account::new(jobs);
    let rows = server.control().query("SELECT jobs.id FROM ready JOIN jobs USING (id)", &[]).await?;
    for row in rows {
        account.saw(number_of(row.try_get::<_, Uuid>(0)?.into_bytes()));
    }
    Ok(account)
}
