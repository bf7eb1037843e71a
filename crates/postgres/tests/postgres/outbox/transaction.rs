//! In transactions of every kind.

use std::time::Duration;

use gristmill_core::{Backend as _, Call, EnqueueRequest, JobFilter, NewJob, UniqueKey};
use gristmill_testkit::block_on;
use serde_json::json;

use super::requests::{apply, of, request};
use super::{Caller, about, storing};
use crate::faults::site::until;
use crate::fixture::{Schema, count, fetch, name, register};

fn keyed(schema: &Schema, key: &str) -> NewJob {
    let mut job = schema.job();
    job.spec.unique_key = Some(UniqueKey::new(key).expect("it is a key"));
    job
}

fn stored(schema: &Schema) -> u64 {
    count(&schema.open(), JobFilter::new())
}

#[test]
fn a_job_by_the_function_is_there_if_and_only_if_the_transaction_commits() {
    let schema = Schema::new();
    let backend = schema.open();
    let worker = register(&backend);
    let caller = Caller::of(&schema);
    for (claim, end) in [(1, "ROLLBACK"), (2, "COMMIT")] {
        let job = schema.job();
        caller.run("BEGIN");
        caller.ask("enqueue", &storing(std::slice::from_ref(&job)));
        assert_eq!(caller.ask("get", &about(&[job.id], ""))["jobs"][0]["state"], "available");
        assert_eq!(fetch(&backend, worker, claim, 1).len(), 0, "nobody else sees it yet");
        caller.run(end);
    }
    assert_eq!(stored(&schema), 1);
    // Outside of a transaction it is stored at once.
    caller.ask("enqueue", &storing(&[schema.job()]));
    assert_eq!(fetch(&backend, worker, 3, 10).len(), 2);
}

#[test]
fn a_savepoint_that_is_rolled_back_takes_its_jobs_queues_and_keys_with_it() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let mut inner = keyed(&schema, "k");
    inner.spec.queue = name("new");
    caller.run("BEGIN");
    caller.ask("enqueue", &storing(&[schema.job()]));
    for _ in 0..2 {
        caller.run("SAVEPOINT part");
        let answer = caller.ask("enqueue", &storing(&[inner.clone(), schema.job()]));
        assert_eq!(answer["answers"], json!([{"created": true}, {"created": true}]));
        caller.run("ROLLBACK TO part");
    }
    caller.run("COMMIT");
    assert_eq!(stored(&schema), 1);
    assert_eq!(caller.value("SELECT string_agg(name, ' ') FROM {schema}.queues"), "line");
    assert_eq!(caller.value("SELECT count(*) FROM {schema}.uniques"), "0");
}

/// The id and the key of a job whose transaction is open: who comes second waits for its end.
#[test]
fn a_duplicate_of_a_job_that_is_being_committed_waits_and_is_an_answer() {
    let schema = Schema::new();
    let watcher = Caller::of(&schema);
    for end in ["COMMIT", "ROLLBACK"] {
        let first = keyed(&schema, end);
        let plain = schema.job();
        let opened = [first.clone(), plain.clone()];
        let seconds = [
            (keyed(&schema, end), json!({"existing": first.id.to_string(), "by": "unique_key"})),
            (plain.clone(), json!({"existing": plain.id.to_string(), "by": "id"})),
        ];
        for (second, if_committed) in seconds {
            let holder = Caller::of(&schema);
            holder.run("BEGIN");
            holder.ask("enqueue", &storing(&opened));
            let answer = std::thread::scope(|scope| {
                let asking = scope.spawn(|| {
                    let caller = Caller::of(&schema);
                    caller.run("BEGIN");
                    let answer = caller.ask("enqueue", &storing(std::slice::from_ref(&second)));
                    caller.run("INSERT INTO {schema}.expiries VALUES (0, gen_random_uuid()); COMMIT");
                    answer
                });
                let waiters = format!(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
                    schema.name
                );
                until("the second waits for the first", || watcher.value(&waiters) == "1");
                holder.run(end);
                asking.join().expect("it is answered")
            });
            let expected = if end == "COMMIT" { if_committed } else { json!({"created": true}) };
            assert_eq!(answer["answers"], json!([expected]), "{end}");
            watcher.run(
                "DELETE FROM {schema}.jobs; DELETE FROM {schema}.ready; DELETE FROM {schema}.uniques; \
                DELETE FROM {schema}.queues",
            );
        }
    }
}

