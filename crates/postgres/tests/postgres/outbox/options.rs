//! Options as the outbox takes them and workers read them, and the unique keys of jobs whose options are
//! damaged.

use gristmill_core::{Backend, Call, EnqueueRequest, Enqueued, NewJob, UniqueKey, VerbRequest, Verdict};
use gristmill_testkit::{TAKEN_OPTIONS, assert_kept, block_on};

use super::{Caller, storing, written};
use crate::fixture::{Schema, complete, fetch, register};

fn keyed(schema: &Schema, key: &str) -> NewJob {
    let mut job = schema.job();
    job.spec.unique_key = UniqueKey::new(key).ok();
    job
}

/// The request for a keyed job with more options.
fn with_options(job: &NewJob, options: &str) -> String {
    let more = options.strip_prefix('{').expect("they are an object");
    let (comma, text) = (if more == "}" { "" } else { "," }, written(job));
    let request =
        text.replacen(r#""options":{"#, &format!(r#""options":{{{}{comma}"#, &more[..more.len() - 1]), 1);
    assert!(more == "}" || request != text, "{text}");
    format!(r#"{{"protocol":2,"jobs":[{request}]}}"#)
}

#[test]
fn what_is_taken_is_kept_and_its_unique_key_is_freed() {
    let schema = Schema::new();
    let (caller, backend) = (Caller::of(&schema), schema.open());
    caller.ask("enqueue", &storing(&[schema.job()]));
    let worker = register(&backend);
    fetch(&backend, worker, 1, 1);
    for (number, options) in (2..).zip(TAKEN_OPTIONS) {
        let key = format!("key {number}");
        let job = keyed(&schema, &key);
        let answer = caller.ask("enqueue", &with_options(&job, options));
        assert_eq!(answer["answers"][0]["created"], true, "{options}");
        let jobs = fetch(&backend, worker, number, 10);
        assert_eq!(jobs.len(), 1, "{options}");
        let unkeyed = {
            let mut spec = (*jobs[0].spec).clone();
            spec.unique_key = None;
            spec
        };
        assert_kept(&unkeyed, options);
        complete(&backend, jobs);
        let again = EnqueueRequest::new(vec![keyed(&schema, &key)]);
        let reply = block_on(backend.enqueue(Call::new(), again)).expect("it is answered");
        assert!(matches!(reply.jobs[0], Enqueued::Created), "{options}: {:?}", reply.jobs);
        fetch(&backend, worker, number + 1_000, 10);
    }
}

/// What another version, or a hand, may have written.
const DAMAGED: [&str; 6] = [
    r#"{"unique_key":"$key","retry":{"backoff":{"fixed":1e999}},"tags":[1e999]}"#,
    r#"{"unique_key":{"text":"$key"}}"#,
    r#"{"unique_key":"$key","tags":["#,
    r#"{"unique\u005fkey":"$key"}"#,
    "",
    "7",
];

#[test]
fn a_job_whose_options_do_not_decode_frees_its_unique_key_with_every_end() {
    let schema = Schema::new();
    let backend = schema.open();
    let mut worker = register(&backend);
    let mut claim = 0;
    for (number, damaged) in DAMAGED.into_iter().enumerate() {
        for end in ["finish", "cancel", "delete", "retire"] {
            let key = format!("{end} {number}");
            let job = keyed(&schema, &key);
            let enqueue = |job: NewJob| {
                let reply = block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![job])));
                reply.expect("it is answered").jobs.remove(0)
            };
            assert!(matches!(enqueue(job.clone()), Enqueued::Created));
            let damaged = damaged.replace("$key", &key);
            schema.psql(&format!("UPDATE {{schema}}.jobs SET options = '{damaged}' WHERE id = '{}'", job.id));
            let ids = VerbRequest::ids(vec![job.id]);
            claim += 1;
            match end {
                "finish" => drop(complete(&backend, fetch(&backend, worker, claim, 1))),
                "cancel" => {
                    let told = block_on(backend.cancel(Call::new(), ids)).expect("it is answered");
                    assert_eq!(told.jobs[0].1, Verdict::Done, "{damaged}");
                }
                "delete" => drop(block_on(backend.delete(Call::new(), ids)).expect("it is answered")),
                // By the store itself.
                _ => {
                    fetch(&backend, worker, claim, 1);
                    block_on(backend.cancel(Call::new(), ids)).expect("it is answered");
                    block_on(backend.retire_worker(Call::new(), worker)).expect("it is answered");
                    worker = register(&backend);
                }
            }
            assert!(matches!(enqueue(keyed(&schema, &key)), Enqueued::Created), "{end} {damaged}");
            let held =
                schema.psql(&format!("SELECT count(*) FROM {{schema}}.uniques WHERE id = '{}'", job.id));
            assert_eq!(held.trim(), "0", "{end} {damaged}");
            // The next claim takes its own job first.
            schema.psql("DELETE FROM {schema}.ready");
        }
    }
}
