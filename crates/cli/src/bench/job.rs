//! A job of the benchmark, as a user would write one: a small struct, decoded from about 100 bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_timer::Delay;
use gristmill::{Attempt, Job, JobError, JobOptions, Priority, Retention, RetryPolicy, State};
use serde::{Deserialize, Serialize};

use super::account::{Account, Places};
use super::options::Options;

/// Room for the braces, the field names, a ten-digit number and an empty filler.
pub(super) const SMALLEST_ARGS_BYTES: u32 = 40;
/// A queue of its own, so that no other worker takes the jobs and no other job is taken.
pub(super) const QUEUE: &str = "bench";

/// What the handler takes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Count {
    /// The place of the job among those of the run, from 0.
    pub(super) number: u32,
    /// Brings the args to the wanted length.
    filler: String,
}

impl Job for Count {
    const KIND: &'static str = "bench.count";
    type Output = ();

    fn options() -> JobOptions {
        JobOptions::new().queue(QUEUE)
    }
}

/// A job that no worker of the benchmark has a handler for; it is fetched before the others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Unknown;

impl Job for Unknown {
    const KIND: &'static str = "bench.unknown";
    type Output = ();

    fn options() -> JobOptions {
        JobOptions::new().queue(QUEUE).priority(Priority::FIRST.get())
    }
}

/// What every job of a run has in common.
#[derive(Debug, Clone)]
pub(super) struct Form {
    filler_bytes: usize,
    options: JobOptions,
}

impl Form {
    pub(super) fn of(options: &Options) -> Self {
        let empty = Count { number: u32::MAX, filler: String::new() };
        let empty = serde_json::to_vec(&empty).map_or(0, |json| json.len());
        let mut job_options = JobOptions::new().queue(QUEUE);
        if options.delete_on_finish {
            job_options = job_options.retention(Retention::all(Duration::ZERO));
        }
        if options.fail_rate > 0 {
            job_options = job_options.retry(RetryPolicy::fixed(Duration::from_millis(10)));
        }
        Self { filler_bytes: (options.args_bytes as usize).saturating_sub(empty), options: job_options }
    }

    /// Job `number`.
    pub(super) fn job(&self, number: u32) -> gristmill::Enqueue<Count> {
        // Small numbers have fewer digits; the filler makes up for it.
        let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
        let filler = "x".repeat(self.filler_bytes + u32::MAX.ilog10() as usize + 1 - digits);
        gristmill::Enqueue::from(Count { number, filler }).with(|_| self.options.clone())
    }
}

/// What the handlers of a run share.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) account: Account,
    /// When handlers were started, in nanoseconds from `epoch`, where that is wanted.
    pub(super) started: Option<Places<AtomicU64>>,
    pub(super) epoch: Instant,
    run: Duration,
    fail_rate: u32,
}

impl Bench {
    pub(super) fn new(options: &Options, stamped: bool) -> Arc<Self> {
        Arc::new(Self {
            account: Account::default(),
            started: stamped.then(Places::default),
            epoch: Instant::now(),
            run: options.run(),
            fail_rate: options.fail_rate,
        })
    }

    /// Nanoseconds since the epoch; never 0.
    pub(super) fn nanos(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

/// The handler of every run.
pub(super) async fn count(
    job: Count,
    State(bench): State<Arc<Bench>>,
    Attempt(attempt): Attempt,
) -> Result<(), JobError> {
    if let Some(started) = &bench.started {
        started.at(job.number).store(bench.nanos(), Ordering::Relaxed);
    }
    if !bench.run.is_zero() {
        // Tokio's timers end at whole milliseconds, about one too late: a sixth of the slots' time at 5 ms.
        Delay::new(bench.run).await;
    }
    // A multiplicative hash spreads the failures evenly.
    if bench.fail_rate > 0 && attempt == 1 && job.number.wrapping_mul(2_654_435_761) % 100 < bench.fail_rate {
        return Err(JobError::retry_after(Duration::from_millis(10), "this attempt fails on purpose"));
    }
    std::hint::black_box(&job.filler);
    bench.account.ran(job.number);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn args_have_the_wanted_length() {
        let mut options = crate::bench::run::defaults();
        for bytes in [SMALLEST_ARGS_BYTES, 100, 5_000] {
            options.args_bytes = bytes;
            let form = Form::of(&options);
            for number in [0, 9, 10, 4_000_000_000] {
                let json = serde_json::to_vec(&form.job(number).into_job()).expect("it is JSON");
                assert_eq!(json.len(), bytes as usize, "job {number}");
            }
        }
    }
}
