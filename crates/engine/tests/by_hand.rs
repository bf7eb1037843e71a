//! Jobs fetched by hand: the guards, what dropping them does, and the heartbeat behind them.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendErrorKind, Ending, Finished, JobError, JobOptions, JobState, Verdict};
use gristmill_engine::{Client, Leased};
use gristmill_memory::Memory;
use gristmill_testkit::{Fault, FaultyBackend, Operation};

async fn with_jobs(count: usize) -> anyhow::Result<Client> {
    let client = Client::new(Memory::new());
    for number in 0..count {
        client.enqueue_raw("k", number.to_string(), JobOptions::new()).await?;
    }
    Ok(client)
}

async fn one(client: &Client) -> anyhow::Result<Leased> {
    Ok(client.fetch("default", 1).await?.pop().expect("a job is available"))
}

#[tokio::test]
async fn every_end_is_stored() -> anyhow::Result<()> {
    let client = with_jobs(6).await?;
    let jobs = client.fetch("default", 10).await?;
    let ids: Vec<_> = jobs.iter().map(|job| job.context().id()).collect();
    let [complete, fail, snooze, cancel, discard, release]: [Leased; 6] =
        jobs.try_into().expect("all six are fetched");
    assert_eq!(complete.decode::<u32>()?, 0);
    assert!(complete.decode::<String>().is_err());
    complete.context().log("a line");
    assert_eq!(complete.complete("done").await?, Finished::Accepted { state: JobState::Completed });
    fail.fail(JobError::retry_after(Duration::from_secs(9), "429")).await?;
    snooze.snooze(Duration::from_secs(9)).await?;
    cancel.cancel("no such user").await?;
    discard.discard("unreadable").await?;
    release.release().await?;
    let jobs = client.jobs(ids.clone()).await?;
    let ends: Vec<_> = jobs.into_iter().flatten().map(|job| (job.state, job.attempt)).collect();
    let expected = [
        (JobState::Completed, 1),
        (JobState::Retryable, 1),
        (JobState::Scheduled, 0),
        (JobState::Cancelled, 1),
        (JobState::Discarded, 1),
        (JobState::Available, 0),
    ];
    assert_eq!(ends, expected);
    assert_eq!(client.runs(ids[0]).await?[0].log[0].text, "a line");
    Ok(())
}

#[tokio::test]
async fn log_lines_of_a_failed_call_are_stored_by_the_next_each_once() -> anyhow::Result<()> {
    let kind = BackendErrorKind::Refused;
    for fault in [Fault::Fail(kind), Fault::LoseReply(kind)] {
        let backend = Arc::new(FaultyBackend::new(Arc::new(Memory::new())));
        let client = Client::new(Arc::clone(&backend));
        client.enqueue_raw("k", "1", JobOptions::new()).await?;
        let job = one(&client).await?;
        let id = job.context().id();
        backend.script(Operation::Record, [fault]);
        job.context().log("one");
        job.context().log("two");
        assert!(job.context().progress(5).await.is_err(), "the store fails");
        job.context().log("three");
        job.complete("done").await?;
        let runs = client.runs(id).await?;
        let lines: Vec<_> = runs[0].log.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, ["one", "two", "three"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_dropped_job_is_given_back_with_its_attempt() -> anyhow::Result<()> {
    let client = with_jobs(1).await?;
    let id = one(&client).await?.context().id();
    let again = loop {
        // The give-back runs in the background: the job is there again when it is.
        match client.fetch("default", 1).await?.pop() {
            Some(again) => break again,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!((again.context().id(), again.context().attempt(), again.context().run()), (id, 1, 2));
    assert_eq!(client.runs(id).await?[0].ending, Ending::Released);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_keeps_a_lease_and_brings_a_cancel() -> anyhow::Result<()> {
    let client = with_jobs(1).await?;
    let job = one(&client).await?;
    let worker = client.workers().await?[0].id;
    assert!(job.renew().await?);
    assert_eq!(client.cancel(job.context().id()).await?, Verdict::Requested);
    job.context().cancellation().cancelled().await;
    let id = job.context().id();
    assert_eq!(job.complete(&()).await?, Finished::Accepted { state: JobState::Cancelled });
    assert_eq!(client.job(id).await?.map(|job| job.worker), Some(Some(worker)));
    Ok(())
}

#[tokio::test]
async fn the_worker_goes_with_its_client() -> anyhow::Result<()> {
    let backend = std::sync::Arc::new(Memory::new());
    let client = Client::new(backend.clone());
    client.fetch("default", 1).await?;
    client.fetch("default", 1).await?;
    assert_eq!(client.workers().await?.len(), 1);
    drop(client);
    let other = Client::new(backend);
    while !other.workers().await?.is_empty() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_lease_changes_nothing_and_the_next_fetch_starts_anew() -> anyhow::Result<()> {
    let client = with_jobs(1).await?;
    let job = one(&client).await?;
    let worker = client.workers().await?[0].id;
    client.backend().retire_worker(gristmill_core::Call::new(), worker).await?;
    assert!(job.renew().await.is_err());
    assert!(job.context().is_cancelled());
    assert!(matches!(job.complete(&()).await?, Finished::LeaseLost { .. }));
    let again = one(&client).await?;
    assert_ne!(client.workers().await?[0].id, worker);
    again.complete(&()).await?;
    Ok(())
}

/// A heartbeat gives back what it does not list. One that was on its way when a fetch began gave back what
/// that fetch had just brought: the job ran twice.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_in_flight_does_not_give_back_what_is_fetched_meanwhile() -> anyhow::Result<()> {
    let backend = Arc::new(FaultyBackend::new(Arc::new(Memory::new())));
    let client = Client::new(backend.clone());
    for _ in 0..2 {
        client.enqueue_raw("k", "{}", JobOptions::new()).await?;
    }
    let first = one(&client).await?;
    backend.script(Operation::Renew, [Fault::HoldRequest]);
    let mut renewal = std::pin::pin!(first.renew());
    assert!(futures_util::poll!(&mut renewal).is_pending());
    let second = one(&client).await?;
    backend.release();
    assert!(renewal.await?);
    assert_eq!(second.complete(&()).await?, Finished::Accepted { state: JobState::Completed });
    Ok(())
}
