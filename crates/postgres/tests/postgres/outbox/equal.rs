//! Jobs that come by the function are those the backend stores.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{
    Args, Backend, Call, EnqueueRequest, Jitter, JobRecord, Metadata, NewJob, Priority, Retention,
    RetryPolicy, Timestamp, UniqueKey, When,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::{Caller, storing};
use crate::fixture::{Schema, name};

const SECOND: Duration = Duration::from_secs(1);

/// A job of every kind there is.
fn all(schema: &Schema) -> Vec<NewJob> {
    let change = |change: fn(&mut NewJob)| {
        let mut job = schema.job();
        change(&mut job);
        job
    };
    vec![
        change(|_| {}),
        change(|job| job.spec.priority = Priority::FIRST),
        change(|job| job.spec.priority = Priority::LAST),
        change(|job| job.spec.max_attempts = NonZeroU16::MAX),
        change(|job| job.spec.kind = name("a.b_c:d/e-9")),
        change(|job| job.spec.queue = name("A.b_c:d/e-9")),
        change(|job| {
            job.spec.args =
                Args::from_json(r#" {"b":1, "a" : "é😀\"\\\n", "a":2.50, "c":null} "#).expect("it is JSON");
        }),
        change(|job| job.when = When::After(Duration::ZERO)),
        change(|job| job.when = When::After(Duration::from_secs(3600))),
        change(|job| job.when = When::After(Duration::MAX)),
        change(|job| job.when = When::At(Timestamp::EPOCH)),
        change(|job| job.when = When::At(Timestamp::from_millis(4_102_444_800_000))),
        change(|job| job.when = When::At(Timestamp::MAX)),
        change(|job| job.when = When::Suspended),
        change(|job| job.spec.unique_key = Some(UniqueKey::new("order 7").expect("it is a key"))),
        change(|job| job.spec.unique_key = Some(UniqueKey::new("ключ😀\"'\\\u{1}").expect("it is a key"))),
        change(|job| job.spec.unique_key = Some(UniqueKey::new("é".repeat(127)).expect("it is a key"))),
        change(|job| job.spec.timeout = Some(Duration::from_millis(1))),
        change(|job| job.spec.timeout = Some(Duration::from_millis(u64::MAX))),
        change(|job| job.spec.retry = Some(Box::new(RetryPolicy::default()))),
        change(|job| job.spec.retry = Some(Box::new(RetryPolicy::exponential(SECOND, 1e300, Duration::MAX)))),
        change(|job| {
            job.spec.retry =
                Some(Box::new(RetryPolicy::exponential(SECOND, -1.25e-7, SECOND).without_jitter()));
        }),
        change(|job| {
            job.spec.retry = Some(Box::new(RetryPolicy::linear(SECOND, SECOND).with_jitter(Jitter::Full)));
        }),
        change(|job| {
            job.spec.retry = Some(Box::new(RetryPolicy::fixed(SECOND / 3).with_jitter(Jitter::Percent(255))));
        }),
        change(|job| {
            job.spec.retry = Some(Box::new(RetryPolicy::table(vec![SECOND; RetryPolicy::MAX_TABLE])));
        }),
        change(|job| job.spec.retry = Some(Box::new(RetryPolicy::table(vec![])))),
        change(|job| job.spec.retention = Some(Box::new(Retention::default()))),
        change(|job| {
            job.spec.retention = Some(Box::new(Retention::all(Duration::MAX).with_completed(Duration::ZERO)));
        }),
        change(|job| job.spec.tags = vec![name("one"), name("two"), name("one")]),
        change(|job| job.spec.metadata = Metadata::new().with("tenant", "acme é").with("n", 2.5)),
        change(|job| {
            job.spec.unique_key = Some(UniqueKey::new("all").expect("it is a key"));
            job.spec.timeout = Some(SECOND);
            job.spec.retry = Some(Box::new(RetryPolicy::fixed(SECOND)));
            job.spec.retention = Some(Box::new(Retention::all(SECOND)));
            job.spec.tags = vec![name("tag")];
            job.spec.metadata = Metadata::new().with("k", true);
            job.when = When::After(SECOND * 3600);
        }),
    ]
}

fn records(backend: &Postgres, jobs: &[NewJob]) -> Vec<JobRecord> {
    let ids = jobs.iter().map(|job| job.id).collect();
    let found = block_on(backend.get(Call::new(), ids)).expect("it is answered");
    found.into_iter().map(|job| job.expect("it is there")).collect()
}

/// Without its id, and with its times as they lie from when it was stored.
fn comparable(job: &NewJob, mut record: JobRecord, zero: &JobRecord) -> JobRecord {
    record.id = zero.id;
    if !matches!(job.when, When::At(_) | When::After(Duration::MAX)) {
        record.run_at = Timestamp::EPOCH + record.run_at.since(record.created_at);
    }
    record.created_at = Timestamp::EPOCH;
    record
}

fn assert_equal(schema: &Schema, backend: &Postgres, theirs: &[NewJob]) {
    let mut jobs = theirs.to_vec();
    for job in &mut jobs {
        job.id = schema.job().id;
    }
    let other = Schema::new();
    let stored = other.open();
    block_on(stored.enqueue(Call::new(), EnqueueRequest::new(jobs.clone()))).expect("they are stored");
    let (ours, theirs_read) = (records(&stored, &jobs), records(backend, theirs));
    let zero = ours[0].clone();
    for ((job, ours), theirs) in jobs.iter().zip(ours).zip(theirs_read) {
        assert_eq!(comparable(job, theirs, &zero), comparable(job, ours, &zero), "{job:?}");
    }
    // All that is stored, but for ids, times and the numbers of queues.
    let columns = "SELECT string_agg(concat_ws(' ', kind, max_attempts, priority, options, args, name), chr(10) \
        ORDER BY id) FROM {schema}.jobs JOIN {schema}.queues USING (queue)";
    assert_eq!(schema.psql(columns), other.psql(columns));
    let keys = "SELECT count(*) || ' ' || string_agg(key::text, ' ' ORDER BY key) FROM {schema}.uniques";
    assert_eq!(schema.psql(keys), other.psql(keys));
    for table in ["ready", "waiting"] {
        let rows = format!(
            "SELECT string_agg((to_jsonb(t) - '{{id,run_at,queue}}'::text[])::text, ' ' ORDER BY id) FROM {{schema}}.{table} AS t"
        );
        assert_eq!(schema.psql(&rows), other.psql(&rows));
    }
}

#[test]
fn jobs_that_come_one_by_one_are_those_that_the_backend_stores() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let jobs = all(&schema);
    for job in &jobs {
        let answer = caller.ask("enqueue", &storing(std::slice::from_ref(job)));
        assert_eq!(answer["answers"][0]["created"], true, "{job:?}");
    }
    assert_equal(&schema, &schema.open(), &jobs);
}

#[test]
fn jobs_that_come_together_are_those_that_the_backend_stores() {
    let schema = Schema::new();
    let jobs = all(&schema);
    Caller::of(&schema).ask("enqueue", &storing(&jobs));
    assert_equal(&schema, &schema.open(), &jobs);
}
