//! What an enqueue in the caller's own transaction costs: one connection does three sorts of transactions in
//! turn, each with a row of the user's, and beside it nothing, a plain insert of the job's bytes, or an
//! enqueue through the adapter of sqlx. The plain insert is what one would write by hand: one table, one
//! index, no notification.
//!
//! The connection is one of a thread that does nothing else, all statements are prepared, and the sorts take
//! turns in every round, so that a noisy minute hits all of them.

mod options;
mod report;
mod round_trips;
mod store;
mod transactions;

use std::io;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::options::Options;
use crate::report::Report;
use crate::store::Store;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report =
        runtime.context("no runtime starts").and_then(|runtime| runtime.block_on(run(&Options::parse())));
    match report {
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

async fn run(options: &Options) -> Result<Report> {
    let store = Store::make(options).await?;
    let samples = transactions::measure(&store, options).await?;
    let round_trips = round_trips::count(&store, options).await?;
    let settings = store.settings().await?;
    let stored = store.jobs().await?;
    store.remove().await?;
    let report = Report::new(options, settings, samples, round_trips, stored);
    let mut out = io::stdout().lock();
    if options.json { report.write_json(&mut out) } else { report.write_table(&mut out) }
        .context("the report cannot be written to standard output")?;
    Ok(report)
}
