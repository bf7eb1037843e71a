//! What becomes of jobs between the look at their partition and the lock under which it is dropped.

use std::time::Duration;

use gristmill_core::{
    Backend, Call, FetchedJob, FinishItem, FinishRequest, Finished, JobId, JobState, RunError, VerbReply,
    VerbRequest, Verdict,
};
use gristmill_postgres::Postgres;
use gristmill_postgres::tokio_postgres::Client;
use gristmill_testkit::block_on;

use super::{completed, drop_partition, job, partitions_from, past_partition, prune, state};
use crate::faults::site::until;
use crate::fixture::{Schema, complete, fetch, register, runtime};
use crate::maintain::connect;

const JOBS: u64 = 11_000;

/// A past partition that is watched, and jobs of it.
struct Watched {
    schema: Schema,
    begin: i64,
    /// Completed, and retried while the partition is dropped.
    retried: JobId,
    /// Completed, and deleted while the partition is dropped.
    deleted: JobId,
    /// Enqueued while the partition is dropped.
    added: JobId,
    /// Leased by a live worker all the while.
    leased: FetchedJob,
}

impl Watched {
    fn new() -> Self {
        let schema = Schema::new();
        let backend = schema.open();
        let begin = past_partition(&schema);
        completed(&schema, begin, JOBS);
        let [retried, deleted, before, added, leased] =
            [0, 1, 2, JOBS, JOBS + 1].map(|number| job(&schema, begin, number));
        schema.psql(&enqueue(leased));
        let leased = fetch(&backend, register(&backend), 1, 10).remove(0);
        assert_eq!(schema.psql(&format!("SELECT {{schema}}.watch_partition({begin})")), "watched");
        // What had changed before the look is counted by it already.
        assert_eq!(delete(&backend, before).jobs, [(before, Verdict::Done)]);
        // The lock is waited for until the test lets it go.
        schema.psql("ALTER FUNCTION {schema}.drop_partition SET lock_timeout = '60s'");
        Self { schema, begin, retried, deleted, added, leased }
    }

    /// Drops the partition by `drop`, which looks at it while a retry, a delete and an enqueue are under way,
    /// and has to wait until they are stored.
    fn change_while<T: Send>(&self, drop: impl FnOnce() -> T + Send) -> T {
        let schema = &self.schema;
        // Acts come to the events at their end.
        let gate = session(schema, "BEGIN; LOCK TABLE {schema}.events IN SHARE MODE");
        let adding = session(schema, &format!("BEGIN; {}", enqueue(self.added)));
        std::thread::scope(|scope| {
            let retrying = scope.spawn(|| {
                let request = VerbRequest::ids(vec![self.retried]);
                block_on(schema.open_patient().retry(Call::new(), request)).expect("a retry is answered").jobs
            });
            let deleting = scope.spawn(|| delete(&schema.open_patient(), self.deleted).jobs);
            wait_for_waiters(schema, 2);
            let dropping = scope.spawn(drop);
            wait_for_waiters(schema, 3);
            for open in [&gate, &adding] {
                runtime().block_on(open.batch_execute("COMMIT")).expect("it is stored");
            }
            assert_eq!(retrying.join().expect("it ends"), [(self.retried, Verdict::Done)]);
            assert_eq!(deleting.join().expect("it ends"), [(self.deleted, Verdict::Done)]);
            dropping.join().expect("it ends")
        })
    }

    /// Each job is where it belongs, and each queue counts its completed jobs right.
    fn assert_nothing_is_lost(self) {
        let Self { schema, begin, retried, deleted, added, leased } = self;
        let backend = schema.open();
        assert_eq!(partitions_from(&schema, begin), 0);
        let ids = [retried, deleted, added, leased.lease.job];
        let (available, running) = (Some(JobState::Available), Some(JobState::Running));
        assert_eq!(ids.map(|id| state(&backend, id)), [available, None, available, running]);
        assert_eq!(completed_jobs(&schema), "0");
        assert_eq!(schema.psql("SELECT count(*) FROM {schema}.changes"), "0");

        let again = fetch(&backend, register(&backend), 1, 10);
        assert_eq!(
            again.iter().map(|job| (job.lease.job, job.lease.run)).collect::<Vec<_>>(),
            [(added, 1), (retried, 2)]
        );
        assert_eq!(complete(&backend, vec![leased]).len() + complete(&backend, again).len(), 3);
        let done = Some(JobState::Completed);
        assert_eq!(ids.map(|id| state(&backend, id)), [done, None, done, done]);
        assert_eq!(completed_jobs(&schema), "3");
        assert_eq!(schema.psql("SELECT count(*) FROM {schema}.attempts_default"), "4");
    }
}

