//! Jobs stored through the outbox.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{
    Args, Backend, Call, Clock, Enqueued, ExistingBy, Jitter, Metadata, NewJob, Priority, Retention,
    RetryPolicy, SystemClock, Timestamp, UniqueKey, When,
};
use gristmill_testkit::block_on;
use serde_json::{Value, json};

use super::answer::{ENQUEUE, send};
use super::request;
use super::twins::{Side, Twins};
use crate::fixture::name;

fn unique(mut job: NewJob, key: &str) -> NewJob {
    job.spec.unique_key = Some(UniqueKey::new(key).expect("it is so in this test"));
    job
}

/// Jobs with every option there is, its smallest and its largest value.
fn every_option(job: impl Fn() -> NewJob) -> Vec<NewJob> {
    let mut jobs: Vec<NewJob> = Vec::new();
    let mut with = |change: &dyn Fn(&mut NewJob)| {
        let mut job = job();
        change(&mut job);
        jobs.push(job);
    };
    with(&|_| {});
    for priority in Priority::all() {
        with(&|job| job.spec.priority = priority);
    }
    for attempts in [1, 20, u16::MAX] {
        with(&|job| job.spec.max_attempts = NonZeroU16::new(attempts).expect("it is so in this test"));
    }
    for args in
        [r#""""#, "null", " [1.50,2e3]\n", r#"{"a":"\u00e4\\u0000\"","b":{"c":[]}}"#, "\"ä\u{1f600}\u{7f}\""]
    {
        with(&|job| job.spec.args = Args::from_json(args).expect("it is so in this test"));
    }
    for timeout in [Duration::from_millis(1), Duration::MAX] {
        with(&|job| job.spec.timeout = Some(timeout));
    }
    for policy in [
        RetryPolicy::exponential(Duration::from_millis(1_500), 2.5, Duration::MAX),
        RetryPolicy::linear(Duration::ZERO, Duration::from_secs(1)).without_jitter(),
        RetryPolicy::table(vec![Duration::from_nanos(1), Duration::from_secs(3)]).with_jitter(Jitter::Full),
    ] {
        with(&|job| job.spec.retry = Some(Box::new(policy.clone())));
    }
    for retention in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        with(&|job| job.spec.retention = Some(Box::new(Retention::all(retention))));
    }
    with(&|job| job.spec.tags = (0..32).map(|number| name(&format!("tag.{number}"))).collect());
    with(&|job| {
        job.spec.metadata =
            Metadata::new().with("a", Value::Null).with("\"", json!({"b": [1, 2.0, "\\u0000 ä"]}));
    });
    for key in ["k", "ä\"\\\u{1}", &"x".repeat(255)] {
        with(&|job| job.spec.unique_key = Some(UniqueKey::new(key).expect("it is so in this test")));
    }
    with(&|job| (job.spec.kind, job.spec.queue) = (name("A.b_c:d/e-9"), name(&"q".repeat(64))));
    for when in [
        When::Suspended,
        When::After(Duration::ZERO),
        When::After(Duration::from_millis(1)),
        When::After(Duration::MAX),
        When::At(Timestamp::EPOCH),
        When::At(SystemClock.now() + Duration::from_secs(60)),
        When::At(Timestamp::MAX),
    ] {
        with(&|job| job.when = when);
    }
    jobs
}

#[test]
fn jobs_with_every_option_are_stored_as_the_backend_stores_them() {
    let mut twins = Twins::new();
    let jobs = every_option(|| twins.outbox.file.job());

    let answers = twins.enqueue(&jobs);

    assert_eq!(answers, vec![Enqueued::Created; jobs.len()]);
    let ids = jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    let get = |side: &Side| block_on(side.backend.get(Call::new(), ids.clone())).unwrap();
    let records = get(&twins.outbox);
    assert_eq!(records, get(&twins.backend));
    for (job, record) in jobs.iter().zip(records) {
        let record = record.unwrap();
        let mut spec = job.spec.clone();
        // The column ends there.
        let longest = Duration::from_millis(i64::MAX.unsigned_abs());
        spec.timeout = spec.timeout.map(|timeout| timeout.min(longest));
        assert_eq!((record.spec, record.created_at), (spec, twins.now));
        assert_eq!((record.state, record.run_at), job.when.resolve(twins.now));
    }
}

