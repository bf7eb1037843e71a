//! Jobs in a transaction of the caller's, and what a handler writes in its own.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gristmill_core::{
    Backend, BackendErrorKind, BackendTx, Call, Certainty, EnqueueRequest, Enqueued, ErrorKind, ExistingBy,
    FetchedJob, FinishItem, FinishRequest, Finished, Hint, Job, JobExt, JobFilter, JobId, JobOptions,
    JobState, Listener, LostWhy, RunError,
};
use gristmill_postgres::{Postgres, PostgresTransaction};
use gristmill_testkit::block_on;
use gristmill_testserver::{FaultProxy, Postgres as Server};
use tokio_postgres::{Client, NoTls};

use crate::fixture::{Schema, complete, count, fetch, name, register, runtime};

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Note {
    number: i64,
}

impl Job for Note {
    const KIND: &'static str = "work";
    type Output = ();

    fn options() -> JobOptions {
        JobOptions::new().queue("line")
    }
}

fn note(number: i64) -> Note {
    Note { number }
}

/// A client of the caller's, on a table of his own in the schema.
async fn client(schema: &Schema) -> Client {
    let (client, connection) =
        tokio_postgres::connect(Server::shared().url(), NoTls).await.expect("it connects");
    tokio::spawn(connection);
    let text = format!("SET search_path = \"{}\"; CREATE TABLE IF NOT EXISTS notes (n int8)", schema.name);
    client.batch_execute(&text).await.expect("the table is made");
    client
}

fn notes(schema: &Schema) -> String {
    schema.psql("SELECT coalesce(string_agg(n::text, ',' ORDER BY n), '') FROM {schema}.notes")
}

/// Runs a test that needs a client and a backend.
fn with<T, F: Future<Output = T>>(test: impl FnOnce(Schema, Postgres) -> F) -> T {
    let schema = Schema::new();
    let backend = schema.open();
    runtime().block_on(test(schema, backend))
}

async fn jobs(backend: &Postgres) -> u64 {
    backend.count(Call::new(), JobFilter::default(), None).await.expect("a count is answered").value
}

async fn state(backend: &Postgres, id: JobId) -> Option<JobState> {
    let found = backend.get(Call::new(), vec![id]).await.expect("it is answered");
    found[0].as_ref().map(|job| job.state)
}

#[test]
fn a_job_is_there_if_and_only_if_the_callers_transaction_commits() {
    with(|schema, backend| async move {
        let mut client = client(&schema).await;
        for commits in [false, true] {
            let tx = client.transaction().await.unwrap();
            tx.execute("INSERT INTO notes VALUES (1)", &[]).await.unwrap();
            let receipt = backend.enqueue_in(&tx, note(1)).await.unwrap();
            assert!(receipt.is_new());
            assert_eq!(state(&backend, receipt.id).await, None, "nobody else sees it yet");
            if commits {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
            }
            assert_eq!(state(&backend, receipt.id).await, commits.then_some(JobState::Available));
        }
        assert_eq!(notes(&schema), "1");
    });
}

#[test]
fn many_jobs_of_any_options_go_in_one_transaction() {
    with(|schema, backend| async move {
        let mut client = client(&schema).await;
        let tx = client.transaction().await.unwrap();
        let receipts = backend.enqueue_many_in(&tx, (0..2_500).map(note)).await.unwrap();
        let later = backend.enqueue_in(&tx, note(7).delay(Duration::from_secs(60))).await.unwrap();
        let other = backend.enqueue_in(&tx, note(8).queue("another").tag("t").priority(-3)).await.unwrap();
        assert_eq!(backend.enqueue_many_in(&tx, Vec::<Note>::new()).await.unwrap(), []);
        tx.commit().await.unwrap();

        assert_eq!(receipts.len(), 2_500);
        assert!(receipts.iter().all(gristmill_core::Receipt::is_new));
        assert_eq!(state(&backend, later.id).await, Some(JobState::Scheduled));
        assert_eq!(state(&backend, other.id).await, Some(JobState::Available));
        assert_eq!(jobs(&backend).await, 2_502);
    });
}

