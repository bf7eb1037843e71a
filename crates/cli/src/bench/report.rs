//! What a run prints: one JSON line, or a few lines for people. What a mode does not measure is null.

use gristmill::Ping;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::options::Options;
use super::spread::Spread;
use super::usage::peak_rss_mb;
use crate::output::Output;

/// One run, with the members of `bench/floors` and those of the product.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    system: &'static str,
    version: &'static str,
    backend: String,
    backend_version: String,
    durability: &'static str,
    mode: &'static str,
    variant: Option<&'static str>,
    settings: Map<String, Value>,
    jobs: u64,
    args_bytes: u32,
    batch: u32,
    workers: u32,
    /// Jobs that run at once over all workers.
    concurrency: u32,
    callers: Option<u32>,
    run_ms: u32,
    backlog: u32,
    unknown: u32,
    history: u32,
    fail_rate_percent: u32,
    delete_on_finish: bool,
    hold_snapshot: bool,
    /// Jobs are enqueued as another process does.
    apart: bool,
    #[serde(flatten)]
    pub(super) figures: Figures,
    peak_rss_mb: Option<f64>,
}

/// The waits of the jobs that were enqueued in a part of a run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Interval {
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    #[serde(flatten)]
    pub(super) wait: Spread,
}

/// What one run measured.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    /// `drain`: bulk enqueue; `enqueue`: one by one from concurrent callers.
    pub(super) enqueue_per_s: Option<f64>,
    /// `enqueue`: bulk.
    pub(super) bulk_enqueue_per_s: Option<f64>,
    /// From the start of the workers to the last finish that is stored.
    pub(super) drain_per_s: Option<f64>,
    /// `sustain`: finished while jobs were enqueued.
    pub(super) sustained_per_s: Option<f64>,
    /// `sustain`: the same for every five seconds.
    pub(super) series_per_s: Option<Vec<f64>>,
    /// `sustain`: what the last third of these is to the first third.
    pub(super) last_to_first: Option<f64>,
    /// Enqueue call to handler start.
    pub(super) latency_ms: Option<Spread>,
    /// `sustain`: the same for each minute, or each quarter of a shorter run.
    pub(super) waits_ms: Option<Vec<Interval>>,
    /// `sustain`: what the 99th percentile of the last of these is to that of the first.
    pub(super) wait_last_to_first: Option<f64>,
    /// One row inserted and committed; only the floors measure it.
    pub(super) commit_ms: Option<Spread>,
    /// User and system time of this process over the phase that gives the mode its name, the embedded store
    /// included.
    pub(super) client_cpu_us_per_job: Option<f64>,
    /// The same of a server on this machine, all its processes together; an embedded store has none.
    pub(super) server_cpu_us_per_job: Option<f64>,
    /// Of a server.
    pub(super) wal_bytes_per_job: Option<WalBytes>,
    /// Worker processes that were killed.
    pub(super) kills: Option<u64>,
    /// Jobs that were given up, as five crashes in a row make the store do.
    pub(super) discarded: Option<u64>,
    /// Jobs that were enqueued and are in no place.
    pub(super) lost: u64,
    /// Jobs that were finished twice.
    pub(super) duplicated: u64,
}

/// Bytes that a server wrote to its log, a job.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct WalBytes {
    /// To store it.
    pub(super) enqueue: Option<f64>,
    /// To fetch and to finish it.
    pub(super) fetch_and_finish: Option<f64>,
}

impl WalBytes {
    /// Null where there is no server.
    pub(super) fn of(enqueue: Option<f64>, fetch_and_finish: Option<f64>) -> Option<Self> {
        (enqueue.is_some() || fetch_and_finish.is_some()).then_some(Self { enqueue, fetch_and_finish })
    }
}

