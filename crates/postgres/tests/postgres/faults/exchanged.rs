//! The store is exchanged under processes that use it: dropped and made anew, or restored from an older dump.

use gristmill_core::{
    Backend as _, BackendErrorKind, Call, EnqueueRequest, Enqueued, FinishItem, FinishRequest, Finished,
    JobFilter, JobState, MigrateMode, NewJob, RenewRequest, UniqueKey,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use crate::fixture::{Schema, count, fetch, name, register, runtime};

/// A job of a queue.
fn job(schema: &Schema, queue: &str) -> NewJob {
    let mut job = schema.job();
    job.spec.queue = name(queue);
    job
}

fn keyed(schema: &Schema, queue: &str) -> NewJob {
    let mut job = job(schema, queue);
    job.spec.unique_key = Some(UniqueKey::new(job.id.to_string()).expect("a key"));
    job
}

#[track_caller]
fn put(backend: &Postgres, jobs: Vec<NewJob>) {
    let stored = block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs))).expect("they are stored");
    assert!(stored.jobs.iter().all(|answer| *answer == Enqueued::Created));
}

/// Drops the schema and makes it anew, with its queues in another order.
fn exchange(schema: &Schema) {
    schema.psql("DROP SCHEMA {schema} CASCADE");
    let other = schema.open();
    block_on(other.migrate(Call::new(), MigrateMode::Up)).expect("the schema is made");
    put(&other, vec![job(schema, "reports")]);
    put(&other, vec![job(schema, "mail")]);
}

/// What is in a queue, past the backend.
fn in_queue(schema: &Schema, queue: &str) -> String {
    schema.psql(&format!(
        "SELECT count(*) FROM {{schema}}.ready JOIN {{schema}}.queues USING (queue) WHERE name = '{queue}'"
    ))
}

#[test]
fn jobs_land_in_the_queue_they_name_after_the_schema_was_made_anew() {
    for make in [job, keyed] {
        let schema = Schema::new();
        let program = schema.open();
        put(&program, vec![make(&schema, "mail")]);
        put(&program, vec![make(&schema, "reports")]);
        exchange(&schema);

        put(&program, vec![make(&schema, "mail"), make(&schema, "mail")]);
        put(&program, vec![make(&schema, "reports")]);

        assert_eq!((in_queue(&schema, "mail"), in_queue(&schema, "reports")), ("3".into(), "2".into()));
        let total = "SELECT count(*) FROM {schema}.jobs JOIN {schema}.queues USING (queue)";
        assert_eq!(schema.psql(total), "5");
    }
}

/// A finish that waited for a second connection would wait for itself.
#[test]
fn a_finish_with_a_follow_up_needs_one_connection_after_an_exchange() {
    let schema = Schema::new();
    let program = schema.open_narrow();
    let worker = register(&program);
    put(&program, vec![job(&schema, "mail")]);
    let ids = schema.enqueue(&program, 1);
    let fetched = fetch(&program, worker, 1, 1).remove(0);
    assert_eq!(fetched.lease.job, ids[0]);
    // The number of a queue that the process knows is another one's.
    schema.psql(
        "DELETE FROM {schema}.ready WHERE queue = (SELECT queue FROM {schema}.queues WHERE name = 'mail'); \
         DELETE FROM {schema}.jobs WHERE queue = (SELECT queue FROM {schema}.queues WHERE name = 'mail'); \
         DELETE FROM {schema}.queues WHERE name = 'mail'",
    );
    let mut item = FinishItem::complete(fetched.lease);
    item.effects.push(job(&schema, "mail"));
    let call = Call::new().within(std::time::Duration::from_secs(5));
    let reply = block_on(program.finish(call, FinishRequest::new(vec![item]))).expect("it is answered");
    assert_eq!(reply.items, [Finished::Accepted { state: JobState::Completed }]);
    assert_eq!(in_queue(&schema, "mail"), "1");
}

#[test]
fn single_enqueues_that_share_a_statement_land_in_their_queues_after_an_exchange() {
    let schema = Schema::new();
    let program = schema.open();
    put(&program, vec![job(&schema, "mail"), job(&schema, "reports")]);
    exchange(&schema);

    let queues = ["mail", "reports"];
    let calls = (0..40).map(|place| EnqueueRequest::new(vec![job(&schema, queues[place % 2])]));
    let calls: Vec<_> = calls.map(|request| program.enqueue(Call::new(), request)).collect();
    for call in calls {
        block_on(call).expect("each is stored");
    }

    assert_eq!((in_queue(&schema, "mail"), in_queue(&schema, "reports")), ("21".into(), "21".into()));
}

