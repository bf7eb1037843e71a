//! The function for people and triggers.

use std::time::Duration;

use gristmill_core::{
    Backend, Call, JobFilter, JobId, JobRecord, JobState, Metadata, Priority, Retention, RetryPolicy,
    Timestamp,
};
use gristmill_testkit::block_on;

use super::{Caller, Refused};
use crate::fixture::{Schema, complete, count, fetch, name, register};

pub(super) fn enqueue(caller: &Caller, arguments: &str) -> Result<JobId, Refused> {
    let id = caller.try_value(&format!("SELECT {{schema}}.enqueue({arguments})"))?;
    Ok(id.parse().expect("it is an id"))
}

fn record(schema: &Schema, id: JobId) -> JobRecord {
    block_on(schema.open().get(Call::new(), vec![id]))
        .expect("it is answered")
        .remove(0)
        .expect("it is there")
}

#[test]
fn a_job_by_its_kind_alone_has_the_defaults_and_is_run() {
    let schema = Schema::new();
    let id = enqueue(&Caller::of(&schema), "'email.welcome'").expect("it is stored");
    let job = record(&schema, id);
    assert_eq!((job.spec.kind.as_str(), job.spec.queue.as_str()), ("email.welcome", "default"));
    assert_eq!((job.spec.args.as_bytes(), job.state), (&b"{}"[..], JobState::Available));
    assert_eq!(
        job.spec,
        gristmill_core::JobSpec::new(job.spec.kind.clone(), job.spec.queue.clone(), job.spec.args.clone())
    );
    assert!(
        job.created_at.since(id.minted_at()) < Duration::from_secs(1) && job.run_at == job.created_at,
        "{job:?}"
    );
}

