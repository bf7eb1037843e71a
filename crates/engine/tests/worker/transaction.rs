//! Handlers that write in the transaction which also finishes their job.

use std::sync::{Arc, Mutex};

use gristmill_core::{Backend, BackendErrorKind, Call, Ending, EventKind, JobError, JobOptions, JobState};
use gristmill_engine::{Attempt, JobContext, Tx, WorkerBuilder};
use gristmill_testkit::{Fault, Operation};
use tokio::sync::Notify;

use crate::fixture::{Fixture, MILLI, SECOND, eventually, run};
use crate::ledger::Draft;

const LOST: Fault = Fault::LoseReply(BackendErrorKind::Unavailable);

/// A worker whose handler writes the number of its attempt.
fn writer(t: &Fixture) -> WorkerBuilder<()> {
    t.worker().handle_raw("k", async |Attempt(number): Attempt, mut tx: Tx<Draft>| {
        tx.write(number.to_string());
        Ok::<_, JobError>("written")
    })
}

fn endings(runs: &[gristmill_core::RunRecord]) -> Vec<Ending> {
    runs.iter().map(|run| run.ending).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_writes_is_there_when_its_job_has_completed() {
    let t = Fixture::with_ledger();
    let id = t.enqueue("k").await;
    let worker = run(t.worker().drain().handle_raw("k", async |mut tx: Tx<Draft>, context: JobContext| {
        tx.write("line");
        context.enqueue_raw("follow", "{}", JobOptions::new().queue("later").suspended())?;
        Ok::<_, gristmill_core::Error>(7)
    }));

    let report = worker.report().await;

    assert_eq!((report.stats.completed, report.is_clean()), (1, true));
    assert_eq!(t.lines(), ["line"]);
    let job = t.job(id).await;
    assert_eq!(
        (job.state, job.output.map(|output| output.as_bytes().to_vec())),
        (JobState::Completed, Some(b"7".to_vec()))
    );
    // The end went with the transaction, not by the completer.
    assert_eq!((t.backend.calls(Operation::FinishTx), t.backend.calls(Operation::Finish)), (1, 0));
    assert_eq!(t.client.stats().await.unwrap().queues.len(), 2, "the follow-up job is stored");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_succeed_leaves_nothing_behind() {
    let t = Fixture::with_ledger();
    let id = t.enqueue("k").await;
    let worker = run(t.worker().drain().handle_raw(
        "k",
        async |Attempt(number): Attempt, mut tx: Tx<Draft>, context: JobContext| {
            tx.write(number.to_string());
            match context.run() {
                1 => Err(JobError::retry_after(SECOND, "not yet")),
                2 => panic!("a broken handler"),
                3 => Err(JobError::snooze(SECOND)),
                _ => Ok(()),
            }
        },
    ));

    let stats = worker.report().await.stats;

    assert_eq!((stats.completed, stats.failed, stats.snoozed), (1, 2, 1));
    assert_eq!(t.lines(), ["3"]);
    let runs = t.client.runs(id).await.unwrap();
    assert_eq!(endings(&runs), [Ending::Failed, Ending::Panic, Ending::Snoozed, Ending::Completed]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_stopped_leaves_nothing_behind() {
    let t = Fixture::with_ledger();
    let late = t.enqueue_with("slow", JobOptions::new().timeout(SECOND).max_attempts(1)).await;
    let cancelled = t.enqueue("slow").await;
    let worker = run(t.worker().handle_raw("slow", async |mut tx: Tx<Draft>| {
        tx.write("never");
        std::future::pending::<()>().await;
        Ok::<_, JobError>(())
    }));
    t.until(cancelled, JobState::Running).await;
    t.client.cancel(cancelled).await.unwrap();

    t.until(late, JobState::Discarded).await;
    t.until(cancelled, JobState::Cancelled).await;
    worker.stop().await;

    assert_eq!((t.lines(), t.backend.calls(Operation::FinishTx)), (Vec::<String>::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_has_passed_on_leaves_nothing_behind() {
    let t = Fixture::with_ledger();
    let id = t.enqueue("k").await;
    let (started, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let (starts, waits, tells) = (started.clone(), goes_on.clone(), told.clone());
    let handler = move |mut tx: Tx<Draft>, context: JobContext| {
        let (starts, waits) = (starts.clone(), waits.clone());
        async move {
            tx.write(context.run().to_string());
            if context.run() == 1 {
                starts.notify_one();
                waits.notified().await;
            }
            Ok::<_, JobError>(())
        }
    };
    let worker = run(t
        .worker()
        .handle_raw("k", handler)
        .on_event(move |event| tells.lock().unwrap().push(event.kind)));
    started.notified().await;
    // Another process takes the lease away.
    let id_of_worker = t.backend.list_workers(Call::new()).await.unwrap()[0].id;
    t.backend.retire_worker(Call::new(), id_of_worker).await.unwrap();
    goes_on.notify_one();

    t.until(id, JobState::Completed).await;
    let stats = worker.stop().await.stats;

    assert_eq!(t.lines(), ["2"]);
    assert_eq!((stats.completed, stats.stale_finishes), (1, 1));
    let told = told.lock().unwrap().clone();
    assert_eq!(
        told,
        [EventKind::Started, EventKind::LeaseLost, EventKind::Started, EventKind::Completed],
        "an end that was not accepted is no event of the job's"
    );
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_cannot_begin_now_costs_no_attempt() {
    let t = Fixture::with_ledger();
    t.enqueue_with("k", JobOptions::new().max_attempts(1)).await;
    t.backend.script(
        Operation::Begin,
        [Fault::Fail(BackendErrorKind::Unavailable), Fault::Fail(BackendErrorKind::TimedOut), LOST],
    );

    let stats = run(writer(&t).drain()).report().await.stats;

    assert_eq!((stats.completed, stats.snoozed, stats.failed), (1, 3, 0));
    assert_eq!(t.lines(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_is_a_failed_attempt() {
    let t = Fixture::with_ledger();
    let id = t.enqueue("k").await;
    t.backend.script(Operation::FinishTx, [Fault::Fail(BackendErrorKind::Busy)]);

    let stats = run(writer(&t).drain()).report().await.stats;

    assert_eq!((stats.completed, stats.failed), (1, 1));
    assert_eq!(t.lines(), ["2"]);
    let runs = t.client.runs(id).await.unwrap();
    let error = runs[0].error.as_ref().map(|error| error.message.clone());
    assert!(error.is_some_and(|error| error.starts_with("the transaction was not committed: ")));
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_completes_the_job_once() {
    let t = Fixture::with_ledger();
    let id = t.enqueue("k").await;
    t.backend.script(Operation::FinishTx, [LOST]);

    let stats = run(writer(&t).drain()).report().await.stats;

    assert_eq!((stats.completed, stats.failed, stats.stale_finishes), (1, 0, 0));
    assert_eq!((t.lines(), t.job(id).await.run), (vec!["1".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_never_done_and_never_answered_is_a_failed_attempt() {
    let t = Fixture::with_ledger();
    let id = t.enqueue("k").await;
    t.backend.script(Operation::FinishTx, [Fault::HoldRequest]);

    let stats = run(writer(&t).drain()).report().await.stats;

    assert_eq!((stats.completed, stats.failed), (1, 1));
    assert_eq!((t.lines(), t.job(id).await.run), (vec!["2".to_owned()], 2));
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_settled_although_its_own_answers_are_lost() {
    for (commit, lines) in [(LOST, "1"), (Fault::HoldRequest, "2")] {
        let t = Fixture::with_ledger();
        let id = t.enqueue("k").await;
        t.backend.script(Operation::FinishTx, [commit]);
        t.backend.script(Operation::Finish, [LOST, Fault::Fail(BackendErrorKind::Unavailable), LOST]);

        let stats = run(writer(&t).drain()).report().await.stats;

        let failed = u64::from(lines == "2");
        assert_eq!((stats.completed, stats.failed, stats.stale_finishes), (1, failed, 0));
        assert_eq!((t.lines(), t.job(id).await.state), (vec![lines.to_owned()], JobState::Completed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_outlives_its_handler_is_not_committed() {
    let t = Fixture::with_ledger();
    let id = t.enqueue("k").await;
    let worker =
        run(t.worker().drain().handle_raw("k", async |Attempt(number): Attempt, mut tx: Tx<Draft>| {
            tx.write(number.to_string());
            if number == 1 {
                tokio::spawn(async move {
                    tokio::time::sleep(10 * MILLI).await;
                    drop(tx);
                });
            }
            Ok::<_, JobError>(())
        }));

    assert_eq!(worker.report().await.stats.failed, 1);

    assert_eq!(t.lines(), ["2"]);
    assert_eq!(endings(&t.client.runs(id).await.unwrap()), [Ending::Failed, Ending::Completed]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_has_one_transaction_of_the_backends_type() {
    let t = Fixture::with_ledger();
    let twice = t.enqueue_with("twice", JobOptions::new().max_attempts(1)).await;
    let other = t.enqueue_with("other", JobOptions::new().max_attempts(1)).await;
    let worker = run(t
        .worker()
        .drain()
        .handle_raw("twice", async |_: Tx<Draft>, _: Tx<Draft>| Ok::<_, JobError>(()))
        .handle_raw("other", async |_: Tx<String>| Ok::<_, JobError>(())));

    assert_eq!(worker.report().await.stats.discarded, 2);

    for (id, said) in [(twice, "has its transaction already"), (other, "are no `alloc::string::String`")] {
        let runs = t.client.runs(id).await.unwrap();
        let error = runs[0].error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_blocking_handler_may_write_too() {
    let t = Fixture::with_ledger();
    let worker = run(t.worker().handle_blocking(|_: Note, mut tx: Tx<Draft>| {
        tx.write("from a thread");
        Ok::<_, JobError>(())
    }));
    t.client.enqueue(Note {}).await.unwrap();

    eventually(|| !t.lines().is_empty()).await;

    assert_eq!(worker.stop().await.stats.completed, 1);
}

#[derive(serde::Serialize, serde::Deserialize, gristmill_macros::Job)]
#[job(kind = "note", crate = "gristmill_core")]
struct Note {}

#[test]
fn a_backend_without_transactions_is_refused_when_the_worker_is_built() {
    let t = Fixture::new();
    let error = t.worker().handle(async |_: Note, _: Tx<Draft>| {}).build().expect_err("memory has none");
    assert!(
        error.to_string().contains("the handler of `note` needs `transactions`, which the memory backend"),
        "{error}"
    );
}

#[tokio::test]
async fn a_job_fetched_by_hand_does_not_end_with_a_transaction() {
    let t = Fixture::with_ledger();
    t.enqueue("k").await;
    let leased = t.client.fetch("default", 1).await.unwrap().pop().expect("there is a job");
    let tx = <Tx<Draft> as gristmill_engine::FromJob<()>>::from_job(leased.context(), &()).await.unwrap();
    drop(tx);

    let error = leased.finish(gristmill_core::Outcome::Completed { output: None }).await.unwrap_err();

    assert!(error.to_string().contains("it cannot end with a transaction"), "{error}");
}
