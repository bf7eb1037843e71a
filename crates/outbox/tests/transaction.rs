//! What is sent and how it is answered, with drivers that only pretend.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gristmill_core::{Clock as _, ErrorKind, Job, JobExt as _, JobOptions, ManualClock, Timestamp};
use gristmill_outbox::{BlockingDriver, Call, Database, Driver, Outbox, OutboxFilter, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize)]
struct Letter(i64);

impl Job for Letter {
    const KIND: &'static str = "letter";
    type Output = ();

    fn options() -> JobOptions {
        JobOptions::new().queue("post")
    }
}

/// Answers as a database would that stores everything, and keeps what it was sent.
struct Pretended<'s>(&'s mut Vec<(String, Value)>);

impl Pretended<'_> {
    fn answer(&mut self, call: &Call) -> String {
        let request: Value = serde_json::from_str(call.request()).expect("requests are JSON");
        let answer = match request["jobs"].as_array() {
            Some(jobs) => {
                let answers = vec![r#"{"created":true}"#; jobs.len()].join(",");
                format!(r#"{{"now_ms":0,"answers":[{answers}]}}"#)
            }
            None if call.statement().contains("list") => r#"{"jobs":[],"more":false}"#.to_owned(),
            None if call.statement().contains("get") => r#"{"jobs":[null]}"#.to_owned(),
            None => r#"{"requests":[17]}"#.to_owned(),
        };
        self.0.push((call.statement().to_owned(), request));
        answer
    }
}

impl BlockingDriver for Pretended<'_> {
    fn database(&self) -> Database {
        Database::Postgres
    }

    fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        Ok(self.answer(call))
    }
}

impl Driver for Pretended<'_> {
    fn database(&self) -> Database {
        Database::Postgres
    }

    async fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        Ok(self.answer(call))
    }
}

/// The value of a future that never waits, which may move between threads.
fn ready<T>(future: impl Future<Output = T> + Send) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn the_acts_of_both_kinds_of_drivers_send_the_same() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let outbox = Outbox::postgres().schema("jobs").actor("ops").clock(clock);
    let id = outbox.mint_id();
    let jobs = [outbox.prepare(Letter(1)).expect("it is valid")];
    let (mut first, mut second) = (Vec::new(), Vec::new());

    let mut tx = outbox.in_blocking_transaction(Pretended(&mut first));
    tx.enqueue_prepared(&jobs).expect("it is answered");
    assert_eq!(tx.cancel(id).expect("it is answered").request, 17);
    tx.update(id, gristmill_core::JobPatch::default()).expect("it is answered");
    tx.delete(id).expect("it is answered");
    assert_eq!(tx.get(id).expect("it is answered"), None);
    assert!(!tx.list(&OutboxFilter::new()).expect("it is answered").more);

    ready(async {
        let mut tx = outbox.in_transaction(Pretended(&mut second));
        tx.enqueue_prepared(&jobs).await.expect("it is answered");
        tx.cancel(id).await.expect("it is answered");
        tx.update(id, gristmill_core::JobPatch::default()).await.expect("it is answered");
        tx.delete(id).await.expect("it is answered");
        assert_eq!(tx.get(id).await.expect("it is answered"), None);
        assert!(!tx.list(&OutboxFilter::new()).await.expect("it is answered").more);
    });

    assert_eq!(first, second);
    let statements: Vec<&str> = first.iter().map(|(statement, _)| statement.as_str()).collect();
    let wanted = ["enqueue", "request", "request", "request", "get", "list"];
    assert_eq!(
        statements,
        wanted.map(|verb| format!("SELECT \"jobs\".outbox_{verb}($1::pg_catalog.text) AS answer"))
    );
    assert_eq!(first[0].1["jobs"][0]["queue"], "post");
    assert_eq!(first[1].1["actor"], "ops");
}

#[test]
fn many_jobs_go_a_thousand_a_call_with_ids_in_their_order() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let outbox = Outbox::postgres().clock(clock.clone());
    let mut sent = Vec::new();
    let mut tx = outbox.in_blocking_transaction(Pretended(&mut sent));
    let receipts = tx.enqueue_many((0..2_001).map(Letter)).expect("they are answered");
    assert!(receipts.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(receipts[0].id.minted_at(), clock.now());
    let sizes: Vec<_> = sent.iter().map(|(_, request)| request["jobs"].as_array().map(Vec::len)).collect();
    assert_eq!(sizes, [Some(1_000), Some(1_000), Some(1)]);
    assert!(outbox.in_blocking_transaction(Pretended(&mut sent)).enqueue_prepared(&[]).is_ok());
    assert_eq!(sent.len(), 3, "nothing to store is nothing to send");
}

#[test]
fn nothing_is_sent_of_what_is_not_valid_nor_of_what_is_beside_it() {
    let outbox = Outbox::postgres();
    let mut sent = Vec::new();
    let mut tx = outbox.in_blocking_transaction(Pretended(&mut sent));
    let jobs = (0..1_500).map(|number| Letter(number).priority(if number == 1_400 { 11 } else { 0 }));
    let error = tx.enqueue_many(jobs).expect_err("one of them is not valid");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().starts_with("job 1401: "), "{error}");
    assert!(sent.is_empty());
}

#[test]
fn an_outbox_that_cannot_be_meant_is_refused_before_anything_is_sent() {
    let long = "x".repeat(64);
    let outboxes = [
        Outbox::sqlite(),
        Outbox::sqlite().schema("jobs"),
        Outbox::postgres().schema(""),
        Outbox::postgres().schema("a\0b"),
        Outbox::postgres().schema(&long),
    ];
    let mut sent = Vec::new();
    for outbox in outboxes {
        let mut tx = outbox.in_blocking_transaction(Pretended(&mut sent));
        let error = tx.enqueue(Letter(1)).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert!(sent.is_empty());
}
