//! Requests that are no requests: refused as a whole, and nothing is changed.

use gristmill_core::{Backend, Call, Enqueued, JobFilter, NewJob, UniqueKey, WorkerId};
use gristmill_testkit::{REFUSED_JOBS, REFUSED_PATCHES, TAKEN_ARGS, block_on};
use serde_json::{Value, json};

use super::answer::{ENQUEUE, REQUEST, try_send, try_send_text};
use super::equal::{assert_equal, content};
use super::fault::assert_sound;
use super::request;
use super::twins::Side;
use crate::fixture::{complete, count, enqueue, fetch, register};

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
    assert_refused(&side, *ENQUEUE, &requests);
    assert_sound(&side);
}

#[test]
fn malformed_requests_are_refused() {
    let requests = [
        json!(null),
        json!(7),
        json!([]),
        json!({}),
        json!({"protocol":2}),
        json!({"protocol": "1"}),
        json!({"protocol":2, "jobs": {}}),
        json!({"protocol":2, "jobs": [null]}),
        json!({"protocol":2, "jobs": [{}]}),
        json!({"protocol":2, "jobs": ["x"]}),
    ];
    assert_refused(&Side::new(), *ENQUEUE, &requests);
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
        "args": [null, 7, "", "{", "{a:1}", "\"a\u{0}\""],
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
        "timeout_ms": ["1", 1.5],
        "retry": [7, "x", []],
        "retention": [7, "x", []],
        "tags": [7, {}, vec!["t"; 33]],
        "metadata": [7, [], "x", {"x": "x".repeat(65_536)}],
    });
    assert_jobs_refused(&options, |job, member, value| with(job, "options", json!({ member: value })));
}

#[test]
fn malformed_requests_of_verbs_are_refused_and_store_nothing() {
    let side = Side::new();
    let good = side.file.job();
    enqueue(&side.backend, vec![good.clone()]).unwrap();
    let request = |members: Value| {
        let mut request = json!({"protocol": request::PROTOCOL, "verb": "cancel", "ids": [good.id]});
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        request
    };
    let requests = [
        json!(null),
        json!({"protocol": request::PROTOCOL}),
        request(json!({"verb": null})),
        request(json!({"verb": 7})),
        request(json!({"verb": "retry"})),
        request(json!({"verb": "Cancel"})),
        request(json!({"ids": null})),
        request(json!({"ids": good.id})),
        request(json!({"ids": [good.id, null]})),
        request(json!({"ids": [good.id, 7]})),
        request(json!({"ids": [good.id, "x"]})),
        request(json!({"ids": [format!("{{{}}}", good.id)]})),
        request(json!({"actor": 7})),
        request(json!({"actor": "a\u{0}b"})),
        request(json!({"patch": {}})),
        request(json!({"patch": null})),
        request(json!({"verb": "delete", "patch": {}})),
        request(json!({"verb": "update"})),
        request(json!({"verb": "update", "patch": null})),
        request(json!({"verb": "update", "patch": 7})),
        request(json!({"verb": "update", "patch": []})),
    ];
    assert_refused(&side, *REQUEST, &requests);
    assert_sound(&side);
}

