//! What a run prints.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::account::Account;
use crate::options::Options;

/// One run, in the shape of a line of `gristmill bench --json`. What a mode does not measure is null.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    system: &'static str,
    version: &'static str,
    backend: &'static str,
    mode: &'static str,
    /// Which design of the floor ran.
    variant: &'static str,
    /// The settings that matter, for example `{"journal_mode":"wal","synchronous":"full","batch":1000}`.
    settings: Map<String, Value>,
    jobs: u32,
    args_bytes: u32,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    peak_rss_mb: f64,
    /// Jobs that were enqueued and never seen again.
    lost: usize,
    /// Jobs that were seen twice.
    duplicated: usize,
}

/// What one run measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// `drain`: bulk enqueue; `enqueue`: one by one from concurrent callers.
    pub(crate) enqueue_per_s: Option<f64>,
    /// `enqueue`: bulk.
    pub(crate) bulk_enqueue_per_s: Option<f64>,
    /// From the first fetch to the last finish.
    pub(crate) drain_per_s: Option<f64>,
    /// Enqueue call to handler start.
    pub(crate) latency_ms: Option<Spread>,
    /// One row inserted and committed, nothing else under way.
    pub(crate) commit_ms: Option<Spread>,
    /// User and system time of the process over the phase that gives the mode its name.
    pub(crate) client_cpu_us_per_job: Option<f64>,
    /// The same of a server on this machine.
    pub(crate) server_cpu_us_per_job: Option<f64>,
    /// Of a server.
    pub(crate) wal_bytes_per_job: Option<WalBytes>,
}

/// Bytes that a server wrote to its log, a job.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct WalBytes {
    /// To store it.
    pub(crate) enqueue: Option<f64>,
    /// To fetch and to finish it.
    pub(crate) fetch_and_finish: Option<f64>,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Half of the samples are no longer.
    pub(crate) p50: f64,
    /// 95 of 100 are no longer.
    pub(crate) p95: f64,
    /// 99 of 100 are no longer.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
}

impl Spread {
    /// Nearest-rank percentiles; `None` without samples.
    pub(crate) fn of(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        let rank = |percent: usize| {
            let place = (samples.len() * percent).div_ceil(100).saturating_sub(1);
            samples.get(place).map(|sample| sample.as_secs_f64() * 1e3)
        };
        Some(Self { p50: rank(50)?, p95: rank(95)?, p99: rank(99)?, max: rank(100)? })
    }
}

/// What a floor hands back.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Which design ran.
    pub(crate) variant: &'static str,
    /// The settings that matter.
    pub(crate) settings: Map<String, Value>,
    /// What was measured.
    pub(crate) figures: Figures,
    /// Every job by its id.
    pub(crate) account: Account,
}

impl Report {
    /// Puts a run and the command line it came from together.
    pub(crate) fn new(options: &Options, outcome: Outcome, peak_rss_mb: f64) -> Self {
        Self {
            system: "floor",
            version: env!("CARGO_PKG_VERSION"),
            backend: options.backend.name(),
            mode: options.mode.name(),
            variant: outcome.variant,
            settings: outcome.settings,
            jobs: options.jobs(),
            args_bytes: options.args_bytes,
            figures: outcome.figures,
            peak_rss_mb,
            lost: outcome.account.lost(),
            duplicated: outcome.account.duplicated(),
        }
    }

    /// Whether every job was seen exactly once.
    pub(crate) fn is_complete(&self) -> bool {
        self.lost == 0 && self.duplicated == 0
    }

    /// Writes one line of JSON.
    pub(crate) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes a table for a reader.
    pub(crate) fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        writeln!(out, "floor {} {} ({})", self.backend, self.mode, self.variant)?;
        row(out, "settings", &settings.join(", "))?;
        row(out, "jobs", &format!("{} of {} B args", self.jobs, self.args_bytes))?;
        let figures = &self.figures;
        for (name, rate) in [
            ("enqueue", figures.enqueue_per_s),
            ("bulk enqueue", figures.bulk_enqueue_per_s),
            ("drain", figures.drain_per_s),
        ] {
            rate.map_or(Ok(()), |rate| row(out, name, &format!("{rate:.0} jobs/s")))?;
        }
        for (name, spread) in [("latency", figures.latency_ms), ("commit", figures.commit_ms)] {
            let Some(Spread { p50, p95, p99, max }) = spread else { continue };
            row(out, name, &format!("p50 {p50:.3} ms, p95 {p95:.3}, p99 {p99:.3}, max {max:.3}"))?;
        }
        if let Some(cpu_us) = figures.client_cpu_us_per_job {
            row(out, "processor", &format!("{cpu_us:.2} us a job"))?;
        }
        if let Some(cpu_us) = figures.server_cpu_us_per_job {
            row(out, "server", &format!("{cpu_us:.2} us a job"))?;
        }
        if let Some(WalBytes { enqueue, fetch_and_finish }) = figures.wal_bytes_per_job {
            let bytes =
                |bytes: Option<f64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{bytes:.0}"));
            let (enqueue, finish) = (bytes(enqueue), bytes(fetch_and_finish));
            row(out, "log", &format!("{enqueue} B a job to enqueue, {finish} to fetch and finish"))?;
        }
        row(out, "memory", &format!("{:.0} MB at most", self.peak_rss_mb))?;
        row(out, "accounted", &format!("{} lost, {} duplicated", self.lost, self.duplicated))
    }
}

fn row(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<13} {value}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Spread;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let samples = (1..=200).rev().map(Duration::from_millis).collect();
        let spread = Spread::of(samples);
        assert_eq!(spread, Some(Spread { p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 }));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