/// A queue that an open transaction uses first is nothing to wait for: neither for other transactions nor for
/// programs.
#[test]
fn a_new_queue_of_an_open_transaction_keeps_no_other_one_waiting() {
    let schema = Schema::new();
    let backend = schema.open();
    let queued = || {
        let mut job = schema.job();
        job.spec.queue = name("new");
        job
    };
    let created = json!([{"created": true}]);
    for end in ["ROLLBACK", "COMMIT"] {
        let (holder, other) = (Caller::of(&schema), Caller::of(&schema));
        holder.run("BEGIN");
        let held = queued();
        assert_eq!(holder.ask("enqueue", &storing(std::slice::from_ref(&held)))["answers"], created);
        assert_eq!(holder.ask("enqueue", &storing(&[queued()]))["answers"], created, "once more");
        assert_eq!(holder.ask("get", &about(&[held.id], ""))["jobs"][0]["queue"], "new", "it sees its queue");
        for caller in [&other, &Caller::of(&schema)] {
            caller.run("BEGIN; SET LOCAL lock_timeout = '100ms'");
            assert_eq!(caller.ask("enqueue", &storing(&[queued()]))["answers"], created);
        }
        other.run("COMMIT");
        let program = EnqueueRequest::new(vec![queued()]);
        let deadline = Call::new().within(Duration::from_secs(5));
        block_on(backend.enqueue(deadline, program)).expect("a program does not wait");
        holder.run(end);
        assert_eq!(other.value("SELECT count(*) FROM {schema}.queues WHERE name = 'new'"), "1");
        assert_eq!(other.value("SELECT count(*) FROM {schema}.new_queues"), "0");
    }
    let without_queue =
        "SELECT count(*) FROM {schema}.ready WHERE queue NOT IN (SELECT queue FROM {schema}.queues)";
    assert_eq!(Caller::of(&schema).value(without_queue), "0");
    assert_eq!(stored(&schema), 6);
}

/// Two names with one number: the one that commits second has to begin anew, or has another number.
#[test]
fn queues_whose_names_have_one_number_are_told_apart() {
    let schema = Schema::new();
    let [holder, other] = [(); 2].map(|()| Caller::of(&schema));
    let number = |name: &str| other.value(&format!("SELECT {{schema}}.queue_number('{name}')"));
    let first = number("one");
    other.run(&format!("INSERT INTO {{schema}}.queues (queue, name) VALUES ({first}, 'another')"));
    assert_ne!(number("one"), first);
    // As if the two had been given it at the same time.
    holder.run("BEGIN; INSERT INTO {schema}.new_queues (queue, name) VALUES (7, 'two')");
    other.run("INSERT INTO {schema}.new_queues (queue, name) VALUES (7, 'three')");
    assert_eq!(holder.try_run("COMMIT").expect_err("the number is taken").code, "40001");
    assert_eq!(
        other.value("SELECT string_agg(name, ' ' ORDER BY name) FROM {schema}.queues"),
        "another three"
    );
}

#[test]
fn transactions_with_the_same_keys_and_queues_in_another_order_do_not_block_each_other() {
    let schema = Schema::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let schema = &schema;
                scope.spawn(move || {
                    let caller = Caller::of(schema);
                    for round in 0..25 {
                        let mut jobs: Vec<_> =
                            (0..10).map(|key| keyed(schema, &format!("{round} {key}"))).collect();
                        for (place, job) in jobs.iter_mut().enumerate() {
                            job.spec.queue = name(&format!("{round}.{}", place % 3));
                        }
                        if thread % 2 == 0 {
                            jobs.reverse();
                        }
                        caller.ask("enqueue", &storing(&jobs));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("none is the victim of a deadlock");
        }
    });
    assert_eq!(stored(&schema), 250);
}

