//! Handlers that block a thread, and handlers without a Rust type of their job.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use gristmill::{Args, Client, Job, JobContext, JobError, JobOptions, Memory, ResultExt, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "primes.count", output = usize)]
struct CountPrimes {
    below: u32,
}

/// Computes, so it would hold up every async handler beside it: `handle_blocking` gives it a thread.
///
/// Nothing can stop a thread from outside. A long loop looks whether it should go on.
#[expect(clippy::needless_pass_by_value, reason = "a handler owns its job")]
fn count_primes(job: CountPrimes, context: JobContext) -> Result<usize, JobError> {
    let is_prime =
        |number: u32| (2..number).take_while(|d| d * d <= number).all(|d| !number.is_multiple_of(d));
    let mut primes = 0;
    for number in 2..job.below {
        if context.is_cancelled() {
            return Err(JobError::cancel("asked to stop"));
        }
        primes += usize::from(is_prime(number));
    }
    Ok(primes)
}

/// JSON in, JSON out: for kinds that other programs own. All arguments are extractors; `Args` is the JSON.
async fn sum(args: Args) -> Result<i64, JobError> {
    let numbers: Vec<i64> = args.decode().or_discard()?;
    Ok(numbers.iter().sum())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::new(Memory::new());
    let primes = client.enqueue(CountPrimes { below: 10_000 }).await?.id;
    let total = client.enqueue_raw("sum", "[1, 2, 39]", JobOptions::new()).await?.id;

    let worker = Worker::builder(client.clone()).drain();
    worker.handle_blocking(count_primes).handle_raw("sum", sum).build()?.run().await?;

    for id in [primes, total] {
        let job = client.job(id).await?.expect("ended jobs are kept for a day at least");
        let output: i64 = job.output.expect("both return a number").decode()?;
        println!("{}: {output}", job.spec.kind);
    }
    Ok(())
}
