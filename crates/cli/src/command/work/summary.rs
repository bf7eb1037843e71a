//! What a worker did: its last line and its exit code.

use gristmill::WorkerReport;

use crate::failure::{Failure, Result};
use crate::output::say;

/// Reports what the worker did. A run whose end is not stored is a failure of the command: its job runs
/// again. So is a drain that was stopped.
pub(super) fn conclude(report: &WorkerReport, drain_stopped: bool) -> Result<()> {
    say(done(report));
    let lost = lost(report);
    if lost.is_empty() {
        return if drain_stopped { Err(not_drained()) } else { Ok(()) };
    }
    let message = format!("not everything that ran is stored: {}", lost.join(", "));
    Err(Failure::failed(message).hint(
        "their jobs run again, or have done so in another worker; `gristmill jobs show ID` shows each run",
    ))
}

/// A drain that was stopped.
pub(super) fn not_drained() -> Failure {
    Failure::failed("stopped before the queues were empty")
        .hint("start it again to run the jobs that are left; `gristmill stats` counts them")
}

/// What became of the jobs, leaving out what did not happen.
fn done(report: &WorkerReport) -> String {
    let stats = &report.stats;
    let counts = [
        (stats.completed, "completed"),
        (stats.failed, "to be tried again"),
        (stats.snoozed, "snoozed"),
        (stats.cancelled, "cancelled"),
        (stats.discarded, "discarded"),
        (stats.released, "given back"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if told.is_empty() { "ended: nothing was run".to_owned() } else { format!("ended: {}", told.join(", ")) }
}

fn lost(report: &WorkerReport) -> Vec<String> {
    let counts = [
        (report.stats.stale_finishes, "ended after the lease had passed on"),
        (report.stats.refused_finishes, "refused by the store"),
        (report.unrecorded as u64, "not stored in time"),
        (report.left_running as u64, "still running"),
    ];
    counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
}
