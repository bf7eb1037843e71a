//! The memory floor.

mod drain;
mod enqueue;
mod latency;
mod queue;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::args::{Args, Mode};
use crate::report::Outcome;

/// Runs one mode.
pub(crate) fn run(args: &Args) -> Result<Outcome> {
    match args.mode {
        Mode::Drain => drain::run(args),
        Mode::Enqueue => enqueue::run(args),
        Mode::Latency => latency::run(args),
    }
}

/// One worker thread a core, which is Tokio's own default.
fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread().enable_time().build().context("the runtime does not start")
}

/// The settings every mode shares.
fn settings(args: &Args) -> Result<Map<String, Value>> {
    let threads = std::thread::available_parallelism().context("the number of cores is unknown")?;
    Ok(Map::from_iter([
        ("batch".to_owned(), json!(args.batch)),
        ("worker_threads".to_owned(), json!(threads)),
    ]))
}
