//! How a service stops: what runs has its grace, what has not started is given back, nothing waits for a
//! lease.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use gristmill::{CancellationToken, Client, Job, JobFilter, JobState, Memory, State, Worker};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "work")]
struct Work {
    quick: bool,
}

async fn work(job: Work, State(started): State<Arc<Notify>>, token: CancellationToken) {
    started.notify_one();
    if job.quick {
        tokio::time::sleep(Duration::from_millis(20)).await;
    } else {
        // Cancelled when the grace is over. A handler that ignores the token is dropped at its next await.
        token.cancelled().await;
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::new(Memory::new());
    client.enqueue_many([Work { quick: true }, Work { quick: false }, Work { quick: true }]).await?;

    let started = Arc::new(Notify::new());
    let worker = Worker::builder(client.clone())
        .state(started.clone())
        .queue("default", 2)
        .grace(Duration::from_millis(200))
        .handle(work)
        .build()?;

    // A service waits for its signal here: `async { tokio::signal::ctrl_c().await }`.
    let signal = async move { started.notified().await };
    let report = worker.run_until(signal).await?;

    println!("clean: {}", report.is_clean());
    for state in [JobState::Completed, JobState::Available, JobState::Running] {
        let count = client.count(JobFilter::new().state(state), None).await?;
        println!("{state}: {}", count.value);
    }
    Ok(())
}
