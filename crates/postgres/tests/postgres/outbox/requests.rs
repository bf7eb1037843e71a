//! Requests of callers: stored in their transactions, applied after the commit (RM26 to RM30).

use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{Backend, Call, JobFilter, JobId, JobState, Retention, VerbRequest, Verdict};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
pub(super) use gristmill_testkit::requested::{apply, promote, state};
use gristmill_testkit::requested::{events, whats};
use serde_json::{Value, json};

use super::{Caller, PROTOCOL, storing};
use crate::faults::site::until;
use crate::fixture::{Schema, complete, count, fetch, register};

/// A request of this verb; `more` are further members.
pub(super) fn of(verb: &str, ids: &[JobId], more: &str) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    format!(r#"{{"protocol":{PROTOCOL},"verb":"{verb}","ids":[{}]{more}}}"#, ids.join(","))
}

/// Stores a request, and gives its numbers.
#[track_caller]
pub(super) fn request(caller: &Caller, verb: &str, ids: &[JobId], more: &str) -> Vec<u64> {
    let answer = caller.ask("request", &of(verb, ids, more));
    serde_json::from_value(answer["requests"].clone()).expect("the answer has the numbers")
}

pub(super) fn left(schema: &Schema) -> String {
    schema.psql("SELECT count(*) FROM {schema}.requests")
}

#[test]
fn a_request_is_stored_with_the_transaction_and_applied_after_it() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 3);
    caller.run("BEGIN");
    let first = request(&caller, "cancel", &ids[..1], r#","actor":"me""#);
    let further = request(&caller, "delete", &ids[1..2], "");
    let patch =
        r#","actor":null,"patch":{"priority":-4,"max_attempts":2,"args":"[\"é\", 1.0]","delay_ms":3600000}"#;
    let last = request(&caller, "update", &ids[2..], patch);
    assert!(first[0] < further[0] && further[0] < last[0]);
    assert_eq!(apply(&backend), 0);
    caller.run("COMMIT");
    assert_eq!(apply(&backend), 3);
    assert_eq!(state(&backend, ids[0]), Some(JobState::Cancelled));
    let event = events(&backend, ids[0]).remove(0);
    assert_eq!((event.what.as_str(), event.actor.as_deref()), ("cancel", Some("me")));
    assert_eq!(state(&backend, ids[1]), None);
    let job = block_on(backend.get(Call::new(), vec![ids[2]])).expect("it is answered").remove(0);
    let job = job.expect("it is there");
    assert_eq!((job.state, job.spec.priority.get()), (JobState::Scheduled, -4));
    assert_eq!((job.spec.max_attempts.get(), job.spec.args.as_bytes()), (2, "[\"é\", 1.0]".as_bytes()));
    assert!(job.run_at.since(job.created_at) > Duration::from_secs(3_500));
    assert_eq!(left(&schema), "0");
    assert!(request(&caller, "cancel", &[], "").is_empty());
}

