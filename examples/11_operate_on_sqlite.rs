//! A store in a file: jobs outlive the process. And what an operator does: look, pause, cancel, retry,
//! delete.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use gristmill::{Client, Job, JobError, JobFilter, JobState, ListRequest, Sqlite, Verdict, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "thumbnail", queue = "media")]
struct Thumbnail {
    image: u32,
}

async fn thumbnail(job: Thumbnail) -> Result<(), JobError> {
    if job.image == 3 { Err(JobError::discard("not an image")) } else { Ok(()) }
}

async fn work(client: &Client) -> anyhow::Result<()> {
    let worker = Worker::builder(client.clone()).queue("media", 4).drain().handle(thumbnail);
    worker.build()?.run().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("jobs.db");

    // One program enqueues and ends …
    let producer = Client::new(Sqlite::open(&path)?);
    producer.enqueue_many((0..6).map(|image| Thumbnail { image })).await?;
    drop(producer);

    // … another one, later, finds the jobs.
    let client = Client::builder(Sqlite::open(&path)?).actor("ada").build();
    let waiting = client.list(ListRequest::new(JobFilter::new().state(JobState::Available))).await?;
    println!("found {} jobs", waiting.items.len());

    // Of what has not started, one is cancelled.
    let newest = waiting.items[0].id;
    assert_eq!(client.cancel(newest).await?, Verdict::Done);
    work(&client).await?;
    for queue in client.stats().await?.queues {
        let count = |state| queue.count(state).value;
        let [completed, cancelled, discarded] =
            [JobState::Completed, JobState::Cancelled, JobState::Discarded].map(count);
        println!("{}: {completed} completed, {cancelled} cancelled, {discarded} discarded", queue.queue.name);
    }

    // Who did what stays with the job.
    for event in client.events(newest).await? {
        println!("{} by {}", event.what, event.actor.unwrap_or_default());
    }

    // Everything discarded again, from attempt 1; then what has ended is deleted.
    let tally = client.retry_all(JobFilter::new().state(JobState::Discarded)).await?;
    println!("retried {}", tally.done);
    work(&client).await?;
    println!("deleted {}", client.delete_all(JobFilter::new()).await?.done);
    Ok(())
}
