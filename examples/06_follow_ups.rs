//! Jobs that enqueue jobs, outputs, progress and checkpoints.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use std::time::Duration;

use gristmill::{Attempt, Client, Job, JobContext, Memory, RetryPolicy, Worker};
use serde::{Deserialize, Serialize};

const SOON: Duration = Duration::from_millis(10);

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "order.ship", output = String)]
struct Ship {
    order: u64,
}

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "order.notify")]
struct Notify {
    text: String,
}

/// The follow-up is stored in the same act that completes this job: never one without the other. An attempt
/// that fails leaves nothing behind.
async fn ship(job: Ship, context: JobContext) -> anyhow::Result<String> {
    let parcel = format!("parcel {}", job.order * 100);
    context.enqueue(Notify { text: format!("order {} is on its way in {parcel}", job.order) })?;
    Ok(parcel)
}

async fn notify(job: Notify) {
    println!("{}", job.text);
}

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "rows.import", retry = RetryPolicy::fixed(SOON))]
struct Import {
    rows: u32,
}

/// A later attempt goes on where the one before had stored its checkpoint.
async fn import(job: Import, context: JobContext, Attempt(attempt): Attempt) -> anyhow::Result<()> {
    let start: u32 = context.last_checkpoint().await?.unwrap_or(0);
    println!("attempt {attempt} starts at row {start}");
    for row in start..job.rows {
        anyhow::ensure!(attempt > 1 || row < job.rows / 2, "the file's disk went away");
        context.checkpoint(&(row + 1)).await?;
    }
    context.progress(100).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::new(Memory::new());
    client.enqueue(Import { rows: 10 }).await?;
    let worker =
        Worker::builder(client.clone()).drain().handle(ship).handle(notify).handle(import).build()?;
    // Enqueues, waits until the job has completed, and decodes its output.
    let shipped = client.enqueue_and_wait(Ship { order: 7 }, Duration::from_secs(10));
    let (shipped, report) = tokio::join!(shipped, worker.run());
    println!("shipped: {}", shipped?);
    println!("completed: {}", report?.stats.completed);
    Ok(())
}