#[test]
fn a_duplicate_is_an_answer_and_leaves_the_transaction_usable() {
    with(|schema, backend| async move {
        let mut client = client(&schema).await;
        let first = {
            let tx = client.transaction().await.unwrap();
            let first = backend.enqueue_in(&tx, note(1).unique_key("one")).await.unwrap();
            tx.commit().await.unwrap();
            first.id
        };
        let tx = client.transaction().await.unwrap();
        let again = backend.enqueue_in(&tx, note(2).unique_key("one")).await.unwrap();
        let existing = Enqueued::Existing { id: first, by: ExistingBy::UniqueKey };
        assert_eq!((again.id, again.enqueued), (first, existing));
        // Within one call, and the same id twice.
        let prepared = schema.job();
        let twice = vec![prepared.clone(), prepared.clone()];
        let receipts = backend.enqueue_prepared_in(&tx, twice).await.unwrap();
        let existing = Enqueued::Existing { id: prepared.id, by: ExistingBy::Id };
        assert_eq!([&receipts[0].enqueued, &receipts[1].enqueued], [&Enqueued::Created, &existing]);
        let receipts = backend.enqueue_prepared_in(&tx, vec![prepared]).await.unwrap();
        assert_eq!(receipts[0].enqueued, existing);
        tx.execute("INSERT INTO notes VALUES (2)", &[]).await.expect("the transaction goes on");
        tx.commit().await.unwrap();

        assert_eq!((notes(&schema), jobs(&backend).await), ("2".to_owned(), 2));
    });
}

#[test]
fn what_the_rules_refuse_is_not_sent_and_leaves_the_transaction_usable() {
    with(|schema, backend| async move {
        let mut client = client(&schema).await;
        let tx = client.transaction().await.unwrap();
        let error = backend.enqueue_in(&tx, note(1).queue("two words")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let some = [note(1).into(), note(2).priority(99)];
        let error = backend.enqueue_many_in(&tx, some).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        tx.execute("INSERT INTO notes VALUES (1)", &[]).await.expect("the transaction goes on");
        tx.commit().await.unwrap();

        assert_eq!((notes(&schema), jobs(&backend).await), ("1".to_owned(), 0));
    });
}

#[test]
fn transactions_that_cannot_take_a_job_say_why() {
    with(|schema, backend| async move {
        let mut client = client(&schema).await;
        let tx = client.transaction().await.unwrap();
        tx.batch_execute("SELECT 1 / 0").await.unwrap_err();
        let error = backend.enqueue_in(&tx, note(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Refused));
        assert!(error.to_string().contains("aborted") && error.hint().is_some(), "{error}");
        tx.rollback().await.unwrap();

        let tx = client.build_transaction().read_only(true).start().await.unwrap();
        let error = backend.enqueue_in(&tx, note(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::ReadOnly));
    });
}

#[test]
fn a_savepoint_that_is_rolled_back_takes_its_jobs_along() {
    with(|schema, backend| async move {
        let mut client = client(&schema).await;
        let mut tx = client.transaction().await.unwrap();
        let kept = backend.enqueue_in(&tx, note(1)).await.unwrap().id;
        let savepoint = tx.transaction().await.unwrap();
        let lost = backend.enqueue_in(&savepoint, note(2).unique_key("k")).await.unwrap().id;
        savepoint.rollback().await.unwrap();
        let again = backend.enqueue_in(&tx, note(3).unique_key("k")).await.unwrap();
        tx.commit().await.unwrap();

        assert!(again.is_new());
        assert_eq!(state(&backend, kept).await, Some(JobState::Available));
        assert_eq!(state(&backend, lost).await, None);
        assert_eq!(jobs(&backend).await, 2);
    });
}

#[test]
fn nothing_is_left_on_the_callers_connection() {
    with(|schema, backend| async move {
        let mut client = client(&schema).await;
        let tx = client.transaction().await.unwrap();
        let id = backend.enqueue_in(&tx, note(1).unique_key("k")).await.unwrap().id;
        backend.cancel_in(&tx, id).await.unwrap();
        let row = tx
            .query_typed(
                "SELECT (SELECT count(*) FROM pg_prepared_statements), current_setting('synchronous_commit')",
                &[],
            )
            .await
            .unwrap();
        assert_eq!((row[0].get::<_, i64>(0), row[0].get::<_, &str>(1)), (0, "on"));
    });
}

struct Ear(std::sync::mpsc::Sender<Hint>);

impl Listener for Ear {
    fn hint(&self, hint: &Hint) {
        // At the end of a test the receiver is gone.
        let _ = self.0.send(hint.clone());
    }
}

fn heard(hints: &Receiver<Hint>, wanted: impl Fn(&Hint) -> bool) -> bool {
    while let Ok(hint) = hints.recv_timeout(Duration::from_secs(10)) {
        if wanted(&hint) {
            return true;
        }
    }
    false
}

/// Repeats a hint until it arrives, since hints sent before the other process listened are lost. It uses
/// another queue than the test's.
fn until_listening(schema: &Schema, backend: &Postgres, hints: &Receiver<Hint>) {
    let told = (0..100).any(|_| {
        let mut job = schema.job();
        job.spec.queue = name("elsewhere");
        block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![job]))).expect("it is stored");
        hints.recv_timeout(Duration::from_millis(100)).is_ok()
    });
    assert!(told, "nobody listens");
}

