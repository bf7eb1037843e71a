//! The SQLite floor: a narrow `ready` table, insert-only `jobs`, one claim row a fetched batch, finished jobs
//! appended to `runs` (`schema.sql`). WAL, 64 MB of cache, SQLite's own page size and checkpoints.
//!
//! Tried, as a share of the drain of this design (300 k jobs of 100 B, batch 1000, two shared cores; at
//! NORMAL and FULL alike): one table whose state column is updated, with a partial index, 0.2–0.4; every
//! table keyed by the 16-byte id and `WITHOUT ROWID`, 0.6–0.9. Pages of 8 and 16 kB and checkpoints at 4,000
//! and 16,000 pages were within the noise. Enqueue in bulk is the same in all of them.

mod drain;
mod enqueue;
mod file;
mod latency;
mod store;

use anyhow::Result;

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
