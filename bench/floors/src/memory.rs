//! The memory floor.

mod drain;
mod enqueue;
mod latency;
mod queue;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::options::{Mode, Options};
use crate::report::Outcome;

/// Runs one mode.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    match options.mode {
        Mode::Drain => drain::run(options),
        Mode::Enqueue => enqueue::run(options),
        Mode::Latency => latency::run(options),
    }
}

/// One worker thread a core, which is Tokio's own default.
fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread().enable_time().build().context("the runtime does not start")
}

/// The settings every mode shares.
fn settings(options: &Options) -> Result<Map<String, Value>> {
    let threads = std::thread::available_parallelism().context("the number of cores is unknown")?;
    Ok(Map::from_iter([
        ("batch".to_owned(), json!(options.batch)),
        ("worker_threads".to_owned(), json!(threads)),
    ]))
}
