//! The PostgreSQL floor: a narrow `ready` table, insert-only `jobs`, one claim row a fetched batch, two
//! connections on one thread (`schema.sql`, `statements.rs`). A job that has run is a row of `attempts` more,
//! or is deleted.
//!
//! Tried, as the server's processor time of this design with appended attempts (300 k jobs of 100 B, batch
//! 1000, three interleaved rounds; PostgreSQL 15, two shared cores): plans by PostgreSQL's own choice instead
//! of generic ones 1.4; `jobs` and `attempts` in 4 or 8 partitions 1.2; the claim deleted apart from the
//! insert 1.1; an index on `ready (id)` 1.08, and 75 B of log a job more to enqueue; ids taken from the
//! claim's row instead of sent 1.0. Without locks, which needs one fetch at a time, 0.85 and 60 B of log a
//! job less, but no faster. A thread a core costs the client 1.4 and gains nothing. With a round trip each
//! for the finish and the next fetch, the rate is 0.8 of this.

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
