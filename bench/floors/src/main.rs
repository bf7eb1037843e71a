//! The floors of Gristmill's benchmark: per backend the least code one would write by hand that is still
//! at-least-once and keeps finished jobs in history. No retries, timeouts, heartbeats, metrics or rescue: what a
//! floor reaches is what the storage and the machine allow, and the product is measured as a share of it in the
//! same run. Every floor decodes the args of a job into a struct and accounts for the job by its id.

mod account;
mod args;
mod job;
mod memory;
mod report;
mod sqlite;
mod usage;

use std::io;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::args::{Args, Backend};
use crate::report::Report;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(report) if report.is_complete() => ExitCode::SUCCESS,
        Ok(_) => {
            eprintln!("error: jobs were lost or duplicated; the figures of this run do not count");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<Report> {
    let outcome = match args.backend {
        Backend::Memory => memory::run(args),
        Backend::Sqlite => sqlite::run(args),
    }?;
    let report = Report::new(args, outcome, usage::peak_rss_mb()?);
    let mut out = io::stdout().lock();
    if args.json { report.write_json(&mut out) } else { report.write_table(&mut out) }
        .context("the report cannot be written to standard output")?;
    Ok(report)
}
