//! Options as the outbox takes them and workers read them, and the unique keys of jobs whose options are
//! damaged.

use gristmill_core::{Enqueued, NewJob, UniqueKey};
use gristmill_testkit::{TAKEN_OPTIONS, assert_kept};

use super::answer::{ENQUEUE, try_send_text};
use super::fault::assert_sound;
use super::request;
use super::twins::Side;
use crate::fixture::{complete, enqueue, fetch, register};

fn keyed(side: &Side, key: &str) -> NewJob {
    let mut job = side.file.job();
    job.spec.unique_key = UniqueKey::new(key).ok();
    job
}

#[test]
fn what_is_taken_is_kept_and_its_unique_key_is_freed() {
    let side = Side::new();
    let worker = register(&side.backend);
    for (number, options) in (1..).zip(TAKEN_OPTIONS) {
        let key = format!("key {number}");
        let request = request::job(&side.file.job()).to_string();
        let keyed_options = match options {
            "{}" => format!(r#"{{"unique_key":"{key}"}}"#),
            _ => options.replacen('{', &format!(r#"{{"unique_key":"{key}","#), 1),
        };
        let request = request.replacen('{', &format!(r#"{{"options":{keyed_options},"#), 1);
        try_send_text(&side.raw, *ENQUEUE, &format!(r#"{{"protocol":2,"jobs":[{request}]}}"#))
            .expect(options);
        let jobs = fetch(&side.backend, worker, number, 10);
        assert_eq!(jobs.len(), 1, "{options}");
        assert_kept(&jobs[0].spec, &keyed_options);
        complete(&side.backend, jobs);
        let reply = enqueue(&side.backend, vec![keyed(&side, &key)]).expect("it is answered");
        assert!(matches!(reply.jobs[0], Enqueued::Created), "{options}: {:?}", reply.jobs);
        fetch(&side.backend, worker, number + 1_000, 10);
    }
    assert_sound(&side);
}

/// A hand, or another version, may have written what no version reads.
#[test]
fn a_key_that_does_not_decode_is_freed() {
    let side = Side::new();
    let worker = register(&side.backend);
    let long = "k".repeat(300);
    for (number, damaged) in ["", long.as_str()].into_iter().enumerate() {
        let job = keyed(&side, "k");
        enqueue(&side.backend, vec![job]).expect("it is answered");
        for table in [("jobs", "unique_key"), ("uniques", "key")] {
            let sql = format!("UPDATE {} SET {} = ?1 WHERE {1} = 'k'", table.0, table.1);
            assert_eq!(side.raw.execute(&sql, [damaged]).expect("it is written"), 1);
        }
        let jobs = fetch(&side.backend, worker, u64::try_from(number).expect("it is small") + 1, 1);
        assert_eq!(jobs[0].spec.unique_key, None);
        complete(&side.backend, jobs);
        let held: i64 =
            side.raw.query_row("SELECT count(*) FROM uniques", [], |row| row.get(0)).expect("it is a number");
        assert_eq!(held, 0, "{damaged:?}");
    }
}
