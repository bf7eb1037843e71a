//! The client over a store that fails, hangs, or succeeds and says that it failed.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{
    BackendErrorKind, Certainty, Change, Committed, ErrorKind, Expect, JobFilter, JobOptions, JobState, Name,
    Register,
};
use gristmill_engine::{Client, Leased};
use gristmill_memory::Memory;
use gristmill_testkit::{Fault, FaultyBackend, Operation};

const LOST: Fault = Fault::LoseReply(BackendErrorKind::Unavailable);

#[derive(Clone, serde::Serialize, serde::Deserialize, gristmill_macros::Job)]
#[job(kind = "k", crate = "gristmill_core")]
struct Number(u32);

fn faulty() -> (Arc<FaultyBackend>, Client) {
    let backend = Arc::new(FaultyBackend::new(Arc::new(Memory::new())));
    (backend.clone(), Client::new(backend))
}

async fn one(client: &Client) -> anyhow::Result<Leased> {
    Ok(client.fetch("default", 1).await?.pop().expect("a job is available"))
}

#[tokio::test]
async fn an_enqueue_that_broke_off_goes_on_without_a_job_twice() -> anyhow::Result<()> {
    let (backend, client) = faulty();
    backend.spare(Operation::Enqueue, 1);
    backend.script(Operation::Enqueue, [LOST]);
    let partly = client.enqueue_many((0..2_500).map(Number)).await.expect_err("the second call fails");
    assert_eq!((partly.receipts.len(), partly.rest.len()), (1_000, 1_500));
    assert_eq!(partly.error.certainty(), Certainty::MaybeStored);
    assert_eq!(partly.to_string(), "1000 of 2500 jobs were stored");
    let receipts = client.enqueue_prepared(partly.rest).await?;
    assert_eq!(receipts.iter().filter(|receipt| receipt.is_new()).count(), 500);
    assert_eq!(client.count(JobFilter::new(), None).await?.value, 2_500);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_return_ends_with_its_deadline() {
    let backend = Arc::new(FaultyBackend::new(Arc::new(Memory::new())));
    backend.script(Operation::Enqueue, [Fault::HoldRequest]);
    let client = Client::builder(backend).call_deadline(Duration::from_secs(3)).build();
    let began = tokio::time::Instant::now();
    let error = client.enqueue(Number(1)).await.expect_err("it hangs");
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::TimedOut));
    assert_eq!((error.certainty(), error.is_retryable()), (Certainty::MaybeStored, true));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_whose_reply_was_lost_gives_back_what_it_leased() -> anyhow::Result<()> {
    let (backend, client) = faulty();
    client.enqueue(Number(1)).await?;
    backend.script(Operation::Fetch, [LOST]);
    assert!(client.fetch("default", 1).await.is_err());
    let began = tokio::time::Instant::now();
    let job = loop {
        match client.fetch("default", 1).await?.pop() {
            Some(job) => break job,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((job.context().attempt(), job.context().run()), (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_finish_whose_reply_was_lost_stands() -> anyhow::Result<()> {
    let (backend, client) = faulty();
    client.enqueue(Number(1)).await?;
    let job = one(&client).await?;
    let id = job.context().id();
    backend.script(Operation::Finish, [LOST]);
    let error = job.complete(&()).await.expect_err("the reply is lost");
    assert_eq!(error.certainty(), Certainty::MaybeStored);
    // The guard was dropped with the error: its give-back must change nothing.
    while backend.calls(Operation::Finish) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.job(id).await?.map(|job| job.state), Some(JobState::Completed));
    assert_eq!(client.stats().await?.stale_finishes, 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_give_back_that_failed_is_tried_again() -> anyhow::Result<()> {
    let (backend, client) = faulty();
    let id = client.enqueue_raw("k", "1", JobOptions::new()).await?.id;
    backend.script(Operation::Finish, [Fault::Fail(BackendErrorKind::Busy)]);
    drop(one(&client).await?);
    while client.job(id).await?.is_some_and(|job| job.state != JobState::Available) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn jobs_are_told_before_a_lease_ends_that_cannot_be_renewed() -> anyhow::Result<()> {
    let (backend, client) = faulty();
    client.enqueue(Number(1)).await?;
    let job = one(&client).await?;
    backend.script(Operation::Renew, [Fault::Fail(BackendErrorKind::Unavailable); 60]);
    let began = tokio::time::Instant::now();
    job.context().cancellation().cancelled().await;
    let after = began.elapsed();
    assert!(after > Duration::from_secs(20) && after < Duration::from_secs(30), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_repeated_without_harm() -> anyhow::Result<()> {
    let (backend, client) = faulty();
    let put = Register::new(r#"{"v":1}"#);
    let change = Change::new(Name::new("x.test")?, "k", Expect::Absent, put)
        .with_jobs(vec![client.prepare(Number(1))?]);
    backend.script(Operation::Commit, [LOST]);
    let error = client.commit(vec![change.clone()]).await.expect_err("the reply is lost");
    assert_eq!(error.certainty(), Certainty::MaybeStored);
    assert_eq!(client.commit(vec![change.clone()]).await?, [Committed::Again]);
    assert_eq!(client.register("x.test", "k").await?, Some(change.put));
    assert_eq!(client.count(JobFilter::new(), None).await?.value, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_does_not_return_ends_with_its_deadline() -> anyhow::Result<()> {
    let backend = Arc::new(FaultyBackend::new(Arc::new(Memory::new())));
    backend.script(Operation::Commit, [Fault::HoldRequest]);
    let client = Client::builder(backend).call_deadline(Duration::from_secs(3)).build();
    let change = Change::new(Name::new("x.test")?, "k", Expect::Absent, Register::new(r#"{"v":1}"#));
    let error = client.commit(vec![change]).await.expect_err("it hangs");
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::TimedOut));
    assert_eq!(error.certainty(), Certainty::MaybeStored);
    Ok(())
}
