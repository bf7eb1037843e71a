//! What the client enqueues, waits for and operates.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill_core::{
    Backend, Enqueued, Error, ErrorKind, EventKind, ExistingBy, JobExt, JobFilter, JobOptions, JobPatch,
    JobState, Name, NewJob, Priority, Verdict,
};
use gristmill_engine::{Client, Worker};
use gristmill_memory::Memory;

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, serde::Serialize, serde::Deserialize, gristmill_macros::Job)]
#[job(kind = "double", output = u32, max_attempts = 1, crate = "gristmill_core")]
struct Double {
    number: u32,
}

fn client() -> Client {
    Client::new(Memory::new())
}

/// Runs everything that is due, with a real worker.
async fn work(client: &Client) -> anyhow::Result<()> {
    async fn double(job: Double) -> anyhow::Result<u32> {
        anyhow::ensure!(job.number != 13, "an unlucky number");
        Ok(job.number * 2)
    }
    Worker::builder(client.clone()).drain().handle(double).build()?.run().await?;
    Ok(())
}

#[tokio::test]
async fn a_backend_is_taken_by_value_or_shared() {
    let shared = Arc::new(Memory::new());
    let erased: Arc<dyn Backend> = shared.clone();
    for client in [Client::new(Memory::new()), Client::new(shared), Client::new(erased)] {
        assert_eq!(client.backend().name(), "memory");
    }
}

#[tokio::test]
async fn a_unique_key_answers_the_job_that_holds_it() -> anyhow::Result<()> {
    let client = client();
    let first = client.enqueue(Double { number: 1 }.unique_key("one")).await?;
    let second = client.enqueue(Double { number: 1 }.unique_key("one")).await?;
    assert_eq!((first.is_new(), second.is_new(), second.id), (true, false, first.id));
    assert!(matches!(second.enqueued, Enqueued::Existing { by: ExistingBy::UniqueKey, .. }));
    Ok(())
}