#[test]
fn workers_hear_of_the_job_when_the_transaction_commits_in_this_process_too() {
    let schema = Schema::new();
    let (here, elsewhere) = (schema.open(), schema.open());
    let worker = register(&here);
    let mut ears = Vec::new();
    let mut subscriptions = Vec::new();
    for backend in [&here, &elsewhere] {
        let (sender, hints) = channel();
        subscriptions.push(backend.subscribe(Arc::new(Ear(sender))));
        until_listening(&schema, &here, &hints);
        ears.push(hints);
    }
    let mut client = runtime().block_on(client(&schema));

    runtime().block_on(async {
        let tx = client.transaction().await.unwrap();
        here.enqueue_in(&tx, note(1)).await.unwrap();
        tx.commit().await.unwrap();
    });

    for hints in &ears {
        assert!(heard(hints, |hint| matches!(hint, Hint::Available(queue) if queue.as_str() == "line")));
    }
    assert_eq!(fetch(&here, worker, 2, 10).len(), 1);
}

#[test]
fn jobs_that_commit_late_are_found_by_who_has_fetched_past_them() {
    let schema = Schema::new();
    let backend = schema.open();
    let worker = register(&backend);
    let mut client = runtime().block_on(client(&schema));
    runtime().block_on(async {
        let tx = client.transaction().await.unwrap();
        backend.enqueue_in(&tx, note(1)).await.unwrap();
        schema_enqueue(&schema, &backend, 5).await;
        let jobs = tokio::task::spawn_blocking({
            let backend = backend.clone();
            move || fetch(&backend, worker, 1, 5)
        });
        assert_eq!(jobs.await.unwrap().len(), 5);
        tx.commit().await.unwrap();
    });

    assert_eq!(fetch(&backend, worker, 2, 5).len(), 1);
}

async fn schema_enqueue(schema: &Schema, backend: &Postgres, count: usize) {
    let jobs = (0..count).map(|_| schema.job()).collect();
    backend.enqueue(Call::new(), gristmill_core::EnqueueRequest::new(jobs)).await.expect("they are stored");
}

#[test]
fn a_cancel_is_requested_in_the_callers_transaction_and_applied_after_it() {
    with(|schema, backend| async move {
        let mut client = client(&schema).await;
        let tx = client.transaction().await.unwrap();
        let id = backend.enqueue_in(&tx, note(1)).await.unwrap().id;
        tx.commit().await.unwrap();
        let mut last = 0;
        for commits in [false, true] {
            let tx = client.transaction().await.unwrap();
            let request = backend.cancel_in(&tx, id).await.unwrap().request;
            assert!(request > last);
            last = request;
            if commits {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
                assert_eq!(backend.promote(Call::new(), 10).await.unwrap().done, 0);
            }
            assert_eq!(state(&backend, id).await, Some(JobState::Available));
        }
        assert_eq!(backend.promote(Call::new(), 10).await.unwrap().done, 1);
        assert_eq!(state(&backend, id).await, Some(JobState::Cancelled));
        let tx = client.transaction().await.unwrap();
        backend.cancel_in(&tx, schema.job().id).await.unwrap();
        backend.cancel_in(&tx, id).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(backend.promote(Call::new(), 10).await.unwrap().done, 2);
        let events = backend.list_events(Call::new(), id).await.unwrap();
        let whats: Vec<_> = events.iter().map(|event| event.what.as_str()).collect();
        assert_eq!(whats, ["cancel", "request refused"]);
    });
}

