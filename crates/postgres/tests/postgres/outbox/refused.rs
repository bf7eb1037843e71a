//! Requests that no library writes.

use gristmill_core::{Clock, JobFilter, JobId, MAX_ARGS_BYTES, NewJob, SystemClock};
use gristmill_testkit::{REFUSED_ACTS, REFUSED_JOBS, REFUSED_PATCHES, TAKEN_ARGS};

use super::{Caller, Refused, about, storing, written};
use crate::fixture::{Schema, count};

fn jobs(jobs: &str) -> String {
    format!(r#"{{"protocol":1,"jobs":[{jobs}]}}"#)
}

/// That a request is refused as a bad value.
#[track_caller]
fn assert_refused(caller: &Caller, verb: &str, request: &str) {
    let error = caller.try_ask(verb, request).expect_err(request);
    assert!(error.code.starts_with("22"), "{verb} {request}: {error:?}");
}

#[test]
fn a_request_that_no_library_writes_is_an_error_and_stores_nothing() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let good = schema.job();
    caller.ask("enqueue", &storing(std::slice::from_ref(&good)));
    // Here a unique key comes with its hexadecimal form.
    let keyless = (r#""args":"{}""#, r#""args":"{}","options":{"unique_key":"k"}"#);
    for (right, wrong) in REFUSED_JOBS.into_iter().chain([keyless]) {
        let request = written(&schema.job());
        let bad = request.replacen(right, wrong, 1);
        assert_ne!(bad, request, "{right}");
        // By itself, and in company, which takes another way.
        assert_refused(&caller, "enqueue", &jobs(&bad));
        assert_refused(&caller, "enqueue", &jobs(&format!("{},{bad}", written(&schema.job()))));
    }
    // What a cast would take, and SQLite does not.
    let id = schema.job().id.to_string();
    for other in [format!("{{{id}}}"), id.replace('-', "")] {
        let bad = written(&good).replacen(&good.id.to_string(), &other, 1);
        assert_refused(&caller, "enqueue", &jobs(&bad));
        assert_refused(&caller, "cancel", &format!(r#"{{"protocol":1,"ids":["{other}"]}}"#));
    }
    for request in [
        "",
        "7",
        "[]",
        "{}",
        r#"{"protocol":"two"}"#,
        r#"{"protocol":1}"#,
        r#"{"protocol":1,"jobs":{}}"#,
        r#"{"protocol":1,"ids":7}"#,
    ] {
        for verb in ["enqueue", "cancel", "update", "get"] {
            assert_refused(&caller, verb, request);
        }
    }
    let id = good.id.to_string();
    for act in REFUSED_ACTS {
        let request = format!(r#"{{"protocol":1,{}}}"#, act.replace("$id", &id));
        assert_refused(&caller, "cancel", &request);
        assert_refused(&caller, "update", &request);
    }
    for patch in REFUSED_PATCHES {
        assert_refused(&caller, "update", &about(&[], &format!(r#","patch":{patch}"#)));
        assert_refused(&caller, "update", &about(&[good.id], &format!(r#","patch":{patch}"#)));
    }
    assert_refused(&caller, "update", &about(&[good.id], ""));
    assert_eq!(count(&schema.open(), JobFilter::new()), 1);
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.queues").trim(), "1");
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.events").trim(), "0");
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
        let small = schema.job();
        caller.ask("enqueue", &storing(std::slice::from_ref(&small)));
        let patched = caller.try_ask("update", &about(&[small.id], &format!(r#","patch":{{{args}}}"#)));
        assert_eq!(patched.is_ok(), is_taken, "{bytes}");
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
    caller.ask("enqueue", &storing(&[schema.job()]));
    for args in TAKEN_ARGS {
        let new = || written(&schema.job()).replacen(r#""args":"{}""#, &format!(r#""args":{args}"#), 1);
        caller.ask("enqueue", &jobs(&new()));
        caller.ask("enqueue", &jobs(&format!("{},{}", new(), new())));
        let job = schema.job();
        caller.ask("enqueue", &storing(std::slice::from_ref(&job)));
        let told = caller.ask("update", &about(&[job.id], &format!(r#","patch":{{"args":{args}}}"#)));
        assert_eq!(told["verdicts"][0]["verdict"], "done", "{args}");
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