#[test]
fn every_option_is_read_back_through_the_outbox() {
    let mut twins = Twins::new();
    let jobs = every_option(|| twins.outbox.file.job());
    twins.enqueue(&jobs);
    for job in &jobs {
        let read = twins.get(job.id);
        let (_, run_at) = job.when.resolve(twins.now);
        let mut expected = request::job(job);
        let members = expected.as_object_mut().unwrap();
        for instant in ["delay_ms", "at_ms", "suspended"] {
            members.remove(instant);
        }
        if let Some(timeout) = members.get_mut("options").and_then(|options| options.get_mut("timeout_ms")) {
            *timeout = json!(timeout.as_u64().unwrap().min(i64::MAX.unsigned_abs()));
        }
        members.entry("options").or_insert(Value::Null);
        for (member, value) in [
            ("state", json!(job.when.resolve(twins.now).0)),
            ("attempt", json!(0)),
            ("run_at_ms", json!(run_at.as_millis())),
            ("created_at_ms", json!(twins.now.as_millis())),
            ("finished_at_ms", Value::Null),
        ] {
            members.insert(member.to_owned(), value);
        }
        assert_eq!(read, expected);
    }
}

#[test]
fn a_job_is_there_once_whether_it_comes_again_in_a_batch_or_later() {
    let mut twins = Twins::new();
    let file = crate::fixture::File::new();
    let (first, second) = (unique(file.job(), "key"), unique(file.job(), "key"));
    let mut elsewhere = unique(file.job(), "key");
    elsewhere.spec.queue = name("elsewhere");
    let plain = file.job();
    let mut same_id_other_key = unique(file.job(), "other");
    same_id_other_key.id = first.id;
    let by_key = Enqueued::Existing { id: first.id, by: ExistingBy::UniqueKey };
    let by_id = |job: &NewJob| Enqueued::Existing { id: job.id, by: ExistingBy::Id };

    let batch = [first.clone(), second.clone(), elsewhere, plain.clone(), plain.clone(), same_id_other_key];
    let answers = twins.enqueue(&batch);

    let created = Enqueued::Created;
    assert_eq!(
        answers,
        [created.clone(), by_key.clone(), created.clone(), created, by_id(&plain), by_id(&first)]
    );
    assert_eq!(
        twins.enqueue(&[second, first.clone(), plain.clone()]),
        [by_key, by_id(&first), by_id(&plain)]
    );
    assert_eq!(twins.enqueue(&[]), []);
}

#[test]
fn a_key_is_free_once_its_job_has_ended() {
    let mut twins = Twins::new();
    let file = crate::fixture::File::new();
    let (first, second) = (unique(file.job(), "key"), unique(file.job(), "key"));
    twins.enqueue(std::slice::from_ref(&first));
    twins.cancel(&[first.id], None);
    assert_eq!(twins.enqueue(&[second]), [Enqueued::Created]);
}

#[test]
fn a_batch_of_a_thousand_is_one_statement() {
    let mut twins = Twins::new();
    let jobs = twins.outbox.file.jobs(1_000);
    assert_eq!(twins.enqueue(&jobs), vec![Enqueued::Created; 1_000]);
}

#[test]
fn the_outbox_and_the_backend_take_turns_without_taking_a_number_twice() {
    let side = Side::new();
    for _ in 0..20 {
        send(&side.raw, *ENQUEUE, &request::enqueue(&side.file.jobs(3)));
        crate::fixture::enqueue(&side.backend, side.file.jobs(3)).unwrap();
    }
    assert_eq!(crate::fixture::count(&side.backend, gristmill_core::JobFilter::new()), 120);
}

#[test]
fn args_of_a_mebibyte_come_back_as_they_were() {
    let mut twins = Twins::new();
    let mut job = twins.outbox.file.job();
    job.spec.args = Args::encode(&"\"\u{1f600}\\".repeat(100_000)).unwrap();
    twins.enqueue(std::slice::from_ref(&job));
    assert_eq!(twins.get(job.id)["args"], json!(std::str::from_utf8(job.spec.args.as_bytes()).unwrap()));
}