/// A member that is null counts as not set.
#[test]
fn a_patch_that_core_refuses_is_set_aside_and_changes_no_job() {
    let side = Side::new();
    let good = side.file.job();
    enqueue(&side.backend, vec![good.clone()]).unwrap();
    let before = content(&side.raw);
    let mut stored = 0_i64;
    for patch in REFUSED_PATCHES.iter().filter(|patch| patch.starts_with('{') && !patch.contains("null")) {
        let request = format!(
            r#"{{"protocol":{},"verb":"update","ids":["{}"],"patch":{patch}}}"#,
            request::PROTOCOL,
            good.id
        );
        stored += i64::from(try_send_text(&side.raw, *REQUEST, &request).is_ok());
    }
    block_on(side.backend.promote(Call::new(), 1_000)).unwrap();
    let faults = "SELECT count(fault), count(*) FROM requests";
    let faults = side.raw.query_row(faults, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(faults, (stored, stored));
    assert!(stored > 15, "{stored}");
    assert_equal(&content(&side.raw), &before, "requests that are set aside");
}

/// A job was stored beside another one, with the unique key of `again`.
fn assert_holds_its_key_until_its_end(side: &Side, worker: WorkerId, number: u64, again: &NewJob) {
    let enqueue = || enqueue(&side.backend, vec![again.clone()]).expect("it is answered").jobs.remove(0);
    let key = &again.spec.unique_key;
    assert!(matches!(enqueue(), Enqueued::Existing { .. }), "{key:?}");
    let jobs = fetch(&side.backend, worker, number, 10);
    if let [_, job] = &jobs[..] {
        assert_eq!(job.spec.unique_key, *key);
    } else {
        // It is due later.
        side.raw.execute("UPDATE waiting SET run_at = 0", []).expect("it is written");
        block_on(side.backend.promote(Call::new(), 10)).expect("a round");
    }
    complete(&side.backend, jobs);
    complete(&side.backend, fetch(&side.backend, worker, 1_000 + number, 10));
    assert!(matches!(enqueue(), Enqueued::Created), "{key:?}");
    complete(&side.backend, fetch(&side.backend, worker, 2_000 + number, 10));
}

/// What is wrong deep inside of args and options is not looked for. Then it is read member by member, and the
/// job keeps its unique key until it ends.
#[test]
fn what_every_adapter_refuses_is_refused_or_costs_no_job_its_unique_key() {
    let side = Side::new();
    let worker = register(&side.backend);
    let mut taken = Vec::new();
    for (number, (right, wrong)) in (1..).zip(REFUSED_JOBS) {
        let job = request::job(&side.file.job()).to_string();
        let key = format!("key {number}");
        let mut bad = job.replacen(right, wrong, 1);
        assert_ne!(bad, job, "{right}");
        if bad.contains(r#""options":{"#) && !bad.contains("unique_key") {
            bad = bad.replacen(r#""options":{"#, &format!(r#""options":{{"unique_key":"{key}","#), 1);
        } else if !bad.contains(r#""options""#) {
            bad = bad.replacen('{', &format!(r#"{{"options":{{"unique_key":"{key}"}},"#), 1);
        }
        let company = request::job(&side.file.job());
        let bad = format!(r#"{{"protocol":{},"jobs":[{company},{bad}]}}"#, request::PROTOCOL);
        let before = content(&side.raw);
        let mut again = side.file.job();
        again.spec.unique_key = UniqueKey::new(key).ok();
        if let Err(error) = try_send_text(&side.raw, *ENQUEUE, &bad) {
            assert!(error.to_string().starts_with("outbox: "), "{error}");
            assert_equal(&content(&side.raw), &before, &bad);
        } else {
            assert_holds_its_key_until_its_end(&side, worker, number, &again);
            taken.push(wrong);
        }
    }
    let is_deep =
        |wrong: &&str| ["options", "delay_ms", r#""args":"#].iter().any(|member| wrong.contains(member));
    assert!(taken.iter().all(is_deep), "{taken:?}");
    assert_sound(&side);
}

#[test]
fn args_at_their_limits_are_taken() {
    let side = Side::new();
    for args in TAKEN_ARGS {
        let job = side.file.job();
        let new = request::job(&job).to_string().replacen(r#""args":"{}""#, &format!(r#""args":{args}"#), 1);
        let request = format!(r#"{{"protocol":{},"jobs":[{new}]}}"#, request::PROTOCOL);
        try_send_text(&side.raw, *ENQUEUE, &request).expect(args);
        let patch = format!(
            r#"{{"protocol":{},"verb":"update","ids":["{}"],"patch":{{"args":{args}}}}}"#,
            request::PROTOCOL,
            job.id
        );
        try_send_text(&side.raw, *REQUEST, &patch).expect(args);
        assert_eq!(block_on(side.backend.promote(Call::new(), 1_000)).unwrap().done, 1);
        let left: i64 = side.raw.query_row("SELECT count(*) FROM requests", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{args}");
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
            let _ = try_send(&side.raw, *ENQUEUE, &with(&side.file.job(), member, value.clone()));
        }
        for member in options {
            let _ =
                try_send(&side.raw, *ENQUEUE, &with(&side.file.job(), "options", json!({ member: value })));
        }
    }
    assert!(count(&side.backend, JobFilter::new()) > 20);
    assert_sound(&side);
}
