//! Requests that are no requests: refused as a whole, and nothing is changed.

use gristmill_core::{JobFilter, NewJob};
use gristmill_testkit::{REFUSED_ACTS, REFUSED_JOBS, REFUSED_PATCHES, TAKEN_ARGS};
use serde_json::{Value, json};

use super::answer::{CANCEL, ENQUEUE, UPDATE, try_send, try_send_text};
use super::equal::{assert_equal, content};
use super::fault::assert_sound;
use super::request;
use super::twins::Side;
use crate::fixture::{count, enqueue};

/// Sends requests that have to be refused, each in a transaction that goes on.
fn assert_refused(side: &Side, statement: &str, requests: &[Value]) {
    let requests: Vec<String> = requests.iter().map(Value::to_string).collect();
    assert_texts_refused(side, statement, &requests);
}

fn assert_texts_refused(side: &Side, statement: &str, requests: &[String]) {
    let before = content(&side.raw);
    for request in requests {
        side.raw
            .execute_batch("BEGIN IMMEDIATE; CREATE TABLE users (id INTEGER)")
            .expect("it is so in this test");
        let refused = try_send_text(&side.raw, statement, request);
        let error = refused.expect_err(&format!("{request} has to be refused")).to_string();
        assert!(error.starts_with("outbox: "), "{error}");
        side.raw.execute_batch("DROP TABLE users; COMMIT").expect("it is so in this test");
        assert_equal(&content(&side.raw), &before, request);
    }
}

pub(crate) fn with(job: &NewJob, member: &str, value: Value) -> Value {
    let mut request = request::enqueue(std::slice::from_ref(job));
    request["jobs"][0][member] = value;
    request
}

/// The same for each value of each member, behind a good job.
fn assert_jobs_refused(members: &Value, request: impl Fn(&NewJob, &str, Value) -> Value) {
    let side = Side::new();
    let mut requests = Vec::new();
    for (member, values) in members.as_object().expect("it is an object") {
        for value in values.as_array().expect("it is a list") {
            let mut request = request(&side.file.job(), member, value.clone());
            let jobs = request["jobs"].as_array_mut().expect("it is a list");
            jobs.insert(0, request::job(&side.file.job()));
            requests.push(request);
        }
    }
    assert_refused(&side, ENQUEUE, &requests);
    assert_sound(&side);
}

#[test]
fn malformed_requests_are_refused() {
    let requests = [
        json!(null),
        json!(7),
        json!([]),
        json!({}),
        json!({"protocol":1}),
        json!({"protocol": "1"}),
        json!({"protocol":1, "jobs": {}}),
        json!({"protocol":1, "jobs": [null]}),
        json!({"protocol":1, "jobs": [{}]}),
        json!({"protocol":1, "jobs": ["x"]}),
    ];
    assert_refused(&Side::new(), ENQUEUE, &requests);
}

#[test]
fn malformed_jobs_are_refused_and_nothing_of_their_batch_is_stored() {
    let long = "x".repeat(65);
    let members = json!({
        "id": [null, 7, "", "x", "019a9b3e-7c00-7000-8000-00000000000",
            "019a9b3e7c0070008000000000000000", "{019a9b3e-7c00-7000-8000-000000000000}", {}],
        "kind": [null, 7, "", "a b", "ä", "a\u{0}b", long],
        "queue": [null, 7, "", "a'b", "%", "a\u{0}b", long],
        "priority": [null, "0", 0.5, -11, 11, u64::MAX],
        "max_attempts": [null, "1", 1.5, 0, -1, 65_536],
        "args": [null, 7, "", "{", "{a:1}", "\"\\u0000\"", "\"a\u{0}\""],
        "delay_ms": [-1, "1", []],
        "at_ms": [0.5, "1", u64::MAX],
        "suspended": [false, "true", 2],
        "options": [7, [], "x"],
    });
    assert_jobs_refused(&members, with);
    assert_jobs_refused(&json!({"at_ms": [1], "suspended": [true]}), |job, member, value| {
        let mut request = with(job, "delay_ms", json!(1));
        request["jobs"][0][member] = value;
        request
    });
}

#[test]
fn malformed_options_are_refused_and_nothing_of_their_batch_is_stored() {
    let options = json!({
        "unique_key": [7, "", "a\u{0}b", "ä".repeat(128), {}],
        "timeout_ms": [-1, "1", 1.5],
        "retry": [7, "x", []],
        "retention": [7, "x", [], {}, {"cancelled": {"secs": -1, "nanos": 0}}],
        "tags": [7, {}, [7], [null], [""], ["a b"], vec!["t"; 33]],
        "metadata": [7, [], "x", {"x": "x".repeat(65_536)}],
    });
    assert_jobs_refused(&options, |job, member, value| with(job, "options", json!({ member: value })));
}

