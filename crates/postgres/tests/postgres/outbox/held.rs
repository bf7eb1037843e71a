//! Requests whose jobs other transactions have locked: they keep no other.

use std::time::Duration;

use gristmill_core::{Backend, Call, JobId, JobState, Timestamp};
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
