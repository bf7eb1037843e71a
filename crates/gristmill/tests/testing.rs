//! The testing kit itself: what it refuses, and what its assertions say.

use std::time::Duration;

use gristmill::testing::{START, TestQueue};
use gristmill::{
    Clock, Ending, ErrorKind, Job, JobContext, JobError, JobExt, JobState, Outcome, assert_enqueued,
};
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "count", max_attempts = 2)]
struct Count {
    to: u32,
}

async fn count(job: Count) -> Result<(), JobError> {
    if job.to == 0 { Err(JobError::snooze(HOUR)) } else { Ok(()) }
}

fn queue() -> TestQueue {
    TestQueue::new().with_handlers(|worker| worker.handle(count))
}

#[tokio::test]
async fn a_job_is_performed_at_once_and_others_stay() -> anyhow::Result<()> {
    let queue = queue();
    let other = queue.client().enqueue(Count { to: 1 }).await?.id;
    let outcome = queue.perform(Count { to: 2 }.delay(HOUR)).await?;
    assert_eq!(outcome, Outcome::Completed { output: None });
    let other = queue.client().job(other).await?.expect("it is there");
    assert_eq!((other.state, other.attempt), (JobState::Available, 0));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_performed_is_said() -> anyhow::Result<()> {
    let error = TestQueue::new().perform(Count { to: 1 }).await.expect_err("it has no handler");
    assert_eq!((error.kind(), error.to_string().contains("`count`")), (ErrorKind::Invalid, true));
    let queue = queue();
    queue.client().enqueue(Count { to: 1 }.unique_key("one")).await?;
    let error = queue.perform(Count { to: 1 }.unique_key("one")).await.expect_err("the key is held");
    assert!(error.to_string().contains("not stored"), "{error}");
    queue.client().queues().pause("default", "").await?;
    let error = queue.perform(Count { to: 2 }).await.expect_err("the queue is paused");
    assert!(error.to_string().contains("paused"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_drain_runs_what_is_due_by_the_moved_clock() -> anyhow::Result<()> {
    let queue = queue();
    assert_eq!(queue.clock().now(), START);
    queue.client().enqueue(Count { to: 0 }).await?;
    assert_eq!(queue.drain().await?[0].state, Some(JobState::Scheduled));
    assert!(queue.drain().await?.is_empty());
    queue.advance(HOUR);
    assert_eq!(queue.drain().await?[0].ending, Ending::Snoozed);
    Ok(())
}

#[tokio::test]
async fn a_job_without_a_handler_waits() -> anyhow::Result<()> {
    let nothing = async |_: JobContext| anyhow::Ok(());
    let queue = TestQueue::new().with_handlers(|worker| worker.handle_raw("other", nothing));
    let id = queue.client().enqueue(Count { to: 1 }).await?.id;
    assert!(queue.drain().await?.is_empty());
    let job = queue.client().job(id).await?.expect("it is there");
    assert_eq!((job.state, job.reason.as_deref()), (JobState::Scheduled, Some("no handler")));
    Ok(())
}

#[tokio::test]
async fn a_job_that_enqueues_itself_for_ever_is_found() -> anyhow::Result<()> {
    async fn again(job: Count, context: JobContext) -> anyhow::Result<()> {
        context.enqueue(job)?;
        Ok(())
    }
    let queue = TestQueue::new().with_handlers(|worker| worker.handle(again));
    queue.client().enqueue(Count { to: 1 }).await?;
    let error = queue.drain().await.expect_err("it never ends");
    assert!(error.to_string().contains("enqueue itself"), "{error}");
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "there is: {\"to\":1} (available)")]
async fn a_failed_assertion_shows_what_is_there() {
    let queue = queue();
    queue.client().enqueue(Count { to: 1 }).await.expect("it is stored");
    assert_enqueued!(queue, Count { to: 2 });
}

#[test]
#[should_panic(expected = "has two handlers")]
fn an_invalid_worker_panics() {
    let _ = TestQueue::new().with_handlers(|worker| worker.handle(count).handle(count));
}
