//! Options of one enqueue: when a job runs, before which others, and that it is there only once.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use std::time::Duration;

use gristmill::{Client, Enqueued, Job, JobExt, Memory, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "note.print", priority = 1)]
struct Print {
    note: String,
}

fn note(note: &str) -> Print {
    Print { note: note.to_owned() }
}

async fn print(job: Print) {
    println!("{}", job.note);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::new(Memory::new());

    // By the store's clock. Whole durations only say "not before": a busy worker comes to it later.
    client.enqueue(note("4: fifty milliseconds later").delay(Duration::from_millis(50))).await?;
    // Smaller runs first, as with `nice`: from -10 to 10. Jobs of one priority run in the order of
    // enqueueing.
    client.enqueue(note("3: the kind's own priority")).await?;
    client.enqueue(note("2: after").priority(0)).await?;
    client.enqueue(note("1: first").priority(-10)).await?;

    // While a job with this key has not ended, a second one is not stored: the answer names the first.
    let first =
        client.enqueue(note("5: only once").delay(Duration::from_millis(90)).unique_key("once")).await?;
    let second = client.enqueue(note("never").unique_key("once")).await?;
    assert!(matches!(second.enqueued, Enqueued::Existing { .. }));
    assert_eq!(second.id, first.id);

    // One slot, so that the order is seen.
    Worker::builder(client).queue("default", 1).drain().handle(print).build()?.run().await?;
    Ok(())
}
