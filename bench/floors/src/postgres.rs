//! The PostgreSQL floor: a narrow `ready` table, one claim row a fetched batch, two connections.

mod cost;
mod drain;
mod enqueue;
mod fill;
mod latency;
mod server;
mod session;
mod statements;

use anyhow::{Context, Result};
use tokio::runtime::Builder;

use crate::options::{Mode, Options};
use crate::report::Outcome;

/// Runs one mode.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let runtime = Builder::new_current_thread().enable_all().build().context("the runtime does not start")?;
    runtime.block_on(async {
        match options.mode {
            Mode::Drain => drain::run(options).await,
            Mode::Enqueue => enqueue::run(options).await,
            Mode::Latency => latency::run(options).await,
        }
    })
}
