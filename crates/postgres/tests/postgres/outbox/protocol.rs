//! What requests and answers say.

use std::time::Duration;

use gristmill_core::{JobFilter, JobId, UniqueKey, When};
use serde_json::json;

use super::requests::of;
use super::{Caller, about, listing, storing};
use crate::fixture::{Schema, count, fetch, name, register};

#[test]
fn each_verb_is_answered_as_the_protocol_says() {
    let schema = Schema::new();
    let (caller, worker) = (Caller::of(&schema), register(&schema.open()));
    let mut jobs: Vec<_> = (0..3).map(|_| schema.job()).collect();
    jobs[1].spec.unique_key = Some(UniqueKey::new("k").expect("it is a key"));
    jobs[2].spec.unique_key = Some(UniqueKey::new("k").expect("it is a key"));

    let answer = caller.ask("enqueue", &storing(&jobs));
    let by_key = json!({"existing": jobs[1].id.to_string(), "by": "unique_key"});
    assert_eq!(answer["answers"], json!([{"created": true}, {"created": true}, by_key]));
    let now = answer["now_ms"].as_i64().expect("it is a number");
    let plain = caller.ask("enqueue", &storing(&[schema.job()]));
    assert_eq!(plain["answers"], json!([{"created": true}]));
    assert!(plain["now_ms"].as_i64().is_some_and(|later| (now..now + 60_000).contains(&later)), "{plain}");
    let again = caller.ask("enqueue", &storing(&jobs[..1]));
    assert_eq!(again["answers"], json!([{"existing": jobs[0].id.to_string(), "by": "id"}]));
    assert_eq!(caller.ask("enqueue", &storing(&[]))["answers"], json!([]));

    let there = [jobs[0].id, jobs[2].id];
    let shown = caller.ask("get", &about(&there, ""));
    let first = json!({
        "id": jobs[0].id.to_string(), "kind": "work", "queue": "line", "state": "available", "priority": 0,
        "attempt": 0, "max_attempts": 20, "run_at_ms": now, "created_at_ms": now, "finished_at_ms": null,
        "args": "{}", "options": null,
    });
    assert_eq!(shown, json!({"jobs": [first, null]}));
    assert_eq!(
        caller.ask("get", &about(&jobs_ids(&jobs[1..2]), ""))["jobs"][0]["options"],
        json!({"unique_key": "k"})
    );

    let newest = |more: &str| caller.ask("list", &listing(more));
    let listed = newest(r#","queue":"line","kind":"work","state":"available","limit":2"#);
    assert_eq!((listed["jobs"].as_array().map(Vec::len), &listed["more"]), (Some(2), &json!(true)));
    let listed = newest(r#","queue":null,"limit":100"#);
    assert_eq!((listed["jobs"].as_array().map(Vec::len), &listed["more"]), (Some(3), &json!(false)));
    assert_eq!(listed["jobs"][2], shown["jobs"][0]);
    for none in [r#""queue":"other""#, r#""kind":"other""#, r#""state":"running""#] {
        assert_eq!(newest(&format!(",{none},\"limit\":1")), json!({"jobs": [], "more": false}), "{none}");
    }
    assert_eq!(fetch(&schema.open(), worker, 1, 1).len(), 1);
    assert_eq!(newest(r#","state":"running","limit":1"#)["jobs"][0]["attempt"], 1);
    let numbers = caller.ask("request", &of("cancel", &there, ""));
    assert_eq!(numbers["requests"].as_array().map(Vec::len), Some(2));
    assert_eq!(caller.ask("get", &about(&[], "")), json!({"jobs": []}));
}

fn jobs_ids(jobs: &[gristmill_core::NewJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

#[test]
fn a_request_of_another_protocol_is_answered_with_those_that_are_accepted_and_changes_nothing() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let job = schema.job();
    caller.ask("enqueue", &storing(std::slice::from_ref(&job)));
    let answer =
        |oldest: u32, newest: u32| json!({"error": {"why": "protocol", "oldest": oldest, "newest": newest}});
    let mut keyed = schema.job();
    keyed.spec.unique_key = Some(UniqueKey::new("k").expect("it is a key"));
    let requests = [
        ("enqueue", storing(&[schema.job()])),
        ("enqueue", storing(&[keyed])),
        ("enqueue", storing(&[schema.job(), schema.job()])),
        ("request", of("cancel", &[job.id], "")),
        ("get", about(&[job.id], "")),
        ("list", listing(r#","limit":1"#)),
    ];
    let of = |request: &str, protocol: &str| {
        request.replace(r#""protocol":2"#, &format!(r#""protocol":{protocol}"#))
    };
    for (verb, request) in &requests {
        for other in ["0", "1", "3", "-1", "99999999999", "-99999999999", "2.5", "1.5"] {
            assert_eq!(caller.ask(verb, &of(request, other)), answer(2, 2), "{verb} {other}");
        }
    }
    caller.run("UPDATE {schema}.versions SET outbox_oldest = 3, outbox_newest = 4");
    for (verb, request) in &requests {
        assert_eq!(caller.ask(verb, request), answer(3, 4), "{verb}");
    }
    assert_eq!(count(&schema.open(), JobFilter::new()), 1);
}

#[test]
fn protocols_are_accepted_from_the_oldest_to_the_newest() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    caller.run("UPDATE {schema}.versions SET outbox_newest = 4");
    for protocol in ["2", "3", "4"] {
        let request =
            storing(&[schema.job()]).replace(r#""protocol":2"#, &format!(r#""protocol":{protocol}"#));
        assert_eq!(caller.ask("enqueue", &request)["answers"], json!([{"created": true}]), "{protocol}");
    }
    caller.run("UPDATE {schema}.versions SET outbox_oldest = 3");
    // The function for people and triggers is of the schema, and sends what that accepts.
    caller.run("SELECT {schema}.enqueue('work')");
    caller.run("SELECT {schema}.enqueue('work', '{}', '{\"queue\":\"new\"}')");
    assert_eq!(count(&schema.open(), JobFilter::new()), 5);
}

#[test]
fn a_thousand_jobs_are_answered_in_their_order_and_an_id_named_twice_is_one_job() {
    let schema = Schema::new();
    let backend = schema.open();
    let (caller, worker) = (Caller::of(&schema), register(&backend));
    let mut jobs: Vec<_> = (0..1000).map(|_| schema.job()).collect();
    for (place, job) in jobs.iter_mut().enumerate() {
        match place % 5 {
            0 => job.spec.queue = name("other"),
            1 => job.spec.unique_key = Some(UniqueKey::new(format!("{}", place / 10)).expect("it is a key")),
            2 => job.when = When::After(Duration::from_secs(3600)),
            3 => job.when = When::Suspended,
            _ => {}
        }
    }
    jobs[999].id = jobs[4].id;
    jobs.reverse();
    let answers = caller.ask("enqueue", &storing(&jobs))["answers"].clone();
    let mut holders = std::collections::HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for (job, answer) in jobs.iter().zip(answers.as_array().expect("it is a list")) {
        let holder = job.spec.unique_key.as_ref().map(|key| *holders.entry(key.clone()).or_insert(job.id));
        let expected = match holder {
            _ if !seen.insert(job.id) => json!({"existing": job.id.to_string(), "by": "id"}),
            Some(holder) if holder != job.id => json!({"existing": holder.to_string(), "by": "unique_key"}),
            _ => json!({"created": true}),
        };
        assert_eq!(*answer, expected);
    }
    assert_eq!(count(&backend, JobFilter::new()), 1000 - 100 - 1);
    assert_eq!(fetch(&backend, worker, 1, 1000).len(), 299);
}
