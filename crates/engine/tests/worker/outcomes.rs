//! What becomes of a job by what its handler does.

use std::future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill_core::{Ending, EventKind, JobError, JobOptions, JobState, RetryPolicy};
use gristmill_engine::JobContext;
use gristmill_testkit::{Fault, Operation};

use crate::fixture::{Fixture, MILLI, SECOND, eventually, run};

type Done = Result<(), JobError>;

#[tokio::test(start_paused = true)]
async fn a_completed_job_keeps_its_output_and_tells_its_events() {
    let t = Fixture::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = told.clone();
    let id = t.enqueue("k").await;
    let builder = t
        .worker()
        .handle_raw("k", async |_: JobContext| Ok::<_, JobError>("out"))
        .on_event(move |event| hook.lock().unwrap().push((event.kind, event.job)))
        .drain();
    let report = run(builder).report().await;
    assert_eq!((report.stats.completed, report.is_clean()), (1, true));
    let job = t.job(id).await;
    assert_eq!(job.output.unwrap().as_bytes(), br#""out""#);
    assert_eq!(*told.lock().unwrap(), [(EventKind::Started, id), (EventKind::Completed, id)]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_fails_the_attempt_and_drops_the_handler() {
    let t = Fixture::new();
    let options = JobOptions::new().timeout(10 * SECOND).max_attempts(1);
    let id = t.enqueue_with("k", options).await;
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| future::pending::<Done>().await));
    let took = t.until(id, JobState::Discarded).await;
    assert!((10 * SECOND..=11 * SECOND + 5 * MILLI).contains(&took), "{took:?}");
    assert_eq!(t.client.runs(id).await.unwrap()[0].ending, Ending::Timeout);
    assert_eq!(worker.stop().await.stats.discarded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cooperative_handler_learns_of_its_timeout() {
    let t = Fixture::new();
    let id = t.enqueue_with("k", JobOptions::new().timeout(SECOND).max_attempts(1)).await;
    let worker = run(t.worker().handle_raw("k", async |ctx: JobContext| {
        ctx.cancellation().cancelled().await;
        Err::<(), _>(JobError::retry_after(SECOND, "half done"))
    }));
    let took = t.until(id, JobState::Discarded).await;
    assert!(took <= SECOND + 5 * MILLI, "{took:?}");
    let run = t.client.runs(id).await.unwrap().remove(0);
    assert_eq!(run.ending, Ending::Timeout);
    assert_eq!(run.error.unwrap().message, "timed out after 1s: half done");
    worker.stop().await;
}

/// A program that is signalled to stop may need longer than a tenth of its timeout.
#[tokio::test(start_paused = true)]
async fn a_handler_has_the_cancel_grace_to_come_to_its_end() {
    let t = Fixture::new();
    let options = JobOptions::new().timeout(SECOND).max_attempts(1);
    let (slow, deaf) = (t.enqueue_with("slow", options.clone()).await, t.enqueue_with("deaf", options).await);
    let builder = t
        .worker()
        .cancel_grace(5 * SECOND)
        .handle_raw("deaf", async |_: JobContext| future::pending::<Done>().await)
        .handle_raw("slow", async |ctx: JobContext| {
            ctx.cancelled().await;
            tokio::time::sleep(3 * SECOND).await;
            Err::<(), _>(JobError::retry_after(SECOND, "cleaned up"))
        });
    let worker = run(builder);
    t.until(slow, JobState::Discarded).await;
    let took = t.until(deaf, JobState::Discarded).await;
    assert!(took <= 6 * SECOND + 5 * MILLI, "{took:?}");
    let run = t.client.runs(slow).await.unwrap().remove(0);
    assert_eq!(run.error.unwrap().message, "timed out after 1s: cleaned up");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_before_and_after_the_first_await() {
    let t = Fixture::new();
    let once = JobOptions::new().max_attempts(1);
    let early = t.enqueue_with("early", once.clone()).await;
    let late = t.enqueue_with("late", once).await;
    let builder = t
        .worker()
        .handle_raw("early", async |_: JobContext| -> Done { panic!("at once") })
        .handle_raw("late", async |_: JobContext| -> Done {
            tokio::time::sleep(SECOND).await;
            panic!("after {}", 1)
        });
    let worker = run(builder);
    t.until(late, JobState::Discarded).await;
    t.until(early, JobState::Discarded).await;
    for (id, words) in [(early, "at once"), (late, "after 1")] {
        let run = t.client.runs(id).await.unwrap().remove(0);
        assert_eq!(run.ending, Ending::Panic);
        assert!(run.error.unwrap().message.contains(words));
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_snooze_costs_no_attempt_and_ends_in_time() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let worker = run(t.worker().handle_raw("k", move |ctx: JobContext| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert_eq!(ctx.attempt(), 1);
            if first { Err(JobError::snooze(30 * SECOND)) } else { Ok(()) }
        }
    }));
    let took = t.until(id, JobState::Completed).await;
    assert!((30 * SECOND..=30 * SECOND + 5 * MILLI).contains(&took), "{took:?}");
    assert_eq!(worker.stop().await.stats.snoozed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_when_its_policy_says() {
    let t = Fixture::new();
    let policy = RetryPolicy::fixed(Duration::from_millis(140)).without_jitter();
    let id = t.enqueue_with("k", JobOptions::new().retry(policy)).await;
    let worker = run(t.worker().handle_raw("k", async |ctx: JobContext| {
        if ctx.attempt() < 3 { Err(std::io::Error::other("not yet")) } else { Ok(()) }
    }));
    let took = t.until(id, JobState::Completed).await;
    assert!((280 * MILLI..=295 * MILLI).contains(&took), "{took:?}");
    assert_eq!(worker.stop().await.stats.failed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_job_starts_in_time_on_an_idle_worker() {
    let t = Fixture::new();
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    tokio::time::sleep(5 * SECOND).await;
    let id = t.enqueue_with("k", JobOptions::new().delay(3 * SECOND + 7 * MILLI)).await;
    let took = t.until(id, JobState::Completed).await;
    assert!((3 * SECOND + 7 * MILLI..=3 * SECOND + 12 * MILLI).contains(&took), "{took:?}");
    worker.stop().await;
}

/// One source design took any error that spoke of cancellation for its own shutdown and ran the job again at
/// once, for ever.
#[tokio::test(start_paused = true)]
async fn a_foreign_cancellation_is_a_plain_failure() {
    let t = Fixture::new();
    let id = t.enqueue_with("k", JobOptions::new().max_attempts(1)).await;
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| {
        let task = tokio::spawn(future::pending::<()>());
        task.abort();
        task.await
    }));
    t.until(id, JobState::Discarded).await;
    assert_eq!(t.client.runs(id).await.unwrap()[0].ending, Ending::Failed);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_without_handler_waits_for_a_worker_that_has_one() {
    let t = Fixture::new();
    let id = t.enqueue("unknown").await;
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    t.until(id, JobState::Scheduled).await;
    let job = t.job(id).await;
    assert_eq!((job.reason.as_deref(), job.attempt), (Some("no handler"), 0));
    worker.stop().await;
    let worker = run(t.worker().handle_raw("unknown", async |_: JobContext| Ok::<_, JobError>(())));
    assert!(t.until(id, JobState::Completed).await <= 5 * MILLI);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_a_running_handler_within_a_second() {
    let t = Fixture::new();
    let deaf = t.enqueue("deaf").await;
    let polite = t.enqueue("polite").await;
    let builder = t
        .worker()
        .handle_raw("deaf", async |_: JobContext| future::pending::<Done>().await)
        .handle_raw("polite", async |ctx: JobContext| {
            ctx.cancellation().cancelled().await;
            // Whatever it says now, the job ends cancelled.
            Ok::<_, JobError>(())
        });
    let worker = run(builder);
    t.until(deaf, JobState::Running).await;
    t.until(polite, JobState::Running).await;
    for id in [deaf, polite] {
        t.client.cancel(id).await.unwrap();
    }
    assert!(t.until(polite, JobState::Cancelled).await <= SECOND);
    assert!(t.until(deaf, JobState::Cancelled).await <= SECOND + 50 * MILLI);
    assert_eq!(worker.stop().await.stats.cancelled, 2);
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_is_not_fetched_until_it_is_resumed() {
    let t = Fixture::new();
    t.client.queues().pause("default", "tests").await.unwrap();
    let id = t.enqueue("k").await;
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(t.job(id).await.state, JobState::Available);
    t.client.queues().resume("default").await.unwrap();
    assert!(t.until(id, JobState::Completed).await <= SECOND + 5 * MILLI);
    worker.stop().await;
}

/// A deadline beyond the end of the clock was a panic in the task of the whole batch, whose jobs were then
/// stranded.
#[tokio::test(start_paused = true)]
async fn durations_without_end_are_taken_as_such() {
    let t = Fixture::new();
    let long = Duration::MAX;
    let client = gristmill_engine::Client::builder(t.backend.clone()).call_deadline(long).build();
    let id = client.enqueue_raw("k", "{}", JobOptions::new().timeout(long)).await.unwrap().id;
    let builder = gristmill_engine::Worker::builder(client.clone()).grace(long).timeout(long);
    let worker = run(builder.handle_raw("k", async |ctx: JobContext| {
        assert!(ctx.deadline().is_some());
        Ok::<_, JobError>(())
    }));
    assert_eq!(client.wait(id, long).await.unwrap().state, JobState::Completed);
    assert!(worker.stop().await.is_clean());
}

/// The last log lines hung at the store, the attempt's timeout passed meanwhile, and what had succeeded ran
/// again.
#[tokio::test(start_paused = true)]
async fn what_succeeded_is_completed_although_its_log_cannot_be_stored() {
    let t = Fixture::new();
    let id = t.enqueue_with("k", JobOptions::new().timeout(SECOND)).await;
    t.backend.script(Operation::Record, [Fault::HoldRequest; 10]);
    let worker = run(t.worker().handle_raw("k", async |ctx: JobContext| {
        ctx.log("a line");
        Ok::<_, JobError>(())
    }));
    t.until(id, JobState::Completed).await;
    let id = t.enqueue("k").await;
    eventually(|| t.backend.calls(Operation::Record) > 1).await;
    let report = worker.stop().await;
    assert_eq!((report.stats.failed, report.stats.released), (0, 0));
    assert_eq!(t.job(id).await.state, JobState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_function_of_the_users_says_when_a_failed_attempt_is_tried_again() {
    let t = Fixture::new();
    let failing = async |ctx: JobContext| match ctx.attempt() {
        1 => Err(std::io::Error::other(JobError::retry_after(SECOND, "by the error"))),
        2 => Err(std::io::Error::other("busy")),
        3 => Err(std::io::Error::other("broken")),
        _ => Ok(()),
    };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let builder = t.worker().handle_raw("k", failing).retry_with("k", move |attempt, error| {
        log.lock().unwrap().push((attempt, error.message.clone()));
        assert!(error.message != "broken", "it panics");
        5 * SECOND * u32::from(attempt)
    });
    let worker = run(builder);
    let id =
        t.enqueue_with("k", JobOptions::new().retry(RetryPolicy::fixed(3 * SECOND).without_jitter())).await;
    let took = t.until(id, JobState::Completed).await;
    // By the error, by the function, by the policy.
    let expected = SECOND + 10 * SECOND + 3 * SECOND;
    assert!((expected..expected + 100 * MILLI).contains(&took), "{took:?}");
    assert_eq!(*asked.lock().unwrap(), [(2, "busy".to_owned()), (3, "broken".to_owned())]);
    worker.stop().await;
}

/// A job that failed and asked for no delay took a slot for itself, and left thousands of runs a minute.
#[tokio::test(start_paused = true)]
async fn whatever_gives_the_delay_no_failed_job_comes_back_at_once() {
    const FLOOR: Duration = gristmill_core::Decision::SHORTEST_DELAY;
    let t = Fixture::new();
    let failing = async |ctx: JobContext| match ctx.attempt() {
        1 => Err(std::io::Error::other(JobError::retry_after(Duration::ZERO, "by the error"))),
        2 | 3 => Err(std::io::Error::other("busy")),
        _ => Ok(()),
    };
    let builder = t.worker().handle_raw("k", failing).retry_with("k", |attempt, _| {
        assert_eq!(attempt, 2, "the policy gives the delay of the third");
        Duration::ZERO
    });
    let worker = run(builder);
    let id = t.enqueue_with("k", JobOptions::new().retry(RetryPolicy::fixed(Duration::ZERO))).await;
    let took = t.until(id, JobState::Completed).await;
    assert!((3 * FLOOR..3 * FLOOR + 100 * MILLI).contains(&took), "{took:?}");
    worker.stop().await;
}
