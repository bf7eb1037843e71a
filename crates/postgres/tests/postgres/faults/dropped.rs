//! Calls that are given up: nothing of them stays on the server, neither a statement nor a lock.

use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, BackendErrorKind, Call, EnqueueRequest, FinishItem, FinishRequest, JobFilter, ListRequest,
    PauseRequest, RecordRequest, RegisterWorker, RenewRequest, Reply, UniqueKey, VerbRequest, WorkerId,
};
use gristmill_postgres::{Postgres, PostgresTransaction};
use gristmill_testkit::block_on;
use gristmill_testserver::{PgBouncer, Postgres as Server};

use super::site::{Raw, Site, refused, until};
use crate::fixture::{fetch, name, register, runtime};

/// Statements of the schema's programs that run or wait, other than the watcher's.
fn running(watcher: &Raw, site: &Site) -> String {
    watcher.value(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()
            AND query LIKE '%{}%' AND query NOT LIKE 'BEGIN; LOCK%'",
        site.schema
    ))
}

/// The clock of the schema takes half a minute to tell the time: each call that reads it runs for as long.
const SLOW_CLOCK: &str =
    "CREATE OR REPLACE FUNCTION {schema}.now_ms(given bigint) RETURNS bigint LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(30); RETURN 0; END $$";

fn given_up_statements_end(site: &Site, backend: &Postgres) {
    let watcher = site.raw();
    let worker = register(backend);
    let deadline = Duration::from_millis(300);
    watcher.run(SLOW_CLOCK);
    let begun = Instant::now();
    refused(
        backend.fetch(Call::new().within(deadline), crate::fixture::wants(worker, 1, 1)),
        BackendErrorKind::TimedOut,
    );
    refused(backend.promote(Call::new().within(deadline), 1), BackendErrorKind::TimedOut);
    let mut job = site.job();
    job.spec.unique_key = Some(UniqueKey::new("k").expect("it is a key"));
    let request = EnqueueRequest::new(vec![job]);
    refused(backend.enqueue(Call::new().within(deadline), request), BackendErrorKind::TimedOut);
    refused(
        backend.renew(Call::new().within(deadline), RenewRequest::new(worker, vec![])),
        BackendErrorKind::TimedOut,
    );
    until("no statement runs", || running(&watcher, site) == "0");
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "they ended by themselves, after {:?}",
        begun.elapsed()
    );
}

#[test]
fn the_statement_of_a_call_that_is_given_up_is_cancelled() {
    let site = Site::shared();
    given_up_statements_end(&site, &site.open());
}

#[test]
fn the_statement_of_a_call_that_is_given_up_is_cancelled_behind_a_pooler() {
    let server = Server::start();
    let pooler = PgBouncer::before(&server);
    let site = Site::at(server.url());
    given_up_statements_end(&site, &site.open_at(&format!("{}?pooler=transaction", pooler.url())));
}

#[test]
fn the_statement_of_a_handler_that_is_given_up_is_cancelled() {
    let site = Site::shared();
    let (backend, watcher) = (site.open(), site.raw());
    let worker = register(&backend);
    site.put(&backend, 1);
    let job = fetch(&backend, worker, 1, 1).remove(0);
    let tx = block_on(backend.begin(Call::new(), job.lease)).expect("a transaction begins");
    let sql = format!("SELECT pg_sleep(30) /* {} */", site.schema);
    runtime().block_on(async {
        let tx = tx.driver().downcast_ref::<PostgresTransaction>().expect("it is PostgreSQL's");
        let _ = tokio::time::timeout(Duration::from_millis(300), tx.batch_execute(&sql)).await;
    });
    assert_eq!(running(&watcher, &site), "1");
    drop(tx);
    until("no statement runs", || running(&watcher, &site) == "0");
}

/// Each operation against a lock of all it could need.
#[test]
fn no_operation_leaves_a_statement_that_waits_for_a_lock() {
    let site = Site::shared();
    let (backend, raw, watcher) = (&site.open(), site.raw(), site.raw());
    let worker = register(backend);
    let ids = site.put(backend, 2);
    let job = fetch(backend, worker, 1, 1).remove(0);
    let call = || Call::new().within(Duration::from_millis(100));
    raw.run(
        "BEGIN; LOCK TABLE {schema}.jobs, {schema}.ready, {schema}.waiting, {schema}.claims, {schema}.attempts,
            {schema}.ended, {schema}.uniques, {schema}.workers, {schema}.queues IN ACCESS EXCLUSIVE MODE",
    );
    let verb = || VerbRequest::ids(ids.clone());
    let late = |reply: Reply<'_, ()>| drop(refused(reply, BackendErrorKind::TimedOut));
    macro_rules! late {
        ($($call:expr),* $(,)?) => {
            thread::scope(|scope| {
                $(scope.spawn(|| late(Box::pin(async { $call.await.map(drop) })));)*
            });
        };
    }
    late!(
        backend.enqueue(call(), EnqueueRequest::new(site.jobs(1))),
        backend.fetch(call(), crate::fixture::wants(worker, 2, 1)),
        backend.renew(call(), RenewRequest::new(worker, vec![])),
        backend.record(call(), RecordRequest::new(job.lease.clone())),
        backend.register_worker(call(), RegisterWorker::new(WorkerId::random(), "x", Duration::from_secs(9))),
        backend.retire_worker(call(), worker),
        backend.cancel(call(), verb()),
        backend.retry(call(), verb()),
        backend.delete(call(), verb()),
        backend.promote(call(), 1),
        backend.rescue(call(), 1),
        backend.prune(call(), 1),
        backend.audit(call(), None, 1),
        backend.get(call(), ids.clone()),
        backend.list(call(), ListRequest::new(JobFilter::new())),
        backend.list_queues(call()),
        backend.pause(call(), PauseRequest::new(name("line"))),
        backend.finish(call(), FinishRequest::new(vec![FinishItem::complete(job.lease.clone())])),
    );
    let begun = Instant::now();
    until("no statement runs", || running(&watcher, &site) == "0");
    assert!(begun.elapsed() < Duration::from_secs(2), "they stayed for {:?}", begun.elapsed());
    raw.run("ROLLBACK");
    block_on(backend.get(Call::new(), ids.clone())).expect("the connections are in order");
}
