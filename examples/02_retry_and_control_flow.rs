//! Errors: a failed attempt comes again; an error can also say snooze, cancel or discard.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use std::time::Duration;

use gristmill::{Attempt, Client, Job, JobError, JobState, Memory, ResultExt, RetryPolicy, Worker};
use serde::{Deserialize, Serialize};

const SOON: Duration = Duration::from_millis(10);

/// Five attempts, the first included; without `retry` the delays are 1 s, 2 s, 4 s … at most 6 h.
#[derive(Serialize, Deserialize, Job)]
#[job(kind = "page.fetch", max_attempts = 5, retry = RetryPolicy::fixed(SOON), output = usize)]
struct Fetch {
    url: String,
}

async fn fetch(job: Fetch, Attempt(attempt): Attempt) -> anyhow::Result<usize> {
    match job.url.as_str() {
        // Any error is a failure: it is tried again while attempts are left.
        "flaky" if attempt < 3 => anyhow::bail!("connection reset"),
        "down" => anyhow::bail!("connection refused"),
        // The server named a time. It counts as a failure; only the delay is another one.
        "busy" if attempt == 1 => Err(JobError::retry_after(SOON, "429"))?,
        // Stopped on purpose: the job ends cancelled. `?` carries it through anyhow, thiserror and boxes.
        "gone" => Err(JobError::cancel("410"))?,
        // Any `Result` says what its error shall mean.
        url if url.contains("port=") => {
            let port: u16 = url.rsplit('=').next().unwrap_or_default().parse().or_discard()?;
            Ok(usize::from(port))
        }
        url => Ok(url.len()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::new(Memory::new());
    let urls = ["good", "flaky", "down", "busy", "gone", "port=x"];
    let receipts = client.enqueue_many(urls.map(|url| Fetch { url: url.to_owned() })).await?;
    Worker::builder(client.clone()).drain().handle(fetch).build()?.run().await?;

    for (url, receipt) in urls.iter().zip(receipts) {
        let job = client.job(receipt.id).await?.expect("ended jobs are kept for a day at least");
        let why = match job.state {
            JobState::Completed => String::new(),
            _ => job.reason.unwrap_or_default(),
        };
        println!("{url}: {} at attempt {} {why}", job.state, job.attempt);
    }
    Ok(())
}
