//! Without a worker's loops: fetch jobs, say what became of each.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use std::time::Duration;

use gristmill::{Client, Finished, JobOptions, Memory};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::new(Memory::new());
    for numbers in ["[1,2,3]", "[]", "\"three\"", "[40]"] {
        client.enqueue_raw("sum", numbers, JobOptions::new()).await?;
    }

    // Each job is leased; a heartbeat in the background keeps the leases while the guards live.
    let mut jobs = client.fetch("default", 10).await?;

    // Dropped without a word it is given back, and its attempt with it.
    drop(jobs.pop());

    for job in jobs {
        match job.decode::<Vec<i64>>() {
            Err(error) => {
                println!("discarded: {error}");
                job.discard("no list of numbers").await?;
            }
            Ok(numbers) if numbers.is_empty() => {
                println!("snoozed: nothing to add up yet");
                job.snooze(Duration::from_secs(3600)).await?;
            }
            Ok(numbers) => {
                let sum: i64 = numbers.iter().sum();
                // If the lease had been lost meanwhile, the answer would say so and nothing would have
                // changed.
                let finished = job.complete(&sum).await?;
                assert!(matches!(finished, Finished::Accepted { .. }));
                println!("completed: {sum}");
            }
        }
    }

    // The one that was dropped comes back.
    loop {
        if let Some(job) = client.fetch("default", 1).await?.pop() {
            println!("again: {} at attempt {}", job.decode::<Vec<i64>>()?[0], job.context().attempt());
            job.complete(&()).await?;
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}
