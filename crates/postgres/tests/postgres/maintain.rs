//! Rescues that race with finishes and with each other, and inconsistent rows that a rescue or an audit
//! finds.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, BackendErrorKind, Call, FetchedJob, Finished, JobFilter, JobState, LostWhy, RenewRequest,
    RescueReply,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;
use tokio_postgres::{Client, NoTls};

use crate::fixture::{Schema, complete, count, fetch, register, runtime};

const JOBS: usize = 200;
const ALL: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// A plain connection, which belongs to no backend.
pub(crate) fn connect() -> Client {
    runtime().block_on(async {
        let connected = tokio_postgres::connect(Server::shared().url(), NoTls).await;
        let (client, connection) = connected.expect("it connects");
        tokio::spawn(connection);
        client
    })
}

fn rescue(backend: &Postgres) -> RescueReply {
    block_on(backend.rescue(Call::new(), ALL)).expect("a rescue is answered")
}

/// All jobs leased to one worker, in claims of ten, and the worker gone.
fn orphaned(schema: &Schema, backend: &Postgres) -> Vec<FetchedJob> {
    schema.enqueue(backend, JOBS);
    let worker = register(backend);
    let claims = u64::try_from(JOBS / 10).expect("a number");
    let jobs = (1..=claims).flat_map(|claim| fetch(backend, worker, claim, 10)).collect();
    schema.psql("DELETE FROM {schema}.workers");
    jobs
}

/// Until a connection waits for a lock that the statement's author holds.
fn wait_for_waiter(schema: &Schema) {
    let waiters = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
        schema.name
    );
    let begun = Instant::now();
    while schema.psql(&waiters) == "0" {
        assert!(begun.elapsed() < PATIENCE, "nobody waits");
    }
}

#[test]
fn a_claim_whose_worker_is_unknown_is_rescued() {
    let schema = Schema::new();
    let backend = schema.open();
    orphaned(&schema, &backend);

    let reply = rescue(&backend);

    assert_eq!((reply.jobs.len(), reply.more), (JOBS, false));
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Available)), JOBS as u64);
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.claims"), "0");
}

#[test]
fn two_rescuers_at_once_put_each_job_back_once() {
    let schema = Schema::new();
    let backend = schema.open();
    orphaned(&schema, &backend);
    let start = Barrier::new(2);

    let replies = std::thread::scope(|scope| {
        let rescuers = [(); 2].map(|()| {
            scope.spawn(|| {
                let backend = schema.open();
                start.wait();
                rescue(&backend).jobs
            })
        });
        rescuers.map(|rescuer| rescuer.join().expect("it rescues"))
    });

    let mut ids: Vec<_> = replies.iter().flatten().map(|job| job.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), replies.iter().map(Vec::len).sum::<usize>()), (JOBS, JOBS));
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.ready"), JOBS.to_string());
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.attempts"), JOBS.to_string());
}

/// The finish holds the claim when the rescue looks: the rescue passes by, and finds nothing more to rescue
/// later.
#[test]
fn a_finish_that_comes_first_wins_against_the_rescue() {
    let schema = Schema::new();
    let backend = schema.open();
    let jobs = orphaned(&schema, &backend);
    let gate = connect();
    let lock = format!("BEGIN; SELECT FROM \"{}\".claims FOR UPDATE", schema.name);
    runtime().block_on(gate.batch_execute(&lock)).expect("the claims are locked");

    assert!(rescue(&backend).jobs.is_empty());
    let ends = std::thread::scope(|scope| {
        let finisher = scope.spawn(|| complete(&schema.open(), jobs));
        wait_for_waiter(&schema);
        assert!(rescue(&backend).jobs.is_empty());
        runtime().block_on(gate.batch_execute("ROLLBACK")).expect("the claims are free");
        finisher.join().expect("it finishes")
    });

    assert!(ends.iter().all(|end| *end == Finished::Accepted { state: JobState::Completed }), "{ends:?}");
    assert!(rescue(&backend).jobs.is_empty());
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), JOBS as u64);
}

