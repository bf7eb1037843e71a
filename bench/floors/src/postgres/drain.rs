//! Drain: two connections, each of which fetches a batch, runs it and finishes it. A finish and the next
//! fetch leave together and share a round trip; they are two transactions.
//!
//! The cursor is the last place that any fetch reached. What lies before it is fetched or about to be:
//! nothing here is enqueued late or given back.

use std::cell::Cell;

use anyhow::{Result, ensure};

use super::fill;
use super::server::Server;
use super::session::{Claim, Cursor, START, Session};
use crate::account::Account;
use crate::options::{Design, Options};
use crate::report::{Figures, Outcome, WalBytes};
use crate::usage::Stopwatch;

/// Enqueues all jobs in bulk, then runs them until none is left but those of `--backlog`.
pub(super) async fn run(options: &Options) -> Result<Outcome> {
    let server = Server::prepare(options).await?;
    let sessions =
        [Session::open(&server, options.design).await?, Session::open(&server, options.design).await?];
    let jobs = options.jobs();
    fill::history(&server, options.history).await?;
    server.checkpoint().await?;

    let before = server.cost().await?;
    let enqueue = Stopwatch::start()?;
    fill::enqueue(&sessions[0], 0..jobs, options).await?;
    let enqueue = enqueue.stop()?;
    let enqueued = server.cost().await?;
    fill::enqueue(&sessions[0], jobs..jobs.saturating_add(options.backlog), options).await?;
    let snapshot = if options.hold_snapshot { Some(server.hold_snapshot().await?) } else { None };

    let drained_from = server.cost().await?;
    let drain = Stopwatch::start()?;
    let account = Account::new(jobs);
    let run =
        Run { cursor: Cell::new(START), left: Cell::new(jobs), account: &account, batch: options.batch };
    tokio::try_join!(run.consume(&sessions[0]), run.consume(&sessions[1]))?;
    let drain = drain.stop()?;
    let drained = server.cost().await?;
    drop(snapshot);

    check(&server, options).await?;
    let figures = Figures {
        enqueue_per_s: Some(enqueue.jobs_per_second(jobs)),
        drain_per_s: Some(drain.jobs_per_second(jobs)),
        client_cpu_us_per_job: Some(drain.cpu_us_per_job(jobs)),
        server_cpu_us_per_job: drained.cpu_us_per_job(drained_from, jobs),
        wal_bytes_per_job: Some(WalBytes {
            enqueue: Some(enqueued.wal_bytes_per_job(before, jobs)),
            fetch_and_finish: Some(drained.wal_bytes_per_job(drained_from, jobs)),
        }),
        ..Figures::default()
    };
    let settings = server.settings(options).await?;
    server.drop_tables().await?;
    Ok(Outcome { variant: options.design.variant(), settings, figures, account })
}

/// What the connections of a run share.
#[derive(Debug)]
struct Run<'run> {
    cursor: Cell<Cursor>,
    /// How many jobs are still to be fetched.
    left: Cell<u32>,
    account: &'run Account,
    batch: u32,
}

impl Run<'_> {
    async fn consume(&self, session: &Session) -> Result<()> {
        let mut claim = self.fetch(session).await?;
        while !claim.is_empty() {
            claim.run(|number| self.account.saw(number))?;
            let ((), next) = tokio::try_join!(session.finish(&claim), self.fetch(session))?;
            claim = next;
        }
        Ok(())
    }

    async fn fetch(&self, session: &Session) -> Result<Claim> {
        let limit = self.batch.min(self.left.get());
        if limit == 0 {
            return Ok(Claim::default());
        }
        // Taken off before the await, so that both connections together never fetch a job of the backlog.
        self.left.set(self.left.get() - limit);
        let claim = session.fetch(self.cursor.get(), limit).await?;
        self.cursor.set(self.cursor.get().max(claim.last.unwrap_or(START)));
        Ok(claim)
    }
}

/// The tables must agree with the account.
async fn check(server: &Server, options: &Options) -> Result<()> {
    let (ready, claims) = (server.count("ready").await?, server.count("claims").await?);
    ensure!(ready == options.backlog, "{ready} jobs are left to run, not the backlog of {}", options.backlog);
    ensure!(claims == 0, "{claims} claims are left after the drain");
    let kept = match options.design {
        Design::Append => options.jobs().saturating_add(options.history),
        Design::Delete => options.history,
    };
    let history = server.count("attempts").await?;
    ensure!(history == kept, "history holds {history} of {kept} jobs");
    Ok(())
}