impl Report {
    pub(super) fn new(options: &Options, backend: &str, ping: Ping, jobs: u64, figures: Figures) -> Self {
        Self {
            system: "gristmill",
            version: env!("CARGO_PKG_VERSION"),
            backend: backend.to_owned(),
            backend_version: ping.version,
            durability: ping.durability.as_str(),
            mode: options.mode.as_str(),
            variant: None,
            settings: ping.settings.into_iter().map(|(name, value)| (name, json!(value))).collect(),
            jobs,
            args_bytes: options.args_bytes,
            batch: options.batch,
            workers: options.workers(),
            concurrency: options.workers() * options.slots,
            callers: (options.mode == super::Mode::Enqueue).then_some(options.callers),
            run_ms: options.run_ms,
            backlog: options.backlog,
            unknown: options.unknown,
            history: options.history,
            fail_rate_percent: options.fail_rate,
            delete_on_finish: options.delete_on_finish,
            hold_snapshot: options.hold_snapshot,
            apart: options.apart,
            figures,
            peak_rss_mb: peak_rss_mb(),
        }
    }

    /// Whether every job was finished exactly once.
    pub(super) fn is_complete(&self) -> bool {
        self.figures.lost == 0 && self.figures.duplicated == 0
    }

    /// A few lines for people.
    pub(super) fn show(&self, output: &mut Output) {
        let figures = &self.figures;
        let mut row = |name: &str, value: String| output.line(format_args!("{name:<14}{value}"));
        row("store", format!("{} ({})", self.backend_version, self.durability));
        row("jobs", format!("{} of {} B args", self.jobs, self.args_bytes));
        for (name, rate) in [
            ("enqueue", figures.enqueue_per_s),
            ("bulk enqueue", figures.bulk_enqueue_per_s),
            ("drain", figures.drain_per_s),
            ("sustained", figures.sustained_per_s),
        ] {
            if let Some(rate) = rate {
                row(name, format!("{rate:.0} jobs/s"));
            }
        }
        if let Some(series) = &figures.series_per_s {
            let series: Vec<String> = series.iter().map(|rate| format!("{rate:.0}")).collect();
            row("every 5 s", format!("{} jobs/s", series.join(" ")));
        }
        if let Some(Spread { p50, p95, p99, max }) = figures.latency_ms {
            row("latency", format!("p50 {p50:.3} ms, p95 {p95:.3}, p99 {p99:.3}, max {max:.3}"));
        }
        for Interval { from_s, to_s, wait: Spread { p50, p95, p99, max } } in
            figures.waits_ms.iter().flatten()
        {
            let waits = format!("p50 {p50:.3} ms, p95 {p95:.3}, p99 {p99:.3}, max {max:.3}");
            row(&format!("{from_s:.0}-{to_s:.0} s"), waits);
        }
        if let Some(ratio) = figures.wait_last_to_first {
            row("last / first", format!("{ratio:.2} times the p99"));
        }
        if let Some(cpu_us) = figures.client_cpu_us_per_job {
            row("processor", format!("{cpu_us:.2} us a job"));
        }
        if let Some(cpu_us) = figures.server_cpu_us_per_job {
            row("server", format!("{cpu_us:.2} us of processor a job"));
        }
        if let Some(WalBytes { enqueue, fetch_and_finish }) = figures.wal_bytes_per_job {
            let parts = [(enqueue, "to enqueue"), (fetch_and_finish, "to fetch and finish")];
            let parts: Vec<String> = parts
                .into_iter()
                .filter_map(|(bytes, what)| bytes.map(|bytes| format!("{bytes:.0} B {what}")))
                .collect();
            row("server's log", format!("{} a job", parts.join(", ")));
        }
        if let Some(memory) = self.peak_rss_mb {
            row("memory", format!("{memory:.0} MB at most"));
        }
        if let Some(kills) = figures.kills {
            row("killed", format!("{kills} workers"));
        }
        if let Some(discarded) = figures.discarded.filter(|discarded| *discarded > 0) {
            row("discarded", discarded.to_string());
        }
        row("accounted", format!("{} lost, {} duplicated", figures.lost, figures.duplicated));
    }
}
