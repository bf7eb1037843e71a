//! The floors of Gristmill's benchmark: per backend the least code one would write by hand that is still
//! at-least-once and keeps finished jobs in history. No retries, timeouts, heartbeats, metrics or rescue:
//! what a floor reaches is what the storage and the machine allow, and the product is measured as a share of
//! it in the same run. Every floor decodes the args of a job into a struct and accounts for the job by its
//! id.

mod account;

mod job;
mod memory;
mod options;
mod postgres;
mod report;
mod sqlite;
mod usage;

use std::io;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::options::{Backend, Options};
use crate::report::Report;

fn main() -> ExitCode {
    match run(&Options::parse()) {
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

fn run(options: &Options) -> Result<Report> {
    options.check()?;
    let outcome = match options.backend {
        Backend::Memory => memory::run(options),
        Backend::Postgres => postgres::run(options),
        Backend::Sqlite => sqlite::run(options),
    }?;
    let report = Report::new(options, outcome, usage::peak_rss_mb()?);
    let mut out = io::stdout().lock();
    if options.json { report.write_json(&mut out) } else { report.write_table(&mut out) }
        .context("the report cannot be written to standard output")?;
    Ok(report)
}