/// What is promised there: a duplicate that the transaction's snapshot shows is an answer; one that it cannot
/// see ends it by an error that says to repeat it.
#[test]
fn at_repeatable_read_and_serializable_a_duplicate_is_an_answer_or_a_reason_to_repeat() {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let schema = Schema::new();
        let (caller, other) = (Caller::of(&schema), Caller::of(&schema));
        let known = keyed(&schema, "known");
        other.ask("enqueue", &storing(std::slice::from_ref(&known)));
        let begin = format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM {{schema}}.queues");

        caller.run(&begin);
        let answer = caller.ask("enqueue", &storing(&[schema.job(), keyed(&schema, "known"), known.clone()]));
        let by = |by: &str| json!({"existing": known.id.to_string(), "by": by});
        assert_eq!(answer["answers"], json!([{"created": true}, by("unique_key"), by("id")]));
        request(&caller, "cancel", &[known.id], "");
        caller.run("COMMIT");
        assert_eq!(stored(&schema), 2);

        let (unseen, plain, mut queued) = (keyed(&schema, "unseen"), schema.job(), schema.job());
        queued.spec.queue = name("unseen");
        for (theirs, ours) in
            [(unseen, keyed(&schema, "unseen")), (plain.clone(), plain), (queued.clone(), queued)]
        {
            caller.run(&begin);
            other.ask("enqueue", &storing(std::slice::from_ref(&theirs)));
            let error = caller
                .try_ask("enqueue", &storing(std::slice::from_ref(&ours)))
                .expect_err("it cannot be seen");
            assert_eq!(error.code, "40001", "{error:?}");
            caller.run("ROLLBACK");
            caller.run(&begin);
            let answer = caller.ask("enqueue", &storing(std::slice::from_ref(&ours)));
            assert_eq!(answer["answers"][0]["existing"], theirs.id.to_string(), "the repeat sees it");
            caller.run("COMMIT");
        }
    }
}

#[test]
fn a_read_only_and_an_aborted_transaction_refuse_by_the_servers_codes() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    let job = schema.job();
    caller.ask("enqueue", &storing(std::slice::from_ref(&job)));
    let acts = [("enqueue", storing(&[schema.job()])), ("request", of("cancel", &[job.id], ""))];
    for (verb, request) in &acts {
        caller.run("BEGIN READ ONLY");
        assert_eq!(caller.ask("get", &about(&[job.id], ""))["jobs"][0]["state"], "available");
        assert_eq!(caller.try_ask(verb, request).expect_err("it is read-only").code, "25006", "{verb}");
        assert_eq!(caller.try_ask(verb, request).expect_err("it is aborted").code, "25P02", "{verb}");
        caller.run("ROLLBACK");
    }
    assert_eq!(caller.ask("get", &about(&[job.id], ""))["jobs"][0]["state"], "available");
    assert_eq!(stored(&schema), 1);
}

/// Whatever the caller has set for his session.
#[test]
fn the_callers_settings_do_not_change_what_is_stored_and_stay_as_they_are() {
    let schema = Schema::new();
    let backend = schema.open();
    let worker = register(&backend);
    let caller = Caller::of(&schema);
    let settings = [
        ("search_path", "\"$user\", public"),
        ("standard_conforming_strings", "off"),
        ("bytea_output", "escape"),
        ("DateStyle", "German, DMY"),
        ("TimeZone", "Asia/Kathmandu"),
        ("IntervalStyle", "sql_standard"),
        ("extra_float_digits", "-15"),
        ("plan_cache_mode", "force_custom_plan"),
        ("enable_seqscan", "off"),
        ("quote_all_identifiers", "on"),
        ("plpgsql.variable_conflict", "use_column"),
        ("check_function_bodies", "off"),
    ];
    caller.run("LOAD 'plpgsql'");
    for (setting, value) in settings {
        caller.run(&format!("SELECT set_config('{setting}', '{value}', false)"));
    }
    let before =
        caller.value("SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings");
    let jobs = [schema.job(), keyed(&schema, "ключ"), keyed(&schema, "\\x6b")];
    caller.ask("enqueue", &storing(&jobs[..1]));
    caller.ask("enqueue", &storing(&jobs[1..]));
    request(&caller, "update", &[jobs[0].id], r#","patch":{"priority":1}"#);
    apply(&backend);
    let at = "{\"queue\":\"line\",\"run_at\":\"2020-01-02T03:04:05Z\",\"retry\":{\"exponential\":{\"base_ms\":1,\"factor\":1.1,\"cap_ms\":9}}}";
    caller.run(&format!("SELECT {{schema}}.enqueue('work', '{{\"x\":1.5}}', '{at}')"));
    assert_eq!(
        caller.value("SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings"),
        before
    );
    let leased = fetch(&backend, worker, 1, 10);
    assert_eq!(leased.len(), 4);
    let timed =
        leased.iter().find(|job| job.spec.args.as_bytes() == br#"{"x": 1.5}"#).expect("it was fetched");
    let retry = timed.spec.retry.as_deref().expect("it has one").clone().without_jitter();
    assert_eq!(retry.delay(2, 0.0), Duration::from_micros(1100));
    assert_eq!(caller.value("SELECT count(*) FROM {schema}.ready"), "0");
}
