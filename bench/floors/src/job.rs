//! A job as the floors make, store and run it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// Room for the braces, the field names, a ten-digit number and an empty filler.
pub(crate) const SMALLEST_ARGS_BYTES: u32 = 40;
/// Every job of a run is of this kind.
pub(crate) const KIND: &str = "bench.count";
/// Every job of a run is in this queue.
pub(crate) const QUEUE: &str = "default";
/// Every job of a run has this priority.
pub(crate) const PRIORITY: i16 = 0;
/// Every job of a run may be attempted this often.
pub(crate) const MAX_ATTEMPTS: u16 = 25;

/// What a handler of the benchmark takes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CountArgs {
    /// Place of the job among those of the run, starting at 0.
    pub(crate) number: u32,
    /// Brings the args to the wanted length.
    pub(crate) filler: String,
}

/// A job that is about to be stored.
#[derive(Debug)]
pub(crate) struct NewJob {
    /// 16 bytes in the layout of a UUID v7: milliseconds, then the number, so that ids rise.
    pub(crate) id: [u8; 16],
    /// JSON of [`CountArgs`].
    pub(crate) args: Vec<u8>,
    /// Unix time of the enqueue, milliseconds.
    pub(crate) created_at_ms: i64,
}

impl NewJob {
    /// Makes job `number` with `args_bytes` bytes of args.
    pub(crate) fn new(number: u32, args_bytes: u32) -> Result<Self> {
        let created_at_ms = now_ms()?;
        let args = encode(number, args_bytes)?;
        Ok(Self { id: id(created_at_ms, number)?, args, created_at_ms })
    }
}

/// The handler of every run: decodes the args and checks that they belong to the job `id`.
pub(crate) fn run(id: [u8; 16], args: &[u8]) -> Result<u32> {
    let args: CountArgs = serde_json::from_slice(args).context("the args of a job do not decode")?;
    let number = number_of(id);
    ensure!(args.number == number, "job {number} was given the args of job {}", args.number);
    std::hint::black_box(&args.filler);
    Ok(number)
}

/// The number an id was made from.
pub(crate) fn number_of(id: [u8; 16]) -> u32 {
    let [.., a, b, c, d] = id;
    u32::from_be_bytes([a, b, c, d])
}

/// Unix time in milliseconds.
#[expect(clippy::disallowed_methods, reason = "a floor has no clock that a test would move")]
pub(crate) fn now_ms() -> Result<i64> {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since_epoch: Duration = since_epoch.context("the system clock is before 1970; set it")?;
    i64::try_from(since_epoch.as_millis()).context("the system clock is out of range; set it")
}

fn id(created_at_ms: i64, number: u32) -> Result<[u8; 16]> {
    const VERSION_7: u128 = 7 << 76;
    const VARIANT: u128 = 2 << 62;
    let milliseconds = u128::try_from(created_at_ms).context("the system clock is before 1970; set it")?;
    Ok(((milliseconds << 80) | VERSION_7 | VARIANT | u128::from(number)).to_be_bytes())
}

fn encode(number: u32, args_bytes: u32) -> Result<Vec<u8>> {
    let mut args = CountArgs { number, filler: String::new() };
    let empty_bytes = serde_json::to_vec(&args)?.len();
    let filler_bytes = (args_bytes as usize).saturating_sub(empty_bytes);
    args.filler = "x".repeat(filler_bytes);
    Ok(serde_json::to_vec(&args)?)
}

#[cfg(test)]
mod tests {
    use super::{NewJob, SMALLEST_ARGS_BYTES, number_of, run};

    #[test]
    fn args_have_the_wanted_length() {
        for number in [0, 7, u32::MAX] {
            for args_bytes in [SMALLEST_ARGS_BYTES, 100, 5000] {
                let job = NewJob::new(number, args_bytes).unwrap();
                assert_eq!(job.args.len(), args_bytes as usize, "job {number}");
            }
        }
    }

    #[test]
    fn id_carries_the_number() {
        let job = NewJob::new(123_456, 100).unwrap();
        assert_eq!(number_of(job.id), 123_456);
        assert_eq!(run(job.id, &job.args).unwrap(), 123_456);
    }

    #[test]
    fn handler_refuses_the_args_of_another_job() {
        let [job, other] = [1, 2].map(|number| NewJob::new(number, 100).unwrap());
        assert!(run(job.id, &other.args).is_err());
    }
}
