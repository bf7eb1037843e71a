//! Latency: one job each 5 ms on an idle queue, from the enqueue call to the first line of the handler: a
//! commit by the producer, a notification to the consumer's connection, a commit of the claim.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_postgres::Notification;

use super::server::Server;
use super::session::{START, Session};
use super::statements::LISTEN;
use crate::account::Account;
use crate::job::NewJob;
use crate::options::Options;
use crate::report::{Figures, Outcome, Spread};
use crate::usage::Stopwatch;

const PACE: Duration = Duration::from_millis(5);
const COMMITS: i32 = 400;

/// A handler that has run: the number of its job and when it began.
type Start = (u32, Instant);

/// Measures a lone commit first, then the whole run; its processor time contains the waking of an idle
/// process.
pub(super) async fn run(options: &Options) -> Result<Outcome> {
    let server = Server::prepare(options).await?;
    let commit_ms = Spread::of(commits(&server).await?);

    let producer = Session::open(&server, options.design).await?;
    let (client, notifications) = server.connect().await?;
    client.batch_execute(LISTEN).await.context("the consumer cannot listen")?;
    let consumer = Session::with(client, options.design).await?;
    let before = server.cost().await?;
    let measured = Stopwatch::start()?;
    let (called, started) =
        tokio::try_join!(produce(&producer, options), consume(&consumer, notifications, options))?;
    let measured = measured.stop()?;
    let after = server.cost().await?;

    let account = Account::new(options.jobs());
    let mut waits = Vec::with_capacity(started.len());
    for (number, start) in started {
        account.saw(number);
        let called = called.get(number as usize).context("a job ran that was never enqueued")?;
        waits.push(start - *called);
    }
    let mut settings = server.settings(options).await?;
    settings.insert("pace_ms".to_owned(), json!(PACE.as_millis()));
    server.drop_tables().await?;
    let figures = Figures {
        latency_ms: Spread::of(waits),
        commit_ms,
        client_cpu_us_per_job: Some(measured.cpu_us_per_job(options.jobs())),
        server_cpu_us_per_job: after.cpu_us_per_job(before, options.jobs()),
        ..Figures::default()
    };
    Ok(Outcome { variant: "notification, two commits", settings, figures, account })
}

/// How long one row takes to be inserted and committed while nothing else is under way.
async fn commits(server: &Server) -> Result<Vec<Duration>> {
    let (client, _) = server.connect().await?;
    client.batch_execute("CREATE TABLE commits (number integer PRIMARY KEY)").await?;
    let insert = client.prepare("INSERT INTO commits VALUES ($1)").await?;
    let mut pace = pace();
    let mut took = Vec::new();
    for number in 0..COMMITS {
        pace.tick().await;
        let called = Instant::now();
        client.execute(&insert, &[&number]).await?;
        took.push(called.elapsed());
    }
    Ok(took)
}

async fn produce(session: &Session, options: &Options) -> Result<Vec<Instant>> {
    let mut pace = pace();
    let mut called = Vec::with_capacity(options.jobs() as usize);
    for number in 0..options.jobs() {
        let job = NewJob::new(number, options.args_bytes)?;
        pace.tick().await;
        called.push(Instant::now());
        session.insert_and_notify(&job).await?;
    }
    Ok(called)
}

/// Each notification stands for one job, which an earlier fetch may have found already.
async fn consume(
    session: &Session,
    mut notifications: UnboundedReceiver<Notification>,
    options: &Options,
) -> Result<Vec<Start>> {
    let mut started = Vec::with_capacity(options.jobs() as usize);
    while started.len() < options.jobs() as usize {
        notifications.recv().await.context("the consumer's connection has ended")?;
        let claim = session.fetch(START, options.batch).await?;
        if claim.is_empty() {
            continue;
        }
        let start = Instant::now();
        claim.run(|number| started.push((number, start)))?;
        session.finish(&claim).await?;
    }
    Ok(started)
}

/// One tick each [`PACE`]; one that was missed is not made up for.
fn pace() -> Interval {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}