/// A leased job and its handler's transaction, in which it has written its number.
async fn writing(schema: &Schema, backend: &Postgres) -> (FetchedJob, Box<dyn BackendTx>) {
    drop(client(schema).await);
    schema_enqueue(schema, backend, 1).await;
    let taken = backend.clone();
    let lease = tokio::task::spawn_blocking(move || fetch(&taken, register(&taken), 1, 1).remove(0));
    let job = lease.await.expect("it is leased");
    let tx = backend.begin(Call::new(), job.lease.clone()).await.expect("it begins");
    let text = format!("INSERT INTO \"{}\".notes VALUES (1)", schema.name);
    driver(&*tx).execute(&text, &[]).await.expect("it writes");
    (job, tx)
}

fn driver(tx: &dyn BackendTx) -> &PostgresTransaction {
    tx.driver().downcast_ref().expect("it is PostgreSQL's")
}

#[test]
fn a_handlers_writes_are_stored_with_the_end_of_its_run() {
    with(|schema, backend| async move {
        let (job, tx) = writing(&schema, &backend).await;
        let enqueued = driver(&*tx).enqueue(note(5)).await.unwrap().id;
        assert_eq!((notes(&schema), state(&backend, enqueued).await), (String::new(), None));

        let finished = tx.finish(Call::new(), FinishItem::complete(job.lease.clone())).await.unwrap();

        assert_eq!(finished, Finished::Accepted { state: JobState::Completed });
        assert_eq!(
            (notes(&schema), state(&backend, enqueued).await),
            ("1".to_owned(), Some(JobState::Available))
        );
    });
}

#[test]
fn a_handler_whose_job_was_rescued_meanwhile_writes_nothing() {
    with(|schema, backend| async move {
        let (job, tx) = writing(&schema, &backend).await;
        // The clock of the store's moves past every lease.
        let now = backend.ping(Call::new()).await.unwrap().now + Duration::from_secs(3600);
        backend.rescue(Call::at(now), 100).await.unwrap();
        assert_eq!(state(&backend, job.lease.job).await, Some(JobState::Available));

        let finished = tx.finish(Call::new(), FinishItem::complete(job.lease.clone())).await.unwrap();

        assert_eq!(finished, Finished::LeaseLost { why: LostWhy::Rescued });
        assert_eq!(
            (notes(&schema), state(&backend, job.lease.job).await),
            (String::new(), Some(JobState::Available))
        );
    });
}

#[test]
fn a_handler_that_ends_its_transaction_by_itself_does_not_complete() {
    for end in ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK AND CHAIN"] {
        with(|schema, backend| async move {
            let (job, tx) = writing(&schema, &backend).await;
            driver(&*tx).batch_execute(end).await.unwrap();

            let ended = tx.finish(Call::new(), FinishItem::complete(job.lease.clone())).await;

            let error = ended.expect_err("the transaction is gone");
            assert_eq!((error.kind(), error.certainty()), (BackendErrorKind::Refused, Certainty::NotStored));
            assert_eq!(state(&backend, job.lease.job).await, Some(JobState::Running), "{end}");
        });
    }
}

#[test]
fn a_commit_the_server_refuses_stores_nothing() {
    with(|schema, backend| async move {
        let (job, tx) = writing(&schema, &backend).await;
        let text = format!(
            "CREATE TABLE \"{0}\".once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO \"{0}\".once VALUES (1), (1)",
            schema.name
        );
        driver(&*tx).batch_execute(&text).await.unwrap();

        let ended = tx.finish(Call::new(), FinishItem::complete(job.lease.clone())).await;

        assert_eq!(ended.expect_err("the key is there twice").certainty(), Certainty::NotStored);
        assert_eq!(
            (notes(&schema), state(&backend, job.lease.job).await),
            (String::new(), Some(JobState::Running))
        );
    });
}

#[test]
fn a_handler_whose_statement_failed_does_not_complete() {
    with(|schema, backend| async move {
        let (job, tx) = writing(&schema, &backend).await;
        driver(&*tx).batch_execute("SELECT 1 / 0").await.unwrap_err();

        let ended = tx.finish(Call::new(), FinishItem::complete(job.lease.clone())).await;

        let error = ended.expect_err("the transaction is aborted");
        assert!(error.to_string().contains("aborted"), "{error}");
        assert_eq!(error.certainty(), Certainty::NotStored);
        assert_eq!(
            (notes(&schema), state(&backend, job.lease.job).await),
            (String::new(), Some(JobState::Running))
        );
    });
}

