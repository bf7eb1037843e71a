//! The command line.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use crate::job::SMALLEST_ARGS_BYTES;

/// Hand-written minimal queues: the rates and latencies that Gristmill's benchmark is compared with.
///
/// A floor is the least code that is still at-least-once and keeps finished jobs in history. Every job is
/// accounted for by its id; a run that loses or doubles one ends with exit code 1.
#[derive(Debug, Parser)]
#[command(name = "gristmill-floors", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Where the jobs are stored.
    pub(crate) backend: Backend,
    /// What is measured.
    pub(crate) mode: Mode,
    /// How many jobs [default: 200000; for `latency` 1000, one each 5 ms].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    jobs: Option<u32>,
    /// Jobs in one bulk enqueue, and in one fetch and finish.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,
    /// Length of a job's JSON args in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(i64::from(SMALLEST_ARGS_BYTES)..=1_048_576))]
    pub(crate) args_bytes: u32,
    /// SQLite's `synchronous`; at a power loss `full` loses nothing, `normal` may lose the last commits,
    /// `off` the file. A killed process loses nothing at any of them.
    #[arg(long, value_enum, default_value_t = Sync::Full)]
    pub(crate) sync: Sync,
    /// Concurrent callers in `enqueue`, each with one insert under way at a time [default: 256; of PostgreSQL
    /// 16, each with a connection of its own].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    callers: Option<u32>,
    /// The PostgreSQL database, in which the schema `gristmill_floors` is made anew and dropped afterwards.
    #[arg(long, value_name = "URL")]
    pub(crate) db: Option<String>,
    /// What the PostgreSQL floor does with a job that has run.
    #[arg(long, value_enum, default_value_t = Design::Append)]
    pub(crate) design: Design,
    /// So many more jobs lie in the queue than `drain` runs; PostgreSQL only.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50_000_000))]
    pub(crate) backlog: u32,
    /// So many finished jobs lie in history before `drain` begins; PostgreSQL only.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50_000_000))]
    pub(crate) history: u32,
    /// Keep a REPEATABLE READ transaction open while `drain` runs; PostgreSQL only.
    #[arg(long)]
    pub(crate) hold_snapshot: bool,
    /// Folder for the database files [default: a temporary one on a disk, removed afterwards].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// How many jobs the run enqueues.
    pub(crate) fn jobs(&self) -> u32 {
        self.jobs.unwrap_or(match self.mode {
            Mode::Drain | Mode::Enqueue => 200_000,
            Mode::Latency => 1000,
        })
    }

    /// Refuses what the backend and mode would not heed.
    pub(crate) fn check(&self) -> Result<()> {
        let of_a_drain = self.backlog > 0 || self.history > 0 || self.hold_snapshot;
        ensure!(
            !of_a_drain || (self.backend == Backend::Postgres && self.mode == Mode::Drain),
            "--backlog, --history and --hold-snapshot are options of `postgres drain`; leave them out"
        );
        Ok(())
    }

    /// How many callers `enqueue` has.
    pub(crate) fn callers(&self) -> u32 {
        self.callers.unwrap_or(match self.backend {
            Backend::Memory | Backend::Sqlite => 256,
            Backend::Postgres => 16,
        })
    }
}

/// Where the jobs are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// A map in this process.
    Memory,
    /// A PostgreSQL server.
    Postgres,
    /// A SQLite file in WAL mode.
    Sqlite,
}

impl Backend {
    /// The name on the command line and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

/// What the PostgreSQL floor does with a job that has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Design {
    /// Appends a row to history and leaves the job's own row as it is.
    Append,
    /// Deletes it; no history is kept.
    Delete,
}

impl Design {
    /// The name in the report.
    pub(crate) fn variant(self) -> &'static str {
        match self {
            Self::Append => "narrow ready, appended attempts",
            Self::Delete => "narrow ready, deleted jobs",
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Enqueue all jobs in bulk, then run them until none is left.
    Drain,
    /// Enqueue in bulk, then one by one from concurrent callers.
    Enqueue,
    /// One job each 5 ms on an idle queue: enqueue call to handler start.
    Latency,
}

impl Mode {
    /// The name on the command line and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Enqueue => "enqueue",
            Self::Latency => "latency",
        }
    }
}

/// SQLite's `synchronous` setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sync {
    /// Never waits for the disk.
    Off,
    /// Waits at checkpoints only.
    Normal,
    /// Waits at each commit.
    Full,
}

impl Sync {
    /// The name on the command line, in the report and in SQLite's pragma.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Normal => "normal",
            Self::Full => "full",
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  gristmill-floors memory drain
  gristmill-floors sqlite drain --sync normal --jobs 500000 --json
  gristmill-floors sqlite enqueue --sync full --callers 256
  gristmill-floors sqlite latency --sync normal --dir /var/lib/bench
  gristmill-floors postgres drain --db postgres://postgres@localhost/bench --design delete

Build with --release; a debug build measures the compiler's restraint.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Options;

    #[test]
    fn command_line_is_consistent() {
        Options::command().debug_assert();
    }
}
