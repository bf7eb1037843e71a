//! The server behind a store: what it spends on a run, and the snapshot that is held beside it.

use std::time::Duration;

use gristmill::{HeldSnapshot, Postgres, Spent};

use super::process::server_cpu;
use super::usage::{Phase, Stopwatch, float};
use crate::failure::{Failure, Result};

/// The server of a store; an embedded store has none.
#[derive(Debug, Default)]
pub(super) struct Server {
    postgres: Option<Postgres>,
    holds_snapshot: bool,
}

impl Server {
    pub(super) fn new(postgres: Option<Postgres>, holds_snapshot: bool) -> Self {
        Self { postgres, holds_snapshot }
    }

    /// Lets the server vacuum and write out what is old, so that none of it falls into the measurement. Left
    /// out where the role may not.
    pub(super) async fn settle(&self) -> Result<()> {
        if let Some(postgres) = &self.postgres {
            postgres.settle_server().await?;
        }
        Ok(())
    }

    /// Starts a measured phase, beside an old snapshot if one is wanted.
    pub(super) async fn start(&self) -> Result<Meter<'_>> {
        let held = match &self.postgres {
            Some(postgres) if self.holds_snapshot => Some(postgres.hold_snapshot().await?),
            _ => None,
        };
        Ok(Meter { server: self, held, before: self.cost().await?, watch: Stopwatch::start() })
    }

    /// Starts a phase that prepares the measured one.
    pub(super) async fn start_without_snapshot(&self) -> Result<Meter<'_>> {
        Ok(Meter { server: self, held: None, before: self.cost().await?, watch: Stopwatch::start() })
    }

    async fn cost(&self) -> Result<Option<Cost>> {
        let Some(postgres) = &self.postgres else { return Ok(None) };
        let Spent { wal_bytes, local_pid, .. } = postgres.spent().await?;
        Ok(Some(Cost { wal_bytes, cpu: local_pid.and_then(server_cpu) }))
    }
}

/// What a server has spent up to one moment.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wal_bytes: u64,
    /// `None` where its processes cannot be seen.
    cpu: Option<Duration>,
}

/// Measures a phase, here and on the server.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    server: &'a Server,
    held: Option<HeldSnapshot>,
    before: Option<Cost>,
    watch: Stopwatch,
}

impl Meter<'_> {
    /// Ends the phase. A snapshot that was not held to its end makes the figures those of another run.
    pub(super) async fn stop(self) -> Result<Metered> {
        let phase = self.watch.stop();
        let after = self.server.cost().await?;
        if let Some(held) = self.held {
            let lost = |error| Failure::from(error).about("the snapshot was not held to the end");
            held.release().await.map_err(lost)?;
        }
        let spent = self.before.zip(after);
        Ok(Metered {
            phase,
            wal_bytes: spent.map(|(before, after)| after.wal_bytes.saturating_sub(before.wal_bytes)),
            server_cpu: spent.and_then(|(before, after)| after.cpu?.checked_sub(before.cpu?)),
        })
    }
}

/// What a phase took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metered {
    phase: Phase,
    wal_bytes: Option<u64>,
    server_cpu: Option<Duration>,
}

impl Metered {
    /// Jobs a second.
    pub(super) fn per_second(self, jobs: u64) -> f64 {
        self.phase.per_second(jobs)
    }

    /// Processor time of this process a job, microseconds.
    pub(super) fn client_cpu_us_per_job(self, jobs: u64) -> f64 {
        self.phase.cpu_us_per_job(jobs)
    }

    /// Processor time of the server's processes a job, microseconds.
    pub(super) fn server_cpu_us_per_job(self, jobs: u64) -> Option<f64> {
        Some(self.server_cpu?.as_secs_f64() * 1e6 / float(jobs))
    }

    /// Bytes of log that the server wrote, a job.
    pub(super) fn wal_bytes_per_job(self, jobs: u64) -> Option<f64> {
        Some(float(self.wal_bytes?) / float(jobs))
    }
}
