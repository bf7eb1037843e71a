//! `drain --kill-workers`: worker processes on one store, of which one at random is killed again and again.

use std::time::Duration;

use gristmill::Client;
use tokio::process::Child;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::children::{LEASE, spawn};
use super::job::Form;
use super::options::Options;
use super::produce::bulk;
use super::report::{Figures, WalBytes};
use super::server::Server;
use super::store::{completed_twice, places};
use super::usage::float;
use crate::failure::{Failure, Result};
use crate::progress::Progress;

/// The store is asked this often how far it is.
const LOOK: Duration = Duration::from_millis(200);
/// Nothing ended for so long: the run is given up, and what has not ended counts as lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// Handlers run more than once by design, when they are killed; what may not happen is that a job ends twice,
/// or never.
pub(super) async fn run(
    client: &Client,
    server: &Server,
    (url, every): (&str, Duration),
    options: &Options,
) -> Result<Figures> {
    let jobs = u64::from(options.jobs());
    let enqueue = server.start_without_snapshot().await?;
    bulk(client, &Form::of(options), 0..options.jobs(), options.batch).await?;
    let enqueue = enqueue.stop().await?;

    let measured = server.start().await?;
    let drain = Instant::now();
    let mut fleet = Fleet { url, options, children: Vec::new(), kills: 0 };
    for _ in 0..options.workers() {
        fleet.children.push(spawn(url, options)?);
    }
    fleet.work(client, every, jobs).await?;
    let drain = drain.elapsed();
    let measured = measured.stop().await?;
    let kills = fleet.end().await?;

    let stored = places(client).await?;
    let ended = stored.completed + stored.discarded;
    Ok(Figures {
        enqueue_per_s: Some(enqueue.per_second(jobs)),
        drain_per_s: Some(float(ended) / drain.as_secs_f64()),
        server_cpu_us_per_job: measured.server_cpu_us_per_job(ended),
        wal_bytes_per_job: WalBytes::of(enqueue.wal_bytes_per_job(jobs), measured.wal_bytes_per_job(ended)),
        kills: Some(kills),
        discarded: Some(stored.discarded),
        lost: jobs.saturating_sub(ended),
        duplicated: completed_twice(client).await?,
        ..Figures::default()
    })
}

/// The worker processes.
struct Fleet<'a> {
    url: &'a str,
    options: &'a Options,
    children: Vec<Child>,
    kills: u64,
}

impl Fleet<'_> {
    /// Until all jobs have ended, or nothing ends any more.
    async fn work(&mut self, client: &Client, every: Duration, jobs: u64) -> Result<()> {
        let mut progress = Progress::new("ended", Some(jobs));
        let (mut looks, mut kills) = (interval(LOOK), interval(every.max(Duration::from_millis(10))));
        kills.set_missed_tick_behavior(MissedTickBehavior::Delay);
        kills.reset();
        let mut ended = 0;
        let mut news = Instant::now();
        loop {
            tokio::select! {
                _ = kills.tick() => self.kill_one().await?,
                _ = looks.tick() => {
                    let stored = places(client).await?;
                    let now = stored.completed + stored.discarded;
                    if now != ended {
                        news = Instant::now();
                    }
                    ended = now;
                    progress.set(ended);
                    if ended >= jobs || news.elapsed() > PATIENCE + LEASE {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn kill_one(&mut self) -> Result<()> {
        let victim = fastrand::usize(..self.children.len());
        let killed = self.children[victim].kill().await;
        killed.map_err(|error| Failure::io("a worker process cannot be killed", &error))?;
        self.kills += 1;
        self.children[victim] = spawn(self.url, self.options)?;
        Ok(())
    }

    /// Ends them gently; says how many were killed.
    async fn end(self) -> Result<u64> {
        for mut child in self.children {
            drop(child.stdin.take());
            child
                .wait()
                .await
                .map_err(|error| Failure::io("a worker process cannot be waited for", &error))?;
        }
        Ok(self.kills)
    }
}