#[test]
fn what_a_handler_sets_is_gone_with_its_transaction() {
    with(|schema, _| async move {
        let builder = Postgres::builder(Server::shared().url()).unwrap();
        let backend = builder.schema(&schema.name).handler_connections(1).open().unwrap();
        let (job, tx) = writing(&schema, &backend).await;
        driver(&*tx)
            .batch_execute("SET TIME ZONE 'Asia/Tokyo'; SELECT pg_advisory_lock(42); CREATE TEMP TABLE t ()")
            .await
            .unwrap();
        tx.finish(Call::new(), FinishItem::complete(job.lease.clone())).await.unwrap();

        let tx = backend.begin(Call::new(), job.lease.clone()).await.unwrap();

        let row = driver(&*tx)
            .query_one(
                "SELECT current_setting('TimeZone') <> 'Asia/Tokyo', to_regclass('pg_temp.t') IS NULL,
                 NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42)",
                &[],
            )
            .await
            .unwrap();
        assert_eq!((row.get(0), row.get(1), row.get(2)), (true, true, true));
        tx.roll_back(Call::new()).await.unwrap();
    });
}

/// What an ordinary finish answers behind a transaction whose commit failed, and with what certainty.
fn behind_a_fault(make: impl FnOnce(&FaultProxy)) -> (Certainty, Finished, String) {
    let schema = Schema::new();
    let proxy = FaultProxy::start(Server::shared().address());
    runtime().block_on(async {
        let url = proxy.url_through(Server::shared().url());
        let builder = Postgres::builder(&url).expect("it is a URL").schema(&schema.name);
        let backend = builder.open().expect("the settings hold");
        let (job, tx) = writing(&schema, &backend).await;
        make(&proxy);

        let ended = tx.finish(Call::new(), FinishItem::complete(job.lease.clone())).await;

        let certainty = ended.expect_err("the connection is lost").certainty();
        let instead = FinishItem::fail(job.lease.clone(), Duration::ZERO, RunError::new("in doubt"));
        // Other connections may have been cut as well.
        for _ in 0..20 {
            let request = FinishRequest::new(vec![instead.clone()]);
            if let Ok(reply) = backend.finish(Call::new(), request).await {
                return (certainty, reply.items[0], notes(&schema));
            }
        }
        panic!("no finish is answered");
    })
}

#[test]
fn a_commit_whose_answer_is_lost_is_known_by_the_ordinary_finish_behind_it() {
    let of_commit = |request: &[u8]| request.windows(6).any(|word| word == b"COMMIT");
    let lost = behind_a_fault(|proxy| proxy.lose_next_reply_to(of_commit));
    assert_eq!(lost, (Certainty::MaybeStored, Finished::AlreadyAccepted, "1".to_owned()));
}

#[test]
fn a_connection_that_is_lost_before_the_commit_stores_nothing() {
    let retried = Finished::Accepted { state: JobState::Retryable };
    let available = Finished::Accepted { state: JobState::Available };
    let (certainty, answer, notes) = behind_a_fault(FaultProxy::cut_all);
    assert_eq!((certainty, notes.as_str()), (Certainty::NotStored, ""));
    assert!([retried, available].contains(&answer), "{answer:?}");
}

#[test]
fn other_jobs_of_the_claim_end_while_a_handlers_transaction_is_open() {
    let schema = Schema::new();
    let backend = schema.open();
    schema.enqueue(&backend, 50);
    let mut jobs = fetch(&backend, register(&backend), 1, 50);
    let first = jobs.remove(0);
    let tx = runtime().block_on(backend.begin(Call::new(), first.lease.clone())).unwrap();

    let finished = complete(&backend, jobs);

    assert!(finished.iter().all(|one| *one == Finished::Accepted { state: JobState::Completed }));
    let ended = runtime().block_on(tx.finish(Call::new(), FinishItem::complete(first.lease)));
    assert_eq!(ended.unwrap(), Finished::Accepted { state: JobState::Completed });
    let mut completed = JobFilter::default();
    completed.states.push(JobState::Completed);
    assert_eq!(count(&backend, completed), 50);
}
