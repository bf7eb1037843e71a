//! What is measured, and how.

use std::time::Duration;

use clap::{Args, ValueEnum};
use gristmill::parse_duration;

use super::job::SMALLEST_ARGS_BYTES;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Enqueue in bulk, then run until all is stored
    Drain,
    /// Enqueue and run at once, for some seconds
    Sustain,
    /// One job now and then on an idle queue
    Latency,
    /// Enqueue one by one from many callers, then in bulk
    Enqueue,
}

impl Mode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Sustain => "sustain",
            Self::Latency => "latency",
            Self::Enqueue => "enqueue",
        }
    }
}

/// The options of a run.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What is measured
    #[arg(long, value_enum, default_value_t = Mode::Drain)]
    pub(crate) mode: Mode,
    /// How many jobs [default: 100000; latency: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    pub(crate) jobs: Option<u32>,
    /// Length of a job's args in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(i64::from(SMALLEST_ARGS_BYTES)..=1_000_000))]
    pub(crate) args_bytes: u32,
    /// Jobs in one bulk enqueue and at most in one fetch
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) batch: u32,
    /// Jobs that run at once in one worker
    #[arg(long, value_name = "N", default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) slots: u32,
    /// Workers: in this process, or with --kill-workers processes [default: 1; with --kill-workers 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) workers: Option<u32>,
    /// Concurrent callers of mode `enqueue`
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) callers: u32,
    /// How long mode `sustain` measures
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Jobs a second of mode `latency` [default: 200] and `sustain` [default: as fast as they run]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// How long a handler waits
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) run_ms: u32,
    /// Leave so many more jobs behind in the queue than `drain` runs
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50_000_000))]
    pub(crate) backlog: u32,
    /// Put so many jobs that no worker has a handler for, of a better priority, before those that `drain`
    /// runs
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50_000_000))]
    pub(crate) unknown: u32,
    /// So many finished jobs lie in the store before the measurement begins
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50_000_000))]
    pub(crate) history: u32,
    /// How many of a hundred jobs fail at their first attempt
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) fail_rate: u32,
    /// Delete jobs in the act that finishes them; without it they stay in history, as they do by default
    #[arg(long)]
    pub(crate) delete_on_finish: bool,
    /// Measure beside an open REPEATABLE READ transaction, which keeps the server from removing dead rows
    #[arg(long)]
    pub(crate) hold_snapshot: bool,
    /// Let mode `latency` enqueue as another process does, so that the store has to notify the worker
    #[arg(long)]
    pub(crate) apart: bool,
    /// Run `drain` in processes of which one is killed every so often, as in 500ms
    #[arg(long, value_name = "EVERY", num_args = 0..=1, default_missing_value = "500ms",
        value_parser = parse_duration, allow_hyphen_values = true, conflicts_with_all = ["delete_on_finish", "backlog", "unknown", "history"])]
    pub(crate) kill_workers: Option<Duration>,
}

impl Options {
    pub(super) fn jobs(&self) -> u32 {
        self.jobs.unwrap_or(if self.mode == Mode::Latency { 1_000 } else { 100_000 })
    }

    pub(super) fn workers(&self) -> u32 {
        self.workers.unwrap_or(if self.kill_workers.is_some() { 3 } else { 1 })
    }

    pub(super) fn run(&self) -> Duration {
        Duration::from_millis(u64::from(self.run_ms))
    }
}