#[test]
fn a_request_that_is_none_is_refused_and_one_that_lies_is_set_aside_alone() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 2);
    let id = ids[0];
    let refused = [
        of("retry", &[id], ""),
        of("cancel", &[id], r#","patch":{}"#),
        of("update", &[id], ""),
        of("update", &[id], r#","patch":7"#),
        of("cancel", &[id], r#","actor":7"#),
        of("cancel", &[id], "").replace('[', "[7,"),
        of("cancel", &[id], "").replace(&id.to_string(), "x"),
        of("cancel", &[id], "").replace(&id.to_string(), &format!("{{{id}}}")),
        format!(r#"{{"protocol":{PROTOCOL},"verb":"cancel"}}"#),
        format!(r#"{{"protocol":{PROTOCOL},"ids":[]}}"#),
        r#"{"verb":"cancel","ids":[]}"#.to_owned(),
        "7".to_owned(),
        String::new(),
    ];
    for request in refused {
        let error = caller.try_ask("request", &request).expect_err(&request);
        assert!(error.code.starts_with("22"), "{request}: {error:?}");
    }
    assert_eq!(left(&schema), "0");
    let lie = request(&caller, "update", &ids[..1], r#","patch":{"priority":1,"priority":2}"#);
    request(&caller, "cancel", &ids, "");
    assert_eq!(apply(&backend), 3);
    assert_eq!(ids.iter().map(|id| state(&backend, *id)).collect::<Vec<_>>(), [Some(JobState::Cancelled); 2]);
    let fault = schema.psql("SELECT request || ' ' || fault FROM {schema}.requests");
    assert!(fault.starts_with(&format!("{} the patch: duplicate field `priority`", lie[0])), "{fault}");
    assert_eq!(apply(&backend), 0, "it is skipped from then on");
    let findings = block_on(backend.diagnose(Call::new())).expect("it is answered");
    let finding = findings.iter().find(|finding| finding.check == "requests").expect("it is examined");
    assert!(!finding.ok && finding.finding.contains("duplicate field `priority`"), "{finding:?}");
}

#[test]
fn rm26_a_request_whose_notification_is_never_sent_is_found_by_the_next_round_of_any_process() {
    let schema = Schema::new();
    let [one, other] = [schema.open(), schema.open()];
    let ids = schema.enqueue(&one, 1);
    // A row without a notification.
    schema.psql(&format!("INSERT INTO {{schema}}.requests (id, verb) VALUES ('{}', 'cancel')", ids[0]));
    assert_eq!(apply(&other), 1);
    assert_eq!(state(&one, ids[0]), Some(JobState::Cancelled));
    assert_eq!((apply(&one), whats(&one, ids[0])), (0, vec!["cancel".to_owned()]));
}

#[test]
fn rm26_an_applier_that_is_killed_before_its_commit_leaves_the_request_to_another() {
    let schema = Schema::alone();
    let [one, other] = [schema.open(), schema.open()];
    let ids = schema.enqueue(&one, 1);
    let caller = Caller::at(schema.url(), &schema.name);
    request(&caller, "cancel", &ids, "");
    caller.run(&format!("BEGIN; SELECT FROM {{schema}}.ready WHERE id = '{}' FOR UPDATE", ids[0]));
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    thread::scope(|scope| {
        let applier = scope.spawn(|| block_on(one.promote(Call::new(), 100)));
        until("the applier waits", || schema.psql(waiting) != "0");
        schema.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE wait_event_type = 'Lock' AND datname = current_database()",
        );
        assert!(applier.join().expect("it ends").is_err());
    });
    assert_eq!(left(&schema), "1");
    caller.run("ROLLBACK");
    assert_eq!(apply(&other), 1);
    assert_eq!((apply(&one), whats(&other, ids[0])), (0, vec!["cancel".to_owned()]));
}

#[test]
fn rm27_a_request_that_is_rolled_back_does_nothing() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 1);
    caller.run("BEGIN");
    request(&caller, "cancel", &ids, "");
    caller.run("ROLLBACK");
    let killed = Caller::of(&schema);
    killed.run("BEGIN");
    request(&killed, "delete", &ids, "");
    drop(killed);
    until("the connection is gone", || left(&schema) == "0");
    assert_eq!(apply(&backend), 0);
    assert_eq!((state(&backend, ids[0]), whats(&backend, ids[0])), (Some(JobState::Available), vec![]));
}

/// The lock that a cancel in the caller's transaction held until its end, in a form without locks.
#[test]
fn rm27_no_finish_verb_or_prune_waits_for_a_transaction_with_requests() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let worker = register(&backend);
    let ids = schema.enqueue(&backend, 5);
    let leased = fetch(&backend, worker, 1, 4);
    caller.run("BEGIN");
    request(&caller, "cancel", &ids, "");
    request(&caller, "update", &ids, r#","patch":{"priority":1}"#);
    let begun = Instant::now();
    let short = || Call::new().within(Duration::from_secs(20));
    let states: Vec<_> = complete(&backend, leased);
    assert!(format!("{states:?}").matches("Completed").count() == 4, "{states:?}");
    let cancelled =
        block_on(backend.cancel(short(), VerbRequest::ids(vec![ids[4]]))).expect("it is answered");
    assert_eq!(cancelled.jobs[0].1, Verdict::Done);
    let deleted = block_on(backend.delete(short(), VerbRequest::ids(vec![ids[0]]))).expect("it is answered");
    assert_eq!(deleted.jobs[0].1, Verdict::Done);
    block_on(backend.prune(short(), 100)).expect("it is answered");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    caller.run("COMMIT");
    assert_eq!(apply(&backend), 10);
    let refused = ["request refused", "request refused"].map(str::to_owned);
    assert_eq!(whats(&backend, ids[1]), refused);
    assert_eq!(state(&backend, ids[0]), None);
}

#[test]
fn rm27_requests_for_a_locked_job_do_not_hide_those_behind_them() {
    let schema = Schema::new();
    let (backend, caller, holder) = (schema.open(), Caller::of(&schema), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 3);
    holder.run(&format!("BEGIN; SELECT FROM {{schema}}.jobs WHERE id = '{}' FOR UPDATE", ids[0]));
    for priority in (1..=10).cycle().take(200) {
        request(&caller, "update", &ids[..1], &format!(r#","patch":{{"priority":{priority}}}"#));
    }
    request(&caller, "cancel", &ids[1..], "");
    let begun = Instant::now();
    assert_eq!(apply(&backend), 2);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    for id in &ids[1..] {
        assert_eq!(state(&backend, *id), Some(JobState::Cancelled));
    }
    let round = promote(&backend);
    assert!(!round.more && round.done == 0, "it does not spin: {round:?}");
    let next = round.next_due.expect("it is tried again");
    let now = block_on(backend.ping(Call::new())).expect("it is answered").now;
    assert!(next > now && next.since(now) <= Duration::from_secs(1), "{next:?} {now:?}");
    assert_eq!(left(&schema), "200");
    holder.run("ROLLBACK");
    assert_eq!(apply(&backend), 200);
    let job = block_on(backend.get(Call::new(), vec![ids[0]])).expect("it is answered").remove(0);
    assert_eq!(job.expect("it is there").spec.priority.get(), 10, "the last one wins");
}

/// What a verb waits for behind the lock of its job: the row where the job is.
#[test]
fn rm27_a_request_that_fails_stays_alone_and_those_with_it_are_applied() {
    let schema = Schema::new();
    let (backend, caller, holder) = (schema.open(), Caller::of(&schema), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 4);
    holder.run(&format!("BEGIN; SELECT FROM {{schema}}.ready WHERE id = '{}' FOR UPDATE", ids[1]));
    request(&caller, "cancel", &ids, "");
    until("the others are applied", || {
        promote(&backend);
        left(&schema) == "1"
    });
    let states: Vec<_> = ids.iter().filter_map(|id| state(&backend, *id)).collect();
    assert_eq!(states.iter().filter(|state| **state == JobState::Cancelled).count(), 3, "{states:?}");
    assert_eq!(state(&backend, ids[1]), Some(JobState::Available));
    holder.run("ROLLBACK");
    assert_eq!(apply(&backend), 1);
    assert_eq!(whats(&backend, ids[1]), ["cancel"]);
}

#[test]
fn rm28_two_appliers_apply_each_request_once() {
    let schema = Schema::alone();
    let [one, other] = [schema.open(), schema.open()];
    let ids = schema.enqueue(&one, 500);
    let caller = Caller::at(schema.url(), &schema.name);
    for (place, id) in ids.iter().enumerate() {
        request(&caller, "update", &[*id], &format!(r#","patch":{{"priority":{}}}"#, place % 10));
        request(&caller, "cancel", &[*id], &format!(r#","actor":"{}""#, place / 7));
    }
    thread::scope(|scope| {
        for backend in [&one, &other] {
            scope.spawn(|| until("all are applied", || apply(backend) == 0 && left(&schema) == "0"));
        }
    });
    for id in &ids {
        assert_eq!(whats(&one, *id), ["update", "cancel"]);
    }
    assert_eq!(count(&one, JobFilter::new().state(JobState::Cancelled)), 500);
    drop((one, other, caller));
    schema.assert_no_deadlocks();
}

#[test]
fn rm28_requests_are_applied_in_the_order_in_which_they_become_visible() {
    let schema = Schema::new();
    let (backend, early, late) = (schema.open(), Caller::of(&schema), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 2);
    request(&late, "update", &ids[..1], r#","patch":{"priority":5}"#);
    request(&late, "cancel", &ids[..1], "");
    early.run("BEGIN");
    request(&early, "update", &ids[1..], r#","patch":{"priority":5}"#);
    request(&late, "cancel", &ids[1..], "");
    assert_eq!(apply(&backend), 3);
    assert_eq!(whats(&backend, ids[0]), ["update", "cancel"]);
    early.run("COMMIT");
    assert_eq!(apply(&backend), 1);
    let late = events(&backend, ids[1]).pop().expect("it is noted");
    assert_eq!(
        (late.what.as_str(), late.detail.as_deref()),
        ("request refused", Some("update: the job is cancelled"))
    );
}

#[test]
fn rm29_a_job_that_is_enqueued_and_cancelled_in_one_transaction_is_stored_and_cancelled() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let job = schema.job();
    caller.run("BEGIN");
    caller.ask("enqueue", &storing(std::slice::from_ref(&job)));
    request(&caller, "cancel", &[job.id], r#","actor":"me""#);
    caller.run("COMMIT");
    assert_eq!(apply(&backend), 1);
    assert_eq!(state(&backend, job.id), Some(JobState::Cancelled));
}

#[test]
fn rm29_the_verdict_is_that_of_the_moment_in_which_a_request_is_applied() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let worker = register(&backend);
    let ids = schema.enqueue(&backend, 4);
    request(&caller, "cancel", &ids, r#","actor":"me""#);
    let leased = fetch(&backend, worker, 1, 3);
    let order: Vec<JobId> = leased.iter().map(|job| job.lease.job).collect();
    let mut leased = leased.into_iter();
    // One ends, one ends and is retried, one runs on, and one is deleted.
    complete(&backend, leased.by_ref().take(2).collect());
    block_on(backend.retry(Call::new(), VerbRequest::ids(vec![order[1]]))).expect("it is answered");
    let waiting = *ids.iter().find(|id| !order.contains(id)).expect("one was not fetched");
    block_on(backend.delete(Call::new(), VerbRequest::ids(vec![waiting]))).expect("it is answered");
    assert_eq!(apply(&backend), 4);
    let refused = events(&backend, order[0]).remove(0);
    let told = (refused.what.as_str(), refused.actor.as_deref(), refused.detail.as_deref());
    assert_eq!(told, ("request refused", Some("me"), Some("cancel: the job has ended")));
    assert_eq!(state(&backend, order[1]), Some(JobState::Cancelled));
    let running = block_on(backend.get(Call::new(), vec![order[2]])).expect("it is answered").remove(0);
    assert!(running.expect("it is there").cancel_requested);
    assert_eq!(state(&backend, waiting), None);
    assert_eq!(left(&schema), "0");
}

#[test]
fn rm29_a_cancelled_job_that_is_not_kept_leaves_nothing() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let mut job = schema.job();
    job.spec.retention = Some(Box::new(Retention::all(Duration::ZERO)));
    caller.ask("enqueue", &storing(std::slice::from_ref(&job)));
    request(&caller, "cancel", &[job.id], "");
    request(&caller, "cancel", &[job.id], r#","actor":"late""#);
    assert_eq!(apply(&backend), 2);
    for table in ["jobs", "ready", "ended", "events", "requests"] {
        assert_eq!(schema.psql(&format!("SELECT count(*) FROM {{schema}}.{table}")), "0", "{table}");
    }
}

/// Requests for so many jobs, applied in rounds of a hundred.
fn many(schema: &Schema, caller: &Caller, jobs: usize) -> Value {
    let backend = schema.open();
    let mut rounds = 0;
    for _ in 0..jobs.div_ceil(1_000) {
        let ids = schema.enqueue(&backend, jobs.min(1_000));
        request(caller, "cancel", &ids, "");
    }
    loop {
        let round = promote(&backend);
        assert!(round.done <= 100, "{round:?}");
        rounds += 1;
        if !round.more {
            break;
        }
    }
    json!([rounds, count(&backend, JobFilter::new().state(JobState::Cancelled)), left(schema)])
}

#[test]
fn rm30_many_requests_are_applied_in_rounds_of_a_hundred() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    assert_eq!(many(&schema, &caller, 1_000), json!([11, 1_000, "0"]));
}

/// Fetches and finishes, one job at a time, for so long; how many there were.
fn work(backend: &Postgres, schema: &Schema, worker: gristmill_core::WorkerId, claim: &mut u64) -> u32 {
    let (begun, mut done) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(10) {
        schema.enqueue(backend, 10);
        *claim += 1;
        done += u32::try_from(complete(backend, fetch(backend, worker, *claim, 10)).len()).unwrap_or(0);
    }
    done
}

/// Applies all, with the pauses of a flood.
#[expect(clippy::disallowed_methods, reason = "the pauses are a part of what is measured")]
fn apply_with_pauses(backend: &Postgres) -> u64 {
    let mut done = 0;
    loop {
        let round = promote(backend);
        done += round.done;
        let Some(next) = round.next_due else { return done };
        let now = block_on(backend.ping(Call::new())).expect("it is answered").now;
        thread::sleep(next.since(now));
    }
}

#[test]
#[ignore = "takes minutes, and measures"]
fn rm30_a_hundred_thousand_requests_leave_nine_tenths_of_the_throughput() {
    let schema = Schema::new();
    let [backend, applier] = [schema.open(), schema.open()];
    let (worker, mut claim) = (register(&backend), 0);
    schema.psql(
        "INSERT INTO {schema}.requests (id, verb, actor) \
        SELECT gen_random_uuid(), 'cancel', (place / 50)::text FROM generate_series(1, 100000) AS place",
    );
    let alone = work(&backend, &schema, worker, &mut claim);
    let beside = thread::scope(|scope| {
        let rounds = scope.spawn(|| apply_with_pauses(&applier));
        let beside = work(&backend, &schema, worker, &mut claim);
        assert_eq!(rounds.join().expect("it ends"), 100_000);
        beside
    });
    assert!(f64::from(beside) >= 0.9 * f64::from(alone), "{beside} beside, {alone} alone");
}
