//! Requests that no library writes.

use std::fmt::Write as _;

use gristmill_core::{
    Backend, Call, Clock, EnqueueRequest, Enqueued, JobFilter, JobId, MAX_ARGS_BYTES, NewJob, SystemClock,
    UniqueKey,
};
use gristmill_testkit::{REFUSED_JOBS, TAKEN_ARGS, block_on};

use super::requests::{apply, promote, request};
use super::{Caller, PROTOCOL, Refused, about, listing, storing, written};
use crate::faults::site::until;
use crate::fixture::{Schema, complete, count, fetch, register};

fn jobs(jobs: &str) -> String {
    format!(r#"{{"protocol":{PROTOCOL},"jobs":[{jobs}]}}"#)
}

/// That a request is refused as a bad value.
#[track_caller]
fn assert_refused(caller: &Caller, verb: &str, request: &str) {
    let error = caller.try_ask(verb, request).expect_err(request);
    assert!(error.code.starts_with("22"), "{verb} {request}: {error:?}");
}

#[test]
fn a_request_that_is_none_is_an_error_and_stores_nothing() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let good = schema.job();
    caller.ask("enqueue", &storing(std::slice::from_ref(&good)));
    // What a cast would take, and SQLite does not.
    let id = schema.job().id.to_string();
    for other in [format!("{{{id}}}"), id.replace('-', "")] {
        let bad = written(&good).replacen(&good.id.to_string(), &other, 1);
        assert_refused(&caller, "enqueue", &jobs(&bad));
    }
    for request in [
        "",
        "7",
        "[]",
        "{}",
        r#"{"protocol":"two"}"#,
        r#"{"protocol":2}"#,
        r#"{"protocol":2,"jobs":{}}"#,
        r#"{"protocol":2,"ids":7}"#,
    ] {
        for verb in ["enqueue", "request", "get", "list"] {
            assert_refused(&caller, verb, request);
        }
    }
    for more in ["", r#","limit":0"#, r#","limit":101"#, r#","limit":"x""#, r#","limit":1.5"#] {
        assert_refused(&caller, "list", &listing(more));
    }
    assert_eq!(count(&schema.open(), JobFilter::new()), 1);
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.queues").trim(), "1");
}