/// Stores a job with an id that was made long ago.
fn enqueue(id: JobId) -> String {
    format!(r#"SELECT {{schema}}.enqueue('work', '{{}}', '{{"queue": "line", "id": "{id}"}}')"#)
}

fn session(schema: &Schema, sql: &str) -> Client {
    let client = connect();
    let sql = sql.replace("{schema}", &format!("\"{}\"", schema.name));
    runtime().block_on(client.batch_execute(&sql)).expect("the statements succeed");
    client
}

fn delete(backend: &Postgres, id: JobId) -> VerbReply {
    block_on(backend.delete(Call::new(), VerbRequest::ids(vec![id]))).expect("a delete is answered")
}

fn wait_for_waiters(schema: &Schema, count: usize) {
    let waiters = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
        schema.name
    );
    until("they wait for a lock", || schema.psql(&waiters) == count.to_string());
}

/// The completed jobs of the queue, by its changes.
fn completed_jobs(schema: &Schema) -> String {
    schema.psql("SELECT sum(completed) FROM {schema}.tallies WHERE queue = 1")
}

#[test]
fn a_dropped_partition_loses_nothing_that_changed_after_it_was_looked_at() {
    let watched = Watched::new();

    let dropped = watched.change_while(|| drop_partition(&watched.schema, watched.begin));

    let outcome = dropped.rsplit_once('|').expect("four columns").0;
    assert_eq!(outcome, format!("dropped|{}|3", JOBS - 3));
    watched.assert_nothing_is_lost();
}

#[test]
fn a_round_of_pruning_loses_nothing_that_changed_while_it_ran() {
    let watched = Watched::new();

    let round = watched.change_while(|| prune(&watched.schema.open_patient()));

    assert_eq!(round.done, JOBS - 3);
    watched.assert_nothing_is_lost();
}

/// It has ended, and runs again between the look at the claims that list it and their change.
#[test]
fn a_job_that_is_fetched_while_its_partition_goes_is_struck_out_of_no_new_claim() {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    for number in 1..3 {
        schema.psql(&enqueue(job(&schema, begin, number)));
    }
    let worker = register(&backend);
    let [first, stays] = fetch(&backend, worker, 1, 2).try_into().expect("both");
    let failed = FinishItem::fail(first.lease.clone(), Duration::ZERO, RunError::new("no"));
    block_on(backend.finish(Call::new(), FinishRequest::new(vec![failed]))).expect("it is answered");
    schema.psql(
        "ALTER FUNCTION {schema}.strike(uuid[], uuid[]) RENAME TO strike_at_once; \
         CREATE FUNCTION {schema}.strike(gone uuid[], among uuid[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
         LOCK TABLE {schema}.events; PERFORM {schema}.strike_at_once(gone, among); END $$",
    );
    let gate = session(&schema, "BEGIN; LOCK TABLE {schema}.events");
    let again = std::thread::scope(|scope| {
        let pruning = scope.spawn(|| prune(&schema.open_patient()));
        wait_for_waiters(&schema, 1);
        block_on(backend.promote(Call::new(), 10)).expect("it is answered");
        let again = fetch(&backend, worker, 2, 1).remove(0);
        assert_eq!((again.lease.job, again.lease.run), (first.lease.job, 2));
        runtime().block_on(gate.batch_execute("COMMIT")).expect("it ends");
        pruning.join().expect("it ends");
        again
    });

    assert_eq!(partitions_from(&schema, begin), 0);
    assert_eq!(
        complete(&backend, vec![again, stays]),
        [Finished::Accepted { state: JobState::Completed }; 2]
    );
}
