//! Statements that commit after their call was given up, and a clock that others do not share.

use std::thread;
use std::time::Duration;

use gristmill_core::{
    Backend, BackendErrorKind, Call, ClaimId, EnqueueRequest, FinishItem, Finished, JobId, JobState, LostWhy,
    RegisterWorker, RenewRequest, Timestamp, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::site::{Raw, Site, finish};
use crate::fixture::{LEASE, fetch, name, register, wants};

/// A job that may run once only.
fn once(site: &Site, backend: &Postgres) -> JobId {
    let mut job = site.job();
    job.spec.max_attempts = 1.try_into().expect("it is not zero");
    let id = job.id;
    block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![job]))).expect("it is stored");
    id
}

/// Its state, attempts and run.
fn stands(backend: &Postgres, id: JobId) -> (JobState, u16) {
    let job = block_on(backend.get(Call::new(), vec![id])).expect("it is answered").remove(0);
    let job = job.expect("it is there");
    (job.state, job.attempt)
}

/// From now on a statement that reads the clock with this instant given waits until the gate is open.
/// From then on it reads the instant of the gate.
const GATE: &str = "CREATE TABLE {schema}.gate (instant bigint);
    CREATE OR REPLACE FUNCTION {schema}.now_ms(given bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
        IF given = 5 AND CONDITION THEN
            WHILE NOT EXISTS (SELECT FROM {schema}.gate) LOOP PERFORM pg_sleep(0.002); END LOOP;
            RETURN (SELECT instant FROM {schema}.gate);
        END IF;
        RETURN coalesce(given, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
    END $$";

fn at_five() -> Call {
    Call::at(Timestamp::from_millis(5))
}

fn wait_at_the_gate(watcher: &Raw, site: &Site) {
    let waiting = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%{}%'",
        site.schema
    );
    super::site::until("a statement waits at the gate", || watcher.value(&waiting) == "t");
}

/// A fetch is under way on the server, with its snapshot, when something ends its worker.
fn outlived(end: impl FnOnce(&Postgres, &Raw, WorkerId)) {
    let site = Site::shared();
    let (backend, other, raw) = (site.open(), site.open(), site.raw());
    let id = once(&site, &backend);
    let worker = WorkerId::random();
    let registration = RegisterWorker::new(worker, "test", Duration::from_secs(3_600));
    block_on(backend.register_worker(at_five(), registration)).expect("a worker registers");
    raw.run(&GATE.replace("CONDITION", "true"));
    thread::scope(|scope| {
        let fetching = scope.spawn(|| block_on(backend.fetch(at_five(), wants(worker, 1, 1))));
        wait_at_the_gate(&raw, &site);
        end(&other, &raw, worker);
        raw.run("INSERT INTO {schema}.gate SELECT 5 WHERE NOT EXISTS (SELECT FROM {schema}.gate)");
        let error = fetching.join().expect("it ends").expect_err("the worker has gone");
        assert_eq!(error.kind(), BackendErrorKind::WorkerGone, "{error:?}");
    });
    for _ in 0..2 {
        block_on(other.rescue(Call::new(), 10)).expect("it is answered");
    }
    assert_eq!(stands(&other, id), (JobState::Available, 0));
    assert_eq!(raw.rows("claims"), 0);
}

#[test]
fn a_fetch_that_ends_after_its_worker_was_retired_grants_nothing() {
    outlived(|other, _, worker| {
        block_on(other.retire_worker(Call::new(), worker)).expect("it is answered");
    });
}

#[test]
fn a_fetch_that_ends_after_its_worker_was_found_dead_grants_nothing() {
    outlived(|other, raw, _| {
        raw.run("UPDATE {schema}.workers SET lease_expires_at = 1, lease_ms = 1");
        block_on(other.rescue(Call::new(), 10)).expect("it is answered");
        assert_eq!(raw.rows("workers"), 0);
    });
}

#[test]
fn a_fetch_that_ends_after_its_worker_s_lease_grants_nothing() {
    outlived(|_, raw, _| {
        raw.run("INSERT INTO {schema}.gate SELECT lease_expires_at FROM {schema}.workers");
    });
}

/// The other way round: the fetch has its claim and not committed when its worker retires.
#[test]
fn a_worker_that_retires_waits_for_its_fetch_and_gives_back_what_it_took() {
    let site = Site::shared();
    let (backend, other, raw) = (site.open(), site.open(), site.raw());
    let id = once(&site, &backend);
    let worker = register(&backend);
    // As a fetch that has made its claim.
    raw.run(
        "BEGIN; SELECT {schema}.keep_worker(worker, NULL) FROM {schema}.workers;
        WITH taken AS (DELETE FROM {schema}.ready RETURNING *)
        INSERT INTO {schema}.claims
            (nonce, worker, number, fetched_at, queue, open, ids, run_ats, runs, attempts, priorities, crashes)
        SELECT gen_random_uuid(), workers.worker, 1, 0, queue, 1, ARRAY[id], ARRAY[run_at], ARRAY[1], ARRAY[1],
            ARRAY[priority], ARRAY[crashes] FROM taken, {schema}.workers",
    );
    thread::scope(|scope| {
        let retiring = scope.spawn(|| block_on(other.retire_worker(Call::new(), worker)));
        site.raw().wait_for_waiters(1);
        raw.run("COMMIT");
        retiring.join().expect("it ends").expect("it is answered");
    });
    block_on(other.rescue(Call::new(), 10)).expect("it is answered");
    assert_eq!(stands(&other, id), (JobState::Available, 0));
}

/// The call is given up while its statement runs; what becomes of that decides the server.
#[test]
fn a_fetch_that_was_given_up_costs_no_attempt_when_its_worker_retires() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let id = once(&site, &backend);
    let worker = register(&backend);
    raw.run("BEGIN; LOCK TABLE {schema}.claims IN SHARE MODE");
    let late = backend.fetch(Call::new().within(Duration::from_millis(100)), wants(worker, 1, 1));
    assert_eq!(block_on(late).expect_err("it is late").kind(), BackendErrorKind::TimedOut);
    raw.run("ROLLBACK");
    block_on(backend.retire_worker(Call::new(), worker)).expect("it is answered");
    block_on(backend.rescue(Call::new(), 10)).expect("it is answered");
    assert_eq!(stands(&backend, id), (JobState::Available, 0));
}