#[test]
fn every_option_reaches_the_job() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let id = enqueue(
        &caller,
        r#"kind => 'report', args => '{"n": 7}', options => '{"queue": "line", "priority": -3, "max_attempts": 8,
            "run_at": "2100-01-01T01:00:00+01:00", "timeout_ms": 1500, "unique_key": "ключ }", "tags": ["a", "b"],
            "metadata": {"tenant": "é", "deep": {"x": [1]}}, "id": "01900000-0000-7000-8000-000000000001",
            "retention": {"completed_ms": 0, "discarded_ms": 1001},
            "retry": {"exponential": {"base_ms": 1500, "factor": 1.5, "cap_ms": 60000}, "jitter": "none"}}'"#,
    )
    .expect("it is stored");
    assert_eq!(id.to_string(), "01900000-0000-7000-8000-000000000001");
    let job = record(&schema, id);
    let spec = &job.spec;
    assert_eq!(
        (spec.queue.as_str(), spec.priority, spec.max_attempts.get()),
        ("line", Priority::new(-3).expect("it is one"), 8)
    );
    assert_eq!((job.state, job.run_at), (JobState::Scheduled, Timestamp::from_millis(4_102_444_800_000)));
    assert_eq!(spec.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(spec.unique_key.as_ref().map(gristmill_core::UniqueKey::as_str), Some("ключ }"));
    assert_eq!(spec.tags, [name("a"), name("b")]);
    assert_eq!(
        spec.metadata,
        Metadata::new().with("tenant", "é").with("deep", serde_json::json!({"x": [1]}))
    );
    let mut retention = Retention::default().with_completed(Duration::ZERO);
    retention.discarded = Duration::from_millis(1001);
    assert_eq!(spec.retention.as_deref(), Some(&retention));
    let policy =
        RetryPolicy::exponential(Duration::from_millis(1500), 1.5, Duration::from_secs(60)).without_jitter();
    assert_eq!(spec.retry.as_deref(), Some(&policy));
    assert_eq!(spec.args.as_bytes(), br#"{"n": 7}"#);
}

/// A member too many would be read as the worker's own default at best.
#[test]
fn options_that_were_not_given_are_not_stored() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let day = r#"{"secs":86400,"nanos":0}"#;
    let kept = format!(
        r#"{{"retention":{{"cancelled":{{"secs":604800,"nanos":0}},"completed":{day},"discarded":{day}}}}}"#
    );
    for (given, stored) in [
        ("{}", ""),
        (r#"{"priority":1,"tags":[],"metadata":{}}"#, ""),
        (r#"{"tags":["a","b"]}"#, r#"{"tags":["a","b"]}"#),
        (r#"{"timeout_ms":7}"#, r#"{"timeout_ms":7}"#),
        (r#"{"retention":{"discarded_ms":86400000}}"#, &kept),
        (
            r#"{"retry":{"linear":{"step_ms":5,"cap_ms":1001}}}"#,
            r#"{"retry":{"backoff":{"linear":{"cap":{"secs":1,"nanos":1000000},"step":{"secs":0,"nanos":5000000}}},"jitter":{"percent":10}}}"#,
        ),
    ] {
        let id = enqueue(&caller, &format!("'work', '{{}}', '{given}'")).expect(given);
        let options = caller.value(&format!("SELECT options FROM {{schema}}.jobs WHERE id = '{id}'"));
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(value(&options), value(stored), "{given}");
    }
}

#[test]
fn every_way_to_wait_for_a_retry_reaches_the_job() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let ms = Duration::from_millis;
    let full = gristmill_core::Jitter::Full;
    for (retry, policy) in [
        (r#"{"exponential":{"base_ms":1000,"factor":2,"cap_ms":21600000}}"#, RetryPolicy::default()),
        (
            r#"{"linear":{"step_ms":5,"cap_ms":9000},"jitter":"full"}"#,
            RetryPolicy::linear(ms(5), ms(9000)).with_jitter(full),
        ),
        (r#"{"fixed_ms":1001,"jitter":10}"#, RetryPolicy::fixed(ms(1001))),
        (r#"{"fixed_ms":1001,"jitter":10.0}"#, RetryPolicy::fixed(ms(1001))),
        (r#"{"table_ms":[1,2000]}"#, RetryPolicy::table(vec![ms(1), ms(2000)])),
        (r#"{"table_ms":[]}"#, RetryPolicy::table(vec![])),
    ] {
        let id = enqueue(&caller, &format!("'work', '{{}}', '{{\"retry\":{retry}}}'")).expect(retry);
        assert_eq!(record(&schema, id).spec.retry.as_deref(), Some(&policy), "{retry}");
    }
}

#[test]
fn a_time_is_now_after_a_delay_at_an_instant_or_never_before_a_release() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let of = |options: &str| {
        let job = record(&schema, enqueue(&caller, &format!("'work', '{{}}', {options}")).expect(options));
        (job.state, job.run_at.as_millis() - job.created_at.as_millis())
    };
    assert_eq!(of("NULL"), (JobState::Available, 0));
    assert_eq!(of("'{}'"), (JobState::Available, 0));
    assert_eq!(of(r#"'{"suspended": false}'"#), (JobState::Available, 0));
    assert_eq!(of(r#"'{"suspended": true}'"#), (JobState::Suspended, 0));
    assert_eq!(of(r#"'{"delay_ms": 0}'"#), (JobState::Available, 0));
    assert_eq!(of(r#"'{"delay_ms": 5000}'"#), (JobState::Scheduled, 5000));
    assert_eq!(of(r#"'{"run_at": "1960-01-01 00:00:00Z"}'"#).0, JobState::Available);
    let (state, after) = of("jsonb_build_object('run_at', now() + interval '1 hour')");
    // The time of storing is rounded down, that of running up.
    assert!(state == JobState::Scheduled && (3_500_000..=3_600_001).contains(&after), "{after}");
    assert_eq!(of("jsonb_build_object('run_at', (now() + interval '1 hour')::text)").0, JobState::Scheduled);
    // Never before it: a part of a millisecond is one more.
    for (at, due) in [("00:00:00.123", 123), ("00:00:00.123001", 124), ("00:00:00.9999", 1000)] {
        let options = format!(r#"'work', '{{}}', '{{"run_at": "2100-01-01T{at}Z"}}'"#);
        let job = record(&schema, enqueue(&caller, &options).expect(at));
        assert_eq!(job.run_at.as_millis() - 4_102_444_800_000, due, "{at}");
    }
}

/// Options and what the error names; then its remedy.
const REFUSED: [(&str, &str, &str); 47] = [
    ("'two words'", "`kind`", "A-Z a-z 0-9"),
    ("''", "`kind`", "1 to 64"),
    ("repeat('k', 65)", "`kind`", "1 to 64"),
    ("NULL", "`kind` is NULL", "kind"),
    ("'k', NULL", "`args` is NULL", "{}"),
    ("'k', to_jsonb(repeat('x', 1048576))", "`args` has 1048578 bytes", "reference"),
    ("'k', (repeat('[', 31) || repeat(']', 31))::jsonb", "deeper than 30", "flatter"),
    ("'k', '[18446744073709551616]'", "64 bits", "text"),
    ("'k', '[-9223372036854775809]'", "64 bits", "text"),
    ("'k', '[1e400]'", "64 bits", "text"),
    ("'k', '[1e20]'", "64 bits", "text"),
    // As jsonb writes them: a space behind each comma.
    ("'k', to_jsonb(array_fill(1, ARRAY[349526]))", "`args` has 1048578 bytes", "reference"),
    ("'k', '{}', '7'", "`options`", "queue, priority"),
    ("'k', '{}', '{\"colour\":1}'", "`colour`", "queue, priority"),
    ("'k', '{}', '{\"queue\":\"a b\"}'", "`queue` cannot be \"a b\"", "A-Z a-z 0-9"),
    ("'k', '{}', '{\"queue\":\"a\\nb\"}'", "`queue` cannot be \"a\\nb\"", "A-Z a-z 0-9"),
    ("'k', '{}', '{\"queue\":\"a\\n\"}'", "`queue`", "A-Z a-z 0-9"),
    ("E'k\\n'", "`kind`", "A-Z a-z 0-9"),
    ("'k', '{}', '{\"queue\":null}'", "`queue` cannot be null", "A-Z a-z 0-9"),
    ("'k', '{}', '{\"priority\":11}'", "`priority` cannot be 11", "from -10 to 10"),
    ("'k', '{}', '{\"priority\":1.5}'", "`priority` cannot be 1.5", "whole number"),
    ("'k', '{}', '{\"priority\":\"1\"}'", "`priority` cannot be \"1\"", "whole number"),
    ("'k', '{}', '{\"max_attempts\":0}'", "`max_attempts` cannot be 0", "from 1 to 65535"),
    ("'k', '{}', '{\"max_attempts\":65536}'", "`max_attempts`", "from 1 to 65535"),
    ("'k', '{}', '{\"delay_ms\":-1}'", "`delay_ms` cannot be -1", "from 0"),
    ("'k', '{}', '{\"run_at\":\"tomorrow\"}'", "`run_at` cannot be \"tomorrow\"", "2026-11-22T10:00:00Z"),
    ("'k', '{}', '{\"run_at\":\"2026-11-22T10:00:00\"}'", "`run_at`", "with its zone"),
    ("'k', '{}', '{\"run_at\":\"2026-13-22T10:00:00Z\"}'", "`run_at`", "with its zone"),
    ("'k', '{}', '{\"run_at\":7}'", "`run_at`", "with its zone"),
    ("'k', '{}', '{\"run_at\":\"2026-11-22T10:00:00+99\"}'", "`run_at`", "with its zone"),
    ("'k', '{}', '{\"run_at\":\"2026-11-22T10:00:00-16:00\"}'", "`run_at`", "with its zone"),
    ("'k', '{}', '{\"retry\":{\"fixed_ms\":1,\"jitter\":10.5}}'", "`jitter` cannot be 10.5", "from 0 to 100"),
    ("'k', '{}', '{\"delay_ms\":1,\"suspended\":true}'", "one time", "Give one of"),
    ("'k', '{}', '{\"suspended\":\"yes\"}'", "`suspended`", "true or false"),
    ("'k', '{}', '{\"timeout_ms\":0}'", "`timeout_ms` cannot be 0", "from 1"),
    ("'k', '{}', '{\"unique_key\":\"\"}'", "`unique_key`", "1 to 255 bytes"),
    ("'k', '{}', jsonb_build_object('unique_key', repeat('é', 128))", "`unique_key`", "1 to 255 bytes"),
    ("'k', '{}', '{\"unique_key\":7}'", "`unique_key` cannot be 7", "1 to 255 bytes"),
    ("'k', '{}', '{\"tags\":\"a\"}'", "`tags`", "list"),
    ("'k', '{}', '{\"tags\":[\"ä\"]}'", "`tags`", "A-Z a-z 0-9"),
    ("'k', '{}', '{\"tags\":[\"a\\nb\"]}'", "`tags`", "A-Z a-z 0-9"),
    ("'k', '{}', '{\"metadata\":[]}'", "`metadata`", "object"),
    (
        "'k', '{}', jsonb_build_object('metadata', jsonb_build_object('x', repeat('x', 65536)))",
        "`metadata`",
        "65536",
    ),
    ("'k', '{}', '{\"id\":\"00000000-0000-4000-8000-000000000000\"}'", "`id`", "version 7"),
    ("'k', '{}', '{\"id\":\"ffffffff-0000-7000-8000-000000000000\"}'", "`id`", "Set the clock"),
    ("'k', '{}', '{\"retention\":{\"kept_ms\":1}}'", "`kept_ms`", "completed_ms"),
    ("'k', '{}', '{\"retry\":{\"fixed_ms\":1,\"linear\":{}}}'", "`retry`", "one of"),
];

#[test]
fn what_the_rules_refuse_is_named_with_its_remedy_and_stores_nothing() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    for (arguments, what, remedy) in REFUSED {
        let error = enqueue(&caller, arguments).expect_err(arguments);
        assert_eq!(error.code, "22023", "{arguments}: {error:?}");
        assert!(error.message.contains(what), "{arguments}: {error:?}");
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains(remedy)), "{arguments}: {error:?}");
    }
    for retry in [
        "{}",
        "7",
        "{\"exponential\":{\"base_ms\":1,\"factor\":\"2\",\"cap_ms\":1}}",
        "{\"exponential\":{}}",
        "{\"linear\":{\"step_ms\":1}}",
        "{\"fixed_ms\":-1}",
        "{\"table_ms\":[1,\"2\"]}",
        "{\"fixed_ms\":1,\"jitter\":101}",
        "{\"fixed_ms\":1,\"jitter\":\"some\"}",
    ] {
        let error = enqueue(&caller, &format!("'k', '{{}}', '{{\"retry\":{retry}}}'")).expect_err(retry);
        assert_eq!(error.code, "22023", "{retry}: {error:?}");
        assert!(error.hint.is_some(), "{retry}: {error:?}");
    }
    // NUL is no character of PostgreSQL's.
    let error = enqueue(&caller, r#"'k', '{}', '{"unique_key":"a\u0000b"}'"#).expect_err("it is no text");
    assert_eq!(error.code, "22P05");
    assert_eq!(count(&schema.open(), JobFilter::new()), 0);
    let taken = [
        "repeat('k', 64)",
        "'k', to_jsonb(repeat('x', 1048574))",
        "'k', to_jsonb(array_fill(1, ARRAY[349525]))",
        "'k', '[1e19]'",
        "'k', (repeat('[', 30) || repeat(']', 30))::jsonb",
        "'k', '[18446744073709551615, -9223372036854775808, 123456789012345678901.5, \"1234567890123456789012345678901\"]'",
        "'k', '{}', jsonb_build_object('unique_key', repeat('é', 127))",
    ];
    for arguments in taken {
        enqueue(&caller, arguments).expect(arguments);
    }
}

#[test]
fn a_unique_key_or_an_id_that_is_there_gives_the_job_that_has_it() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let arguments = r#"'work', '{}', '{"queue": "line", "unique_key": "7"}'"#;
    caller.run("BEGIN");
    let first = enqueue(&caller, arguments).expect("it is stored");
    assert_eq!(enqueue(&caller, arguments).expect("it is an answer"), first);
    caller.run("COMMIT");
    let named = r#"'work', '{}', '{"queue": "line", "id": "01900000-0000-7000-8000-000000000001"}'"#;
    assert_eq!(
        enqueue(&caller, named).expect("it is stored"),
        enqueue(&caller, named).expect("it is an answer")
    );
    let worker = register(&backend);
    let leased = fetch(&backend, worker, 1, 10);
    assert_eq!(leased.len(), 2);
    complete(&backend, leased);
    assert_ne!(enqueue(&caller, arguments).expect("the key is free"), first);
}

#[test]
fn ids_of_one_session_grow_and_are_of_version_7() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let ids = caller.value("SELECT {schema}.enqueue('work') FROM generate_series(1, 500)");
    let ids: Vec<JobId> = ids.lines().map(|id| id.parse().expect("it is an id")).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    for id in ids {
        let bytes = id.as_bytes();
        assert_eq!((bytes[6] >> 4, bytes[8] >> 6), (7, 2), "{id}");
    }
}

/// A job with options costs about what one without does: it was ten times as much when one job took the way
/// of many.
#[test]
fn a_unique_key_and_other_options_cost_little_beside_the_call() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    enqueue(&caller, "'work'").expect("it is stored");
    let cost = |options: &str, round: u32| {
        let options = options.replace("$round", &round.to_string());
        let begun = std::time::Instant::now();
        caller.value(&format!(
            "SELECT count({{schema}}.enqueue('work', '{{}}', {options})) FROM generate_series(1, 100) AS i"
        ));
        begun.elapsed()
    };
    for options in [
        "jsonb_build_object('unique_key', 'k' || $round || '-' || i)",
        "jsonb_build_object('unique_key', 'k1-' || i)",
        r#"'{"delay_ms": 60000}'"#,
        r#"'{"tags": ["a", "b"], "metadata": {"tenant": "acme"}}'"#,
    ] {
        // By turns, since other tests run beside this one: most of them have to agree.
        let turns = (0..7).map(|round| (cost("'{}'", round), cost(options, round)));
        let turns: Vec<_> = turns.collect();
        let cheap = turns.iter().filter(|(plain, cost)| *cost < *plain * 3).count();
        assert!(cheap > turns.len() / 2, "{options}: {turns:?}");
    }
}