#[tokio::test]
async fn a_prepared_job_is_stored_once_however_often_it_is_sent() -> anyhow::Result<()> {
    let client = client();
    let job = client.prepare(Double { number: 1 })?;
    let first = client.enqueue_prepared(vec![job.clone()]).await?;
    let second = client.enqueue_prepared(vec![job]).await?;
    assert_eq!((first[0].is_new(), second[0].is_new()), (true, false));
    assert_eq!(client.count(JobFilter::new(), None).await?.value, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_job_is_said_before_anything_is_sent() -> anyhow::Result<()> {
    let client = client();
    let error = client.enqueue(Double { number: 1 }.queue("a b").priority(11)).await.expect_err("two faults");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("a b") && error.to_string().contains("11"), "{error}");
    let error = client.enqueue_raw("k", "{", JobOptions::new()).await.expect_err("no JSON");
    assert!(error.to_string().starts_with("args: not valid JSON"), "{error}");
    let mut changed = client.prepare(Double { number: 3 })?;
    changed.spec.timeout = Some(Duration::ZERO);
    let jobs = vec![client.prepare(Double { number: 4 })?, changed];
    let partly = client.enqueue_prepared(jobs).await.expect_err("the second was changed");
    assert_eq!((partly.receipts.len(), partly.rest.len(), partly.error.kind()), (0, 2, ErrorKind::Invalid));
    let layered = Client::builder(Memory::new()).layer(|job: &mut NewJob| -> Result<(), Error> {
        job.spec.timeout = Some(Duration::from_micros(999));
        Ok(())
    });
    let error = layered.build().enqueue(Double { number: 5 }).await.expect_err("a layer broke it");
    assert!(error.to_string().contains("the smallest is 1ms"), "{error}");
    let jobs = [Double { number: 1 }.priority(0), Double { number: 2 }.priority(99)];
    let partly = client.enqueue_many(jobs).await.expect_err("the second is wrong");
    assert!(partly.error.to_string().starts_with("job 2: "), "{}", partly.error);
    assert_eq!(client.count(JobFilter::new(), None).await?.value, 0);
    Ok(())
}

#[tokio::test]
async fn many_jobs_go_in_chunks_and_keep_their_order() -> anyhow::Result<()> {
    let client = client();
    let receipts = client.enqueue_many((0..2_500).map(|number| Double { number })).await?;
    assert_eq!(receipts.len(), 2_500);
    assert!(receipts.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(client.count(JobFilter::new(), None).await?.value, 2_500);
    Ok(())
}

#[tokio::test]
async fn layers_see_every_job_and_hooks_every_new_one() -> anyhow::Result<()> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = told.clone();
    let client = Client::builder(Memory::new())
        .layer(|job: &mut NewJob| -> Result<(), Error> {
            job.spec.metadata.insert("tenant", "acme");
            Ok(())
        })
        .layer(|job: &mut NewJob| -> Result<(), Error> {
            let refused = job.spec.priority == Priority::LAST;
            if refused { Err(Error::new(ErrorKind::Refused, "not today")) } else { Ok(()) }
        })
        .on_event(move |event| hook.lock().unwrap().push((event.kind, event.job)))
        .build();
    let receipt = client.enqueue(Double { number: 1 }.unique_key("one")).await?;
    client.enqueue(Double { number: 1 }.unique_key("one")).await?;
    let error = client.enqueue(Double { number: 1 }.priority(10)).await.expect_err("a layer refuses it");
    assert_eq!(error.kind(), ErrorKind::Refused);
    let job = client.job(receipt.id).await?.expect("it is there");
    assert_eq!(job.spec.metadata.get("tenant").and_then(|value| value.as_str()), Some("acme"));
    assert_eq!(*told.lock().unwrap(), [(EventKind::Enqueued, receipt.id)]);
    Ok(())
}

#[tokio::test]
async fn waiting_brings_the_output_or_the_reason() -> anyhow::Result<()> {
    let client = client();
    let waiting = client.clone();
    let output = tokio::spawn(async move { waiting.enqueue_and_wait(Double { number: 21 }, MINUTE).await });
    let waiting = client.clone();
    let reason = tokio::spawn(async move { waiting.enqueue_and_wait(Double { number: 13 }, MINUTE).await });
    while client.count(JobFilter::new(), None).await?.value < 2 {
        tokio::task::yield_now().await;
    }
    work(&client).await?;
    assert_eq!(output.await??, 42);
    let error = reason.await?.expect_err("it is discarded");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("discarded") && error.to_string().contains("unlucky"), "{error}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_its_time_and_for_what_is_not_there() -> anyhow::Result<()> {
    let client = client();
    let id = client.enqueue(Double { number: 1 }).await?.id;
    let error = client.wait(id, MINUTE).await.expect_err("nobody works");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = client.wait(client.mint_id(), MINUTE).await.expect_err("no such job");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    Ok(())
}

#[tokio::test]
async fn operators_act_on_one_job_or_on_all_that_match() -> anyhow::Result<()> {
    let client = Client::builder(Memory::new()).actor("ada").build();
    let receipts = client.enqueue_many((0..1_200).map(|number| Double { number })).await?;
    let id = receipts[0].id;
    let patch = JobPatch::default().priority(Priority::new(5)?);
    assert_eq!(client.update(id, patch).await?, Verdict::Done);
    assert_eq!(client.job(id).await?.map(|job| job.spec.priority.get()), Some(5));
    assert_eq!(client.cancel(id).await?, Verdict::Done);
    assert_eq!(client.cancel(id).await?, Verdict::AlreadyTerminal);
    assert_eq!(client.cancel(client.mint_id()).await?, Verdict::NotFound);
    assert_eq!(client.events(id).await?[0].actor.as_deref(), Some("ada"));

    let every = JobFilter::new().kind(Name::new("double")?);
    let tally = client.cancel_all(every.clone()).await?;
    assert_eq!((tally.done, tally.untouched), (1_199, 1));
    assert_eq!(client.retry(id).await?, Verdict::Done);
    assert_eq!(client.delete_all(every.state(JobState::Cancelled)).await?.done, 1_199);
    let held = client.enqueue(Double { number: 1 }.suspended()).await?.id;
    assert_eq!(client.release_hold(held).await?, Verdict::Done);
    assert_eq!(client.stats().await?.queues[0].count(JobState::Available).value, 2);
    Ok(())
}

#[tokio::test]
async fn a_paused_queue_says_who_and_why() -> anyhow::Result<()> {
    let client = Client::builder(Memory::new()).actor("ada").build();
    client.queues().pause("mail", "the relay is down").await?;
    let queue = &client.queues().list().await?[0];
    assert_eq!((queue.is_paused(), queue.paused_by.as_deref()), (true, Some("ada")));
    assert_eq!(queue.pause_reason.as_deref(), Some("the relay is down"));
    client.queues().resume("mail").await?;
    assert!(!client.queues().list().await?[0].is_paused());
    assert_eq!(client.queues().pause("a b", "").await.expect_err("no name").kind(), ErrorKind::Invalid);
    Ok(())
}

#[tokio::test]
async fn middleware_wraps_every_attempt_in_its_order() -> anyhow::Result<()> {
    use gristmill_core::{Ending, Outcome};
    use gristmill_engine::middleware::{JobRun, Next, from_fn};

    async fn counted(run: &mut JobRun, next: Next<'_>) -> Outcome {
        let outcome = next.run(run).await;
        assert_eq!(run.ending(), Some(Ending::Undecodable));
        outcome
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let client = client();
    let id = client.enqueue_raw("double", r#"{"number":"x"}"#, JobOptions::new()).await?.id;
    let short = client.enqueue_raw("double", r#"{"number":0}"#, JobOptions::new().tag("short")).await?.id;
    let worker = Worker::builder(client.clone())
        .drain()
        .handle(async |_: Double| -> Result<u32, Error> { panic!("never called") })
        .layer(from_fn(move |run, next| {
            counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                match run.context().tags() {
                    [] => next.run(run).await,
                    _ => Outcome::Cancelled { reason: "answered in its place".to_owned() },
                }
            })
        }))
        .layer(counted);
    worker.build()?.run().await?;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(client.runs(id).await?[0].ending, Ending::Undecodable);
    let short = client.job(short).await?.expect("it is kept");
    assert_eq!((short.state, short.reason.as_deref()), (JobState::Cancelled, Some("answered in its place")));
    Ok(())
}