#[test]
fn a_queue_that_a_restore_has_lost_is_made_again() {
    let schema = Schema::new();
    let program = schema.open();
    put(&program, vec![job(&schema, "mail"), job(&schema, "reports")]);
    // As in an older dump, after which another process has made a queue.
    schema.psql("DELETE FROM {schema}.ready; DELETE FROM {schema}.jobs; DELETE FROM {schema}.queues");
    put(&schema.open(), vec![job(&schema, "other")]);

    put(&program, vec![job(&schema, "mail"), job(&schema, "other")]);
    assert_eq!(count(&program, JobFilter::new().queue(name("other")).state(JobState::Available)), 2);
    put(&program, vec![keyed(&schema, "reports")]);

    let all = ["mail", "reports", "other"].map(|queue| in_queue(&schema, queue));
    assert_eq!(all, ["1", "1", "2"]);
}

#[test]
fn follow_up_jobs_land_in_the_queue_they_name() {
    let schema = Schema::new();
    let program = schema.open();
    put(&program, vec![job(&schema, "mail"), job(&schema, "line")]);
    let lease = fetch(&program, register(&program), 1, 1).remove(0).lease;
    // The claim and its job are in the dump, the queue is not.
    schema.psql("DELETE FROM {schema}.queues WHERE name = 'mail'");

    let mut item = FinishItem::complete(lease);
    item.effects.push(job(&schema, "mail"));
    let finished = block_on(program.finish(Call::new(), FinishRequest::new(vec![item]))).expect("it ends");

    assert_eq!(finished.items, [Finished::Accepted { state: JobState::Completed }]);
    // The queue has its number again, and with it the job from before.
    assert_eq!(in_queue(&schema, "mail"), "2");
}

#[test]
fn a_worker_whose_store_was_exchanged_is_gone_at_its_next_heartbeat() {
    for exchange in [
        "DROP SCHEMA {schema} CASCADE",
        // Its row is there, as after a restore of what was dumped a moment ago.
        "UPDATE {schema}.store SET identity = gen_random_uuid()",
        "CREATE TABLE {schema}.saved AS TABLE {schema}.store; DELETE FROM {schema}.store; \
            INSERT INTO {schema}.store TABLE {schema}.saved; DROP TABLE {schema}.saved",
    ] {
        let schema = Schema::new();
        let program = schema.open();
        let worker = register(&program);
        block_on(program.renew(Call::new(), RenewRequest::new(worker, vec![]))).expect("it lives");
        schema.psql(exchange);
        if exchange.starts_with("DROP") {
            block_on(schema.open().migrate(Call::new(), MigrateMode::Up)).expect("the schema is made");
        }

        let gone = block_on(program.renew(Call::new(), RenewRequest::new(worker, vec![])));

        let gone = gone.expect_err("it is gone");
        assert_eq!(gone.kind(), BackendErrorKind::WorkerGone, "{exchange}");
        let afresh = register(&program);
        block_on(program.renew(Call::new(), RenewRequest::new(afresh, vec![]))).expect("a new one lives");
    }
}

#[test]
fn a_caller_without_a_schema_is_told_to_migrate() {
    let schema = Schema::new();
    let program = schema.open();
    put(&program, vec![job(&schema, "mail")]);
    schema.psql("DROP SCHEMA {schema} CASCADE");

    let refused = block_on(program.enqueue(Call::new(), EnqueueRequest::new(vec![job(&schema, "mail")])));

    let refused = refused.expect_err("there is nothing to store it in");
    assert_eq!(refused.kind(), BackendErrorKind::SchemaOld);
    assert!(refused.hint().is_some_and(|hint| hint.contains("gristmill migrate")), "{refused}");
}

#[test]
fn a_transaction_that_is_older_than_a_queue_stores_into_it() {
    let schema = Schema::new();
    let program = schema.open();
    runtime().block_on(async {
        let connected = tokio_postgres::connect(Server::shared().url(), tokio_postgres::NoTls).await;
        let (mut client, connection) = connected.expect("it connects");
        let driven = tokio::spawn(connection);
        let snapshot =
            client.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
        let tx = snapshot.start().await.expect("it begins");
        tx.query_one("SELECT 1", &[]).await.expect("the snapshot is taken");
        let request = EnqueueRequest::new(vec![job(&schema, "mail")]);
        program.enqueue(Call::new(), request).await.expect("the queue is made");

        program.enqueue_prepared_in(&tx, vec![job(&schema, "mail")]).await.expect("it is stored");

        tx.commit().await.expect("it commits");
        drop(client);
        driven.await.expect("the task ends").expect("the connection ends");
    });
    assert_eq!(in_queue(&schema, "mail"), "2");
}