/// The rescue has the claim when the finish comes: the finish waits, and its lease is lost.
#[test]
fn a_finish_that_comes_while_a_rescue_ends_its_run_is_too_late() {
    let schema = Schema::new();
    let backend = schema.open();
    let jobs = orphaned(&schema, &backend);
    let gate = connect();
    // The rescue cannot put the jobs back while this is held, and it holds the claim by then.
    let lock = format!("BEGIN; LOCK TABLE \"{}\".ready IN SHARE MODE", schema.name);
    runtime().block_on(gate.batch_execute(&lock)).expect("the table is locked");

    let (ends, rescued) = std::thread::scope(|scope| {
        let rescuer = scope.spawn(|| rescue(&schema.open()).jobs.len());
        wait_for_waiter(&schema);
        let held = schema.psql(
            "SELECT string_agg(nonce::text, ',') FROM {schema}.claims WHERE nonce NOT IN \
             (SELECT nonce FROM {schema}.claims FOR UPDATE SKIP LOCKED)",
        );
        assert!(!held.is_empty(), "the rescue holds a claim");
        let finisher = scope.spawn(|| complete(&schema.open(), jobs));
        runtime().block_on(gate.batch_execute("ROLLBACK")).expect("the table is free");
        let ends = finisher.join().expect("it finishes");
        (ends, rescuer.join().expect("it rescues"))
    });

    let lost = Finished::LeaseLost { why: LostWhy::Rescued };
    let completed = Finished::Accepted { state: JobState::Completed };
    let of = |wanted: Finished| ends.iter().filter(|end| **end == wanted).count();
    assert!(rescued >= 10, "the claim that the rescue held is its own");
    assert_eq!((of(lost), of(completed)), (rescued, JOBS - rescued), "{ends:?}");
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Available)), rescued as u64);
}

/// A claim that cannot be ended as a whole must not keep its jobs, nor the claims behind it. A rescue finds
/// that the lease has ended, or a renewal that it holds, while the opposite is not committed yet.
#[test]
fn a_worker_is_dead_or_has_renewed_its_lease_never_both() {
    for (change, lives) in [
        ("UPDATE {schema}.workers SET lease_expires_at = 1000000000000000", true),
        ("DELETE FROM {schema}.workers", false),
    ] {
        let schema = Schema::new();
        let backend = schema.open();
        schema.enqueue(&backend, 1);
        let worker = register(&backend);
        let jobs = fetch(&backend, worker, 1, 1);
        if lives {
            // The servers of tests have run for longer than that.
            schema.psql("UPDATE {schema}.workers SET lease_expires_at = 0, lease_ms = 1");
        }
        let mut other = connect();
        runtime().block_on(async {
            let other = other.transaction().await.expect("a transaction begins");
            let change = change.replace("{schema}", &format!("\"{}\"", schema.name));
            other.batch_execute(&change).await.expect("it is changed");
            let store = backend.clone();
            if lives {
                // A rescue does not wait: the transaction that has locked the row renews it, or marks it.
                let rescued = store.rescue(Call::new(), ALL).await.expect("it is answered");
                assert_eq!(rescued.jobs, []);
            }
            let waiting = runtime().spawn(async move {
                if lives {
                    Ok(0)
                } else {
                    store.renew(Call::new(), RenewRequest::new(worker, Vec::new())).await.map(|_| 1)
                }
            });
            if !lives {
                tokio::task::block_in_place(|| wait_for_waiter(&schema));
            }
            other.commit().await.expect("it is committed");
            let answer = waiting.await.expect("it ends").map_err(|error| error.kind());
            // Rescued is nothing, or the worker must not go on.
            assert_eq!(answer, if lives { Ok(0) } else { Err(BackendErrorKind::WorkerGone) });
        });
        let rescued: Vec<_> = rescue(&backend).jobs.iter().map(|job| job.id).collect();
        let expected = if lives { vec![] } else { vec![jobs[0].lease.job] };
        assert_eq!(rescued, expected);
    }
}

#[test]
fn a_job_that_cannot_be_put_back_keeps_no_other_one() {
    let schema = Schema::new();
    let backend = schema.open();
    let jobs = orphaned(&schema, &backend);
    // What stands in the way: a row in `ready` that should not be there.
    let poison = jobs[3].lease.job;
    schema.psql(&format!("INSERT INTO {{schema}}.ready SELECT '{poison}', 0, 1, 1, 1, 0::int2, 0::int2"));

    let reply = rescue(&backend);

    assert_eq!(reply.jobs.len(), JOBS - 1);
    assert!(reply.jobs.iter().all(|job| job.id != poison));
    schema.psql(&format!("DELETE FROM {{schema}}.ready WHERE id = '{poison}'"));
    assert_eq!(rescue(&backend).jobs.len(), 1);
}

#[test]
fn an_audit_makes_jobs_available_that_are_in_no_place() {
    let schema = Schema::new();
    let backend = schema.open();
    let ids = schema.enqueue(&backend, 3);
    schema.psql(&format!("DELETE FROM {{schema}}.ready WHERE id = '{}'", ids[1]));

    let audit = || block_on(backend.audit(Call::new(), None, ALL)).expect("an audit is answered");

    assert_eq!(audit().repaired, [ids[1]]);
    assert!(audit().repaired.is_empty());
    assert_eq!(fetch(&backend, register(&backend), 1, 10).len(), 3);
}
