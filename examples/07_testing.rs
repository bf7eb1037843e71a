//! Tests of handlers: no worker, no waiting, time moves when the test says so.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use std::time::Duration;

use gristmill::testing::TestQueue;
use gristmill::{
    Job, JobContext, JobError, JobExt, JobState, Outcome, State, assert_enqueued, refute_enqueued,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "account.close", output = bool)]
struct Close {
    user: u64,
}

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "email.farewell")]
struct Farewell {
    user: u64,
}

/// The users that exist.
#[derive(Clone)]
struct Users(Vec<u64>);

async fn close(
    job: Close,
    State(users): State<Users>,
    context: JobContext,
) -> Result<bool, gristmill::BoxError> {
    if !users.0.contains(&job.user) {
        return Err(JobError::cancel("no such user").into());
    }
    context.enqueue(Farewell { user: job.user }.delay(Duration::from_secs(3600)))?;
    Ok(true)
}

async fn farewell(_: Farewell) -> Result<(), JobError> {
    Err(JobError::retry_after(Duration::from_secs(60), "the relay is down"))
}

/// In a real test this is a `#[tokio::test]`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let queue =
        TestQueue::new().with_handlers(|worker| worker.state(Users(vec![7])).handle(close).handle(farewell));

    // One attempt of one job, through serialisation, the store, decoding and extraction.
    let outcome = queue.perform(Close { user: 8 }).await?;
    assert_eq!(outcome, Outcome::Cancelled { reason: "no such user".to_owned() });
    refute_enqueued!(queue, Farewell { user: 8 });

    assert!(queue.output_of(Close { user: 7 }).await?);
    assert_enqueued!(queue, Farewell { user: 7 });

    // Nothing is due before the clock says so.
    assert!(queue.drain().await?.is_empty());
    queue.advance(Duration::from_secs(3600));
    let performed = queue.drain().await?;
    assert_eq!(performed[0].state, Some(JobState::Retryable));

    println!("all assertions hold");
    Ok(())
}