/// A written job, changed as the list says, with a unique key where its options leave room for one.
fn lying(job: &NewJob, (right, wrong): (&str, &str), key: &str) -> String {
    let bad = written(job).replacen(right, wrong, 1);
    assert_ne!(bad, written(job), "{right}");
    let mut hex = String::new();
    for byte in key.bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    let keyed = format!(r#""key":"{hex}","options":{{"unique_key":"{key}""#);
    match (bad.contains("key"), bad.contains(r#""options":{"#), bad.contains(r#""options""#)) {
        (false, true, _) => bad.replacen(r#""options":{"#, &format!("{keyed},"), 1),
        (false, false, false) => bad.replacen('{', &format!("{{{keyed}}},"), 1),
        _ => bad,
    }
}

/// What is wrong deep inside of args and options is not looked for. Then it is read member by member, and the
/// job keeps its unique key until it ends.
#[test]
fn what_every_library_refuses_is_refused_or_costs_no_job_its_unique_key() {
    let schema = Schema::new();
    let (caller, backend) = (Caller::of(&schema), schema.open());
    let worker = register(&backend);
    let mut taken = Vec::new();
    for (number, lie) in (1..).zip(REFUSED_JOBS) {
        let key = if lie.1.contains("unique_key") { "k".to_owned() } else { format!("k{number}") };
        let bad = lying(&schema.job(), lie, &key);
        let again = || {
            let mut job = schema.job();
            job.spec.unique_key = UniqueKey::new(&*key).ok();
            block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![job])))
                .expect("it is answered")
                .jobs
                .remove(0)
        };
        // By itself, and in company.
        let stored = caller.try_ask("enqueue", &jobs(&bad));
        let company = caller.try_ask("enqueue", &jobs(&format!("{},{bad}", written(&schema.job()))));
        assert_eq!(stored.is_ok(), company.is_ok(), "{lie:?}");
        if let Err(error) = stored {
            assert!(error.code.starts_with("22"), "{lie:?}: {error:?}");
            continue;
        }
        taken.push(lie.1);
        assert!(matches!(again(), Enqueued::Existing { .. }), "{lie:?}");
        // Some are due in a millisecond.
        until("both are available", || {
            promote(&backend);
            schema.psql("SELECT count(*) FROM {schema}.ready") == "2"
        });
        let leased = fetch(&backend, worker, number, 10);
        assert_eq!(leased.len(), 2, "it, and its company: {lie:?}");
        complete(&backend, leased);
        assert!(matches!(again(), Enqueued::Created), "{lie:?}");
        complete(&backend, fetch(&backend, worker, 1_000 + number, 10));
    }
    let deep = [r#""options":"#, r#""args":"#, r#""priority""#, r#""kind""#, r#""queue""#];
    assert!(taken.iter().all(|wrong| deep.iter().any(|member| wrong.contains(member))), "{taken:#?}");
    // Nothing that a reader of JSON, or one of numbers, refuses.
    for wrong in ["NaN", "e999", "e400", r"\\u0000", r"\\ud800", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["] {
        assert!(!taken.iter().any(|taken| taken.contains(wrong)), "{wrong}: {taken:#?}");
    }
    assert!(taken.len() < REFUSED_JOBS.len() / 2, "{}", taken.len());
}

#[test]
fn args_of_more_than_a_mebibyte_are_refused_and_those_of_one_are_taken() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    caller.ask("enqueue", &storing(&[schema.job()]));
    for (bytes, is_taken) in [(MAX_ARGS_BYTES, true), (MAX_ARGS_BYTES + 1, false)] {
        let args = format!(r#""args":"\"{}\"""#, "x".repeat(bytes - 2));
        let large = |job: &NewJob| written(job).replacen(r#""args":"{}""#, &args, 1);
        let job = schema.job();
        for request in [large(&job), format!("{},{}", written(&schema.job()), large(&schema.job()))] {
            assert_eq!(caller.try_ask("enqueue", &jobs(&request)).is_ok(), is_taken, "{bytes}");
        }
    }
}

#[test]
fn two_spellings_of_one_id_are_one_job() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    caller.run("BEGIN");
    let job = schema.job();
    let id = job.id.to_string();
    let other = written(&job).replacen(&id, &id.to_uppercase(), 1);
    let answer = caller.ask("enqueue", &jobs(&format!("{},{other}", written(&job))));
    let existing = serde_json::json!({"existing": id, "by": "id"});
    assert_eq!(answer["answers"], serde_json::json!([{"created": true}, existing]));
    // By itself it is the same job, too, on each way.
    let tagged = other.replacen(r#""args":"#, r#""options":{"tags":["t"]},"args":"#, 1);
    for again in [other, tagged] {
        assert_eq!(caller.ask("enqueue", &jobs(&again))["answers"], serde_json::json!([existing]));
    }
    caller.run("COMMIT");
    assert_eq!(count(&schema.open(), JobFilter::new()), 1);
}

#[test]
fn args_at_their_limits_are_taken() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let backend = schema.open();
    caller.ask("enqueue", &storing(&[schema.job()]));
    for args in TAKEN_ARGS {
        let new = || written(&schema.job()).replacen(r#""args":"{}""#, &format!(r#""args":{args}"#), 1);
        caller.ask("enqueue", &jobs(&new()));
        caller.ask("enqueue", &jobs(&format!("{},{}", new(), new())));
        let job = schema.job();
        caller.ask("enqueue", &storing(std::slice::from_ref(&job)));
        request(&caller, "update", &[job.id], &format!(r#","patch":{{"args":{args}}}"#));
        assert_eq!(apply(&backend), 1, "{args}");
        let kept = caller.ask("get", &about(&[job.id], ""))["jobs"][0]["args"].clone();
        assert_eq!(kept, serde_json::from_str::<serde_json::Value>(args).expect(args), "{args}");
    }
}

/// Stores a job with an id.
type Way<'w> = &'w dyn Fn(&str) -> Result<(), Refused>;

/// An id that was made so many minutes from now.
fn id_in(minutes: i64) -> String {
    let at = SystemClock.now().as_millis() + minutes * 60_000;
    let id: JobId =
        format!("{:08x}-{:04x}-7000-8000-000000000000", at >> 16, at & 0xffff).parse().expect("it is an id");
    id.to_string()
}

/// A job far ahead of the partitions would be in the way of the one of its time.
#[test]
fn an_id_of_more_than_an_hour_ahead_is_refused_and_the_remedy_is_named() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    caller.ask("enqueue", &storing(&[schema.job()]));
    let with = |id: &str| {
        let job = schema.job();
        written(&job).replacen(&job.id.to_string(), id, 1)
    };
    // By itself, in company, and by the function for people.
    let ways: [Way<'_>; 3] = [
        &|id| caller.try_ask("enqueue", &jobs(&with(id))).map(drop),
        &|id| caller.try_ask("enqueue", &jobs(&format!("{},{}", with(&id_in(0)), with(id)))).map(drop),
        &|id| {
            let options = format!(r#"{{"id":"{id}"}}"#);
            caller.try_run(&format!("SELECT {{schema}}.enqueue('work', '{{}}', '{options}')"))
        },
    ];
    for (way, enqueue) in ways.iter().enumerate() {
        caller.run("BEGIN");
        enqueue(&id_in(59)).expect("the clock may be badly set");
        caller.run("ROLLBACK");
        for id in [id_in(61), "ffffffff-ffff-7fff-bfff-ffffffffffff".to_owned()] {
            let error = enqueue(&id).expect_err("it is too far ahead");
            assert_eq!(error.code, "22023", "{way}: {error:?}");
            assert!(
                error.message.contains(&id) && error.message.contains("minutes ahead"),
                "{way}: {error:?}"
            );
            assert!(error.hint.is_some_and(|hint| hint.contains("Set the clock")), "{way}");
        }
    }
    let error = ways[0](&id_in(61)).expect_err("it is too far ahead").message;
    assert!(error.contains(" 60 minutes ahead") || error.contains(" 61 minutes ahead"), "{error}");
    assert_eq!(count(&schema.open(), JobFilter::new()), 1);
}