#[test]
fn malformed_verbs_are_refused_and_change_no_job() {
    let side = Side::new();
    let job = side.file.job();
    enqueue(&side.backend, vec![job.clone()]).unwrap();
    let requests = [
        json!(null),
        json!({"protocol":1}),
        json!({"protocol":1, "ids": "x"}),
        json!({"protocol":1, "ids": [job.id, null]}),
        json!({"protocol":1, "ids": [job.id, 7]}),
        json!({"protocol":1, "ids": [job.id, "x"]}),
        json!({"protocol":1, "ids": [job.id], "actor": 7}),
        json!({"protocol":1, "ids": [job.id], "actor": "a\u{0}b"}),
    ];
    assert_refused(&side, CANCEL, &requests);
    assert_refused(&side, UPDATE, &requests);
    let patches = json!({
        "priority": ["0", -11, 11, 0.5],
        "max_attempts": ["1", 0, 65_536],
        "args": [7, "{", "\"\\u0000\""],
        "delay_ms": [-1, "1"],
        "at_ms": ["1", u64::MAX],
        "now": [false, "x"],
    });
    let update = |patch: Value| json!({"protocol":1, "ids": [job.id], "patch": patch});
    let mut requests = vec![update(json!(7)), update(json!({"delay_ms": 1, "now": true}))];
    for (member, values) in patches.as_object().unwrap() {
        requests.extend(values.as_array().unwrap().iter().map(|value| update(json!({ member: value }))));
    }
    assert_refused(&side, UPDATE, &requests);
    assert_sound(&side);
}

#[test]
fn what_every_database_refuses_is_refused_and_the_transaction_goes_on() {
    let side = Side::new();
    let good = side.file.job();
    enqueue(&side.backend, vec![good.clone()]).unwrap();
    let mut jobs = Vec::new();
    for (right, wrong) in REFUSED_JOBS {
        let (company, job) = (request::job(&side.file.job()), request::job(&side.file.job()).to_string());
        let bad = job.replacen(right, wrong, 1);
        assert_ne!(bad, job, "{right}");
        jobs.push(format!(r#"{{"protocol":1,"jobs":[{bad}]}}"#));
        jobs.push(format!(r#"{{"protocol":1,"jobs":[{company},{bad}]}}"#));
    }
    assert_texts_refused(&side, ENQUEUE, &jobs);
    let id = good.id.to_string();
    let acts = REFUSED_ACTS.map(|act| format!(r#"{{"protocol":1,{}}}"#, act.replace("$id", &id)));
    assert_texts_refused(&side, CANCEL, &acts);
    assert_texts_refused(&side, UPDATE, &acts);
    let patches = REFUSED_PATCHES.map(|patch| format!(r#"{{"protocol":1,"ids":["{id}"],"patch":{patch}}}"#));
    assert_texts_refused(&side, UPDATE, &patches);
    assert_texts_refused(&side, UPDATE, &[format!(r#"{{"protocol":1,"ids":["{id}"]}}"#)]);
    assert_sound(&side);
}

#[test]
fn args_at_their_limits_are_taken() {
    let side = Side::new();
    for args in TAKEN_ARGS {
        let job = side.file.job();
        let new = request::job(&job).to_string().replacen(r#""args":"{}""#, &format!(r#""args":{args}"#), 1);
        try_send_text(&side.raw, ENQUEUE, &format!(r#"{{"protocol":1,"jobs":[{new}]}}"#)).expect(args);
        let patch = format!(r#"{{"protocol":1,"ids":["{}"],"patch":{{"args":{args}}}}}"#, job.id);
        let told = try_send_text(&side.raw, UPDATE, &patch).expect(args);
        assert_eq!(told["verdicts"][0]["verdict"], "done", "{args}");
    }
    assert_sound(&side);
}

#[test]
fn what_is_not_refused_is_stored_so_that_it_can_be_run() {
    let side = Side::new();
    let values = json!([
        null, true, 0, 1, 1.0, 1e300, u64::MAX, i64::MIN, "x", "2", "{}", [], {}, "\u{1f600}", {"secs": 1}, [["x"]],
    ]);
    let options = ["unique_key", "timeout_ms", "retry", "retention", "tags", "metadata", "unknown"];
    let members =
        ["kind", "queue", "priority", "max_attempts", "args", "options", "delay_ms", "at_ms", "suspended"];
    for value in values.as_array().unwrap() {
        for member in members {
            let _ = try_send(&side.raw, ENQUEUE, &with(&side.file.job(), member, value.clone()));
        }
        for member in options {
            let _ =
                try_send(&side.raw, ENQUEUE, &with(&side.file.job(), "options", json!({ member: value })));
        }
    }
    assert!(count(&side.backend, JobFilter::new()) > 20);
    assert_sound(&side);
}
