//! The JSON shapes of the command line, stable from the first release. Nothing else knows them.
//!
//! Absent values are null, times RFC 3339 in UTC with milliseconds, durations `…_ms` integers.

mod job;
mod line;
mod register;
mod stats;
mod store;

pub(crate) use job::{EventShape, JobShape, RunShape};
pub(crate) use line::{Line, LineError, LineResult};
pub(crate) use register::{Key, RegisterShape};
pub(crate) use stats::{QueueShape, StatsShape, WorkerShape, count_text};
pub(crate) use store::{DiagnosisShape, MigrationShape, VerdictShape};

use std::time::Duration;

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
