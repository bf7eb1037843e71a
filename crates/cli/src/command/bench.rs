//! `bench`: measures the store, and accounts for every job.

use clap::Args;

use crate::bench::{self, Options};
use crate::connect::{Absent, Url};
use crate::failure::{Failure, Result};
use crate::setup::Setup;

/// Measure the store: rates, latency, cost
///
/// Runs in the queue `bench` of the store that --db names on the command line, or else of a temporary SQLite
/// file. Every job is accounted for by its number: a run that loses or doubles one ends with exit code 1.
/// Without --json a few lines for people are printed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    #[command(flatten)]
    options: Options,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
    /// Be a worker process of another `bench`
    #[arg(long, hide = true)]
    child: bool,
}

const EXAMPLES: &str = "\
Examples:
  gristmill bench --db memory: --jobs 1000000
  gristmill bench --db 'sqlite:/data/bench.db?synchronous=full' --mode enqueue --callers 256 --json
  gristmill bench --db 'postgres://me@localhost/app?schema=bench' --mode sustain --hold-snapshot
  gristmill bench --jobs 50000 --run-ms 2 --kill-workers 300ms";

impl Bench {
    pub(crate) async fn run(self, setup: &Setup) -> Result<()> {
        if self.child {
            return bench::be_a_child(setup.connect(Absent::Create).await?, &self.options).await;
        }
        if setup.named {
            return bench::run(&setup.url, &self.options, self.json).await;
        }
        let home = tempfile::Builder::new()
            .prefix("gristmill-bench-")
            .tempdir()
            .map_err(|error| Failure::io("cannot make a temporary folder", &error))?;
        let url = Url::parse(&format!("sqlite:{}", home.path().join("bench.db").display()), None)?;
        bench::run(&url, &self.options, self.json).await
    }
}
