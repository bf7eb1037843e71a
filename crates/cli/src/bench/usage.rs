//! What the process has used: time, processor time, memory.

use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// The wall and processor time of one phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    /// From start to stop.
    pub(super) elapsed: Duration,
    /// User and system time of the whole process meanwhile.
    cpu: Duration,
}

impl Phase {
    /// Jobs a second.
    pub(super) fn per_second(self, jobs: u64) -> f64 {
        float(jobs) / self.elapsed.as_secs_f64()
    }

    /// Processor time a job, microseconds.
    pub(super) fn cpu_us_per_job(self, jobs: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / float(jobs)
    }
}

/// Measures a [`Phase`].
#[derive(Debug)]
pub(super) struct Stopwatch {
    started: Instant,
    cpu_before: Duration,
}

impl Stopwatch {
    /// Starts a phase.
    pub(super) fn start() -> Self {
        Self { cpu_before: cpu(), started: Instant::now() }
    }

    /// Ends the phase.
    pub(super) fn stop(self) -> Phase {
        Phase { elapsed: self.started.elapsed(), cpu: cpu().saturating_sub(self.cpu_before) }
    }
}

/// The most memory the process ever held, MB of 10^6 bytes.
pub(super) fn peak_rss_mb() -> Option<f64> {
    // getrusage(2): kilobytes on Linux and the BSDs, bytes on macOS.
    let unit_bytes = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    let units = u32::try_from(usage()?.max_rss()).ok()?;
    Some(f64::from(units) * unit_bytes / 1e6)
}

fn cpu() -> Duration {
    let micros = |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0));
    usage().map(|usage| micros(usage.user_time()) + micros(usage.system_time())).unwrap_or_default()
}

fn usage() -> Option<Usage> {
    getrusage(UsageWho::RUSAGE_SELF).ok()
}

/// A count as a number to divide by; counts here are far below the 2^53 a float holds exactly.
pub(super) fn float(count: u64) -> f64 {
    // The one conversion in the standard library that rounds without a cast.
    Duration::from_secs(count).as_secs_f64()
}