/// A renewal that was written before the fetch, and comes when the fetch has committed and has not been
/// answered.
#[test]
fn a_renewal_does_not_give_back_what_a_fetch_is_granting() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    site.put(&backend, 1);
    let worker = register(&backend);
    // What the fetch says beside its jobs waits: by then its claim is there.
    raw.run(&GATE.replace("CONDITION", "EXISTS (SELECT FROM {schema}.claims)"));
    thread::scope(|scope| {
        let fetching = scope.spawn(|| block_on(backend.fetch(at_five(), wants(worker, 1, 1))));
        wait_at_the_gate(&raw, &site);
        let renewed = block_on(backend.renew(Call::new(), RenewRequest::new(worker, Vec::new())));
        assert_eq!(renewed.expect("the worker lives").given_back, []);
        raw.run("INSERT INTO {schema}.gate SELECT 5 WHERE NOT EXISTS (SELECT FROM {schema}.gate)");
        let fetched = fetching.join().expect("it ends").expect("the worker lives").jobs;
        let item = FinishItem::complete(fetched[0].lease.clone());
        assert_eq!(finish(&backend, item), Finished::Accepted { state: JobState::Completed });
    });
    // Once it has been answered a claim that the worker does not know was lost.
    site.put(&backend, 1);
    fetch(&backend, worker, 2, 1);
    let renewed = block_on(backend.renew(Call::new(), RenewRequest::new(worker, Vec::new())));
    assert_eq!(renewed.expect("the worker lives").given_back, [ClaimId(2)]);
}

/// A fetch is repeated while the first call parks what its worker has no handler for: the repeat gives that
/// out, too.
#[test]
fn a_job_that_was_parked_after_a_repeat_gave_it_out_ends_under_its_next_lease_alone() {
    let site = Site::shared();
    let (backend, other, raw) = (site.open_patient(), site.open(), site.raw());
    let mut jobs = site.jobs(2);
    jobs[0].spec.kind = name("unknown");
    let parked = jobs[0].id;
    block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs))).expect("they are stored");
    let worker = WorkerId::random();
    let mut registration = RegisterWorker::new(worker, "test", LEASE);
    registration.kinds = vec![name("work")];
    block_on(backend.register_worker(Call::new(), registration)).expect("a worker registers");
    raw.run("BEGIN; LOCK TABLE {schema}.waiting IN SHARE MODE");
    let repeated = thread::scope(|scope| {
        let first = scope.spawn(|| block_on(backend.fetch(Call::new(), wants(worker, 1, 2))));
        site.raw().wait_for_waiters(1);
        let repeated = fetch(&backend, worker, 1, 2);
        raw.run("ROLLBACK");
        assert_eq!(first.join().expect("it ends").expect("the worker lives").jobs.len(), 1);
        repeated
    });
    assert_eq!(repeated.len(), 2);
    let next = fetch(&other, register(&other), 1, 2).remove(0);
    assert_eq!((next.lease.job, next.lease.run), (parked, 1));
    for job in repeated {
        let is_parked = job.lease.job == parked;
        let answer = finish(&backend, FinishItem::complete(job.lease.clone()));
        let lost = Finished::LeaseLost { why: LostWhy::Unknown };
        assert_eq!(answer, if is_parked { lost } else { Finished::Accepted { state: JobState::Completed } });
    }
    let answer = finish(&other, FinishItem::complete(next.lease));
    assert_eq!(answer, Finished::Accepted { state: JobState::Completed });
}

/// By its own clock a process takes a job for young; by the server's it does not go with its partition any
/// more.
#[test]
fn the_server_s_clock_decides_whether_a_completed_job_goes_with_its_partition() {
    for output in [None, Some("1")] {
        let site = Site::shared();
        let (backend, raw) = (site.open(), site.raw());
        let worker = register(&backend);
        site.put(&backend, 1);
        let job = fetch(&backend, worker, 1, 1).remove(0);
        // The server's clock jumps by 13 hours.
        raw.run(
            "CREATE OR REPLACE FUNCTION {schema}.now_ms(given bigint) RETURNS bigint LANGUAGE sql AS
                'SELECT coalesce(given, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + 46800000)'",
        );
        let mut item = FinishItem::complete(job.lease);
        item.output = output.map(gristmill_core::Output::from_json);
        assert_eq!(finish(&backend, item), Finished::Accepted { state: JobState::Completed });
        assert_eq!(raw.rows("expiries"), 1, "its deletion is noted");
    }
}
