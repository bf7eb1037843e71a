//! What the process has used: processor time and memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// The wall and processor time of one phase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    /// From start to stop.
    pub(crate) elapsed: Duration,
    /// User and system time of the whole process meanwhile.
    pub(crate) cpu: Duration,
}

impl Phase {
    /// Jobs a second.
    pub(crate) fn jobs_per_second(self, jobs: u32) -> f64 {
        f64::from(jobs) / self.elapsed.as_secs_f64()
    }

    /// Processor time a job, microseconds.
    pub(crate) fn cpu_us_per_job(self, jobs: u32) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / f64::from(jobs)
    }
}

/// Measures a [`Phase`].
#[derive(Debug)]
pub(crate) struct Stopwatch {
    started: Instant,
    cpu_before: Duration,
}

impl Stopwatch {
    /// Starts a phase.
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { cpu_before: cpu()?, started: Instant::now() })
    }

    /// Ends the phase.
    pub(crate) fn stop(self) -> Result<Phase> {
        Ok(Phase { elapsed: self.started.elapsed(), cpu: cpu()?.saturating_sub(self.cpu_before) })
    }
}

/// The most memory the process ever held, MB of 10^6 bytes.
pub(crate) fn peak_rss_mb() -> Result<f64> {
    // getrusage(2): kilobytes on Linux and the BSDs, bytes on macOS.
    let unit_bytes = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    let units = getrusage(UsageWho::RUSAGE_SELF).context("getrusage")?.max_rss();
    let units = u32::try_from(units).map_or(f64::INFINITY, f64::from);
    Ok(units * unit_bytes / 1e6)
}

fn cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("getrusage")?;
    let used = |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0));
    Ok(used(usage.user_time()) + used(usage.system_time()))
}
