//! Requests whose jobs other transactions have locked, and requests that always fail: they keep no other.

use std::time::Duration;

use gristmill_core::{Backend, Call, JobId, JobState, Maintained, Timestamp};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::Caller;
use super::requests::{apply, left, promote, request, state};
use crate::fixture::{Schema, complete, fetch, register};

/// Locked jobs with a request each: with a turn of waiting for each, a pass would never reach the others.
const HELD: usize = 15;

fn now(backend: &Postgres) -> Timestamp {
    block_on(backend.ping(Call::new())).expect("it is answered").now
}

/// Cancels these jobs, each with an actor of its own, so that each is applied alone.
fn cancel_each(caller: &Caller, ids: &[JobId]) {
    for (place, id) in ids.iter().enumerate() {
        request(caller, "cancel", &[*id], &format!(r#","actor":"{place}""#));
    }
}

fn are_cancelled(backend: &Postgres, ids: &[JobId]) -> bool {
    ids.iter().all(|id| state(backend, *id) == Some(JobState::Cancelled))
}

/// `holder` has locked the jobs where they are, and cancels of them lie before those of others.
fn pass_by(schema: &Schema, backend: &Postgres, holder: &Caller, held: &[JobId]) {
    let caller = Caller::of(schema);
    let free = schema.enqueue(backend, 5);
    cancel_each(&caller, held);
    cancel_each(&caller, &free);
    let before = now(backend);
    let first = promote(backend);
    assert!(first.more && first.done == 0, "it has waited for one lock: {first:?}");
    let next = first.next_due.expect("it goes on");
    assert!(next.since(before) >= Duration::from_millis(150), "the time that has passed is not due");
    for _ in 0..8 {
        promote(backend);
    }
    assert!(are_cancelled(backend, &free));
    assert_eq!(left(schema), held.len().to_string());
    let further = promote(backend);
    assert!(!further.more && further.done == 0, "a pass over locked jobs is one call: {further:?}");
    holder.run("ROLLBACK");
    assert_eq!(apply(backend), held.len() as u64);
}

#[test]
fn rm27_jobs_that_are_locked_in_ready_cost_one_turn_of_waiting() {
    let schema = Schema::new();
    let (backend, holder) = (schema.open(), Caller::of(&schema));
    let held = schema.enqueue(&backend, HELD);
    holder.run("BEGIN; SELECT FROM {schema}.ready FOR UPDATE");
    pass_by(&schema, &backend, &holder, &held);
    assert!(are_cancelled(&backend, &held));
}

#[test]
fn rm27_jobs_whose_claims_are_locked_cost_one_turn_of_waiting() {
    let schema = Schema::new();
    let (backend, holder) = (schema.open(), Caller::of(&schema));
    let worker = register(&backend);
    let held = schema.enqueue(&backend, HELD);
    let leased: Vec<_> = (1..=HELD as u64).flat_map(|claim| fetch(&backend, worker, claim, 1)).collect();
    holder.run("BEGIN; SELECT FROM {schema}.claims FOR UPDATE");
    pass_by(&schema, &backend, &holder, &held);
    let jobs = block_on(backend.get(Call::new(), held)).expect("it is answered");
    assert!(jobs.into_iter().flatten().all(|job| job.cancel_requested));
    complete(&backend, leased);
}

const MINUTE: Duration = Duration::from_secs(60);

/// One pass, so long after the store's time.
fn promote_later(backend: &Postgres, later: Duration) -> Maintained {
    let call = Call::at(now(backend) + later);
    block_on(backend.promote(call, 1_000)).expect("it is answered")
}

#[test]
fn a_request_that_fails_for_minutes_is_set_aside_alone() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 3);
    schema.psql(&format!(
        "CREATE FUNCTION {{schema}}.reject() RETURNS trigger LANGUAGE plpgsql AS \
            $$BEGIN RAISE EXCEPTION 'not this job'; END$$; \
        CREATE TRIGGER reject BEFORE INSERT ON {{schema}}.ended FOR EACH ROW WHEN (NEW.id = '{}') \
            EXECUTE FUNCTION {{schema}}.reject()",
        ids[1]
    ));
    request(&caller, "cancel", &ids, "");
    request(&caller, "update", &ids[1..2], r#","patch":{"priority":3}"#);
    apply(&backend);
    assert!(are_cancelled(&backend, &[ids[0], ids[2]]));
    for minute in 0..5 {
        promote_later(&backend, MINUTE * minute);
        assert_eq!(left(&schema), "2", "it is tried again, and the later request of its job waits");
    }
    promote_later(&backend, MINUTE * 6);
    promote_later(&backend, MINUTE * 6);
    let fault =
        schema.psql("SELECT count(*) || ' ' || max(verb) || ' ' || max(fault) FROM {schema}.requests");
    assert!(fault.starts_with("1 cancel ") && fault.contains("not this job"), "{fault}");
    let job = block_on(backend.get(Call::new(), vec![ids[1]])).expect("it is answered").remove(0);
    assert_eq!(job.expect("it is there").spec.priority.get(), 3, "its later request is applied");
}

#[test]
fn a_request_whose_commit_fails_keeps_no_other() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 3);
    // A table of the user's refers to a job, and looks at it only at the end of a transaction.
    schema.psql(&format!(
        "CREATE TABLE {{schema}}.mine (id uuid REFERENCES {{schema}}.jobs (id) DEFERRABLE INITIALLY DEFERRED); \
        INSERT INTO {{schema}}.mine VALUES ('{}')",
        ids[1]
    ));
    request(&caller, "delete", &ids, "");

    apply(&backend);
    assert_eq!([state(&backend, ids[0]), state(&backend, ids[2])], [None, None]);
    for minute in [0, 2, 4, 6, 6] {
        promote_later(&backend, MINUTE * minute);
    }
    let fault = schema.psql("SELECT count(*) || ' ' || max(fault) FROM {schema}.requests");
    assert!(fault.starts_with("1 ") && fault.contains("foreign key"), "{fault}");
    assert_eq!(state(&backend, ids[1]), Some(JobState::Available));
}

#[test]
fn a_request_whose_job_is_locked_for_an_hour_is_not_set_aside() {
    let schema = Schema::new();
    let (backend, caller, holder) = (schema.open(), Caller::of(&schema), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 2);
    holder.run(&format!("BEGIN; SELECT FROM {{schema}}.ready WHERE id = '{}' FOR UPDATE", ids[0]));
    // A lock that no look at places finds.
    schema.psql("CREATE TABLE {schema}.others (id uuid PRIMARY KEY)");
    schema.psql(&format!(
        "INSERT INTO {{schema}}.others VALUES ('{}'); \
        CREATE FUNCTION {{schema}}.touch() RETURNS trigger LANGUAGE plpgsql AS \
            $$BEGIN PERFORM FROM {{schema}}.others WHERE id = NEW.id FOR UPDATE; RETURN NEW; END$$; \
        CREATE TRIGGER touch BEFORE INSERT ON {{schema}}.ended FOR EACH ROW EXECUTE FUNCTION {{schema}}.touch()",
        ids[1]
    ));
    holder.run("SELECT FROM {schema}.others FOR UPDATE");
    cancel_each(&caller, &ids);
    for minute in (0..60).step_by(4) {
        while promote_later(&backend, MINUTE * minute).more {}
    }
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.requests WHERE fault IS NULL"), "2");
    holder.run("ROLLBACK");
    assert_eq!(apply(&backend), 2);
    assert!(are_cancelled(&backend, &ids));
}
