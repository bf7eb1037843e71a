//! Jobs that land behind the positions where fetches go on, and what an old snapshot costs.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gristmill_core::{Backend as _, Call, EnqueueRequest, JobId, MigrateMode, NewJob, When};
use gristmill_postgres::Postgres;
use gristmill_testkit::{Fixture, Shape as _, Store, block_on};
use gristmill_testserver::Postgres as Server;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

/// How long a fact may take to come true.
const PATIENCE: Duration = Duration::from_secs(90);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A store of its own schema.
struct Place {
    t: Fixture,
    schema: String,
}

impl Place {
    fn new() -> Self {
        let schema = Server::shared().fresh_schema_name();
        let backend = open(&schema);
        block_on(backend.migrate(Call::new(), MigrateMode::Up)).expect("the schema is made");
        Self { t: Fixture::new(Store::new(std::sync::Arc::new(backend))), schema }
    }

    /// Another process on the same store.
    fn another(&self) -> Postgres {
        open(&self.schema)
    }

    /// Jobs that have been available for up to half a day, a tenth of a second apart; more than a story
    /// fetches.
    fn plenty(&self, count: usize) {
        Server::shared().psql(&self.in_schema(&format!(
            "INSERT INTO S.queues (name) VALUES ('{queue}') ON CONFLICT DO NOTHING;
             WITH new AS (
                 SELECT (lpad(to_hex({then} + n), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid AS id,
                     {then} + 100 * n AS run_at, queue
                 FROM generate_series(1, {count}) AS n, S.queues WHERE name = '{queue}'
             ), ready AS (
                 INSERT INTO S.ready (id, run_at, queue, run, attempt, priority, crashes)
                 SELECT id, run_at, queue, 0, 0, 0, 0 FROM new ORDER BY id
             )
             INSERT INTO S.jobs (id, created_at, queue, max_attempts, priority, kind, args)
             SELECT id, run_at, queue, 20, 0, '{kind}', '{{}}' FROM new ORDER BY id",
            queue = Fixture::QUEUE,
            kind = Fixture::KIND,
            then = self.t.now().as_millis() - 12 * 3_600_000,
        )));
    }

    fn in_schema(&self, sql: &str) -> String {
        sql.replace("S.", &format!("\"{}\".", self.schema))
    }

    /// A job that was due long ago, not stored yet.
    fn early(&self) -> NewJob {
        let mut job = self.t.job();
        job.when = When::At(self.t.now() - DAY);
        job
    }

    /// Fetches until the job is given, from a queue that has plenty.
    fn fetch_until(&self, id: JobId) {
        let (worker, begun) = (self.t.worker(), Instant::now());
        while !self.t.fetch(worker, 2).iter().any(|job| job.lease.job == id) {
            assert!(begun.elapsed() < PATIENCE, "the job behind the position was not fetched");
        }
    }
}

fn open(schema: &str) -> Postgres {
    let _runtime = runtime().enter();
    let builder = Postgres::builder(Server::shared().url()).expect("the server's URL parses");
    builder.schema(schema).open().expect("the settings hold")
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// A plain connection, which belongs to no backend.
fn connect() -> Client {
    runtime().block_on(async {
        let connected = tokio_postgres::connect(Server::shared().url(), NoTls).await;
        let (client, connection) = connected.expect("it connects");
        tokio::spawn(connection);
        client
    })
}

fn run(client: &Client, sql: &str) {
    runtime().block_on(client.batch_execute(sql)).expect("the statements succeed");
}

fn first(place: &Place) -> JobId {
    place.t.take(place.t.worker()).lease.job
}

/// A transaction inserted a job, took its time, and committed when fetches had passed the job's place.
#[test]
fn a_job_that_was_committed_late_is_fetched_from_a_queue_that_has_plenty() {
    let place = Place::new();
    place.plenty(100_000);
    let id = place.t.put(place.early());
    let other = connect();
    // The job leaves, and a transaction that stays open puts it back. To a fetch that looks like a late
    // insert.
    run(&other, &place.in_schema("CREATE TABLE S.aside AS SELECT * FROM S.ready ORDER BY run_at LIMIT 1"));
    run(&other, &place.in_schema("DELETE FROM S.ready USING S.aside WHERE ready.id = aside.id"));
    run(&other, &place.in_schema("BEGIN; INSERT INTO S.ready SELECT * FROM S.aside"));
    let worker = place.t.worker();
    for _ in 0..3 {
        assert_eq!(place.t.fetch(worker, 500).len(), 500);
    }
    run(&other, "COMMIT");
    place.fetch_until(id);
}

/// The same, with too few jobs behind the position: one fetch has to find it.
#[test]
fn a_job_that_was_committed_late_is_fetched_before_a_queue_is_called_exhausted() {
    let place = Place::new();
    place.plenty(1_000);
    let id = place.t.put(place.early());
    let other = connect();
    run(&other, &place.in_schema("BEGIN; SELECT FROM S.ready ORDER BY run_at LIMIT 1 FOR UPDATE"));
    let worker = place.t.worker();
    assert_eq!(place.t.fetch(worker, 900).len(), 900);
    run(&other, "COMMIT");
    let reply = place.t.fetch_claim(worker, place.t.next_claim(), Fixture::QUEUE, 500);
    assert!(reply.jobs.iter().any(|job| job.lease.job == id), "{} jobs", reply.jobs.len());
    assert_eq!((reply.jobs.len(), reply.queues[0].exhausted), (101, true));
}

#[test]
fn a_job_that_another_process_puts_behind_the_position_is_fetched() {
    let place = Place::new();
    place.plenty(100_000);
    let worker = place.t.worker();
    for _ in 0..3 {
        place.t.fetch(worker, 500);
    }
    let job = place.early();
    let id = job.id;
    block_on(place.another().enqueue(place.t.call(), EnqueueRequest::new(vec![job]))).expect("it is stored");
    place.fetch_until(id);
}

#[test]
fn a_back_dated_job_is_fetched_next() {
    let place = Place::new();
    place.plenty(5_000);
    place.t.fetch(place.t.worker(), 1_000);
    let id = place.t.put(place.early());
    assert_eq!(first(&place), id);
}

#[test]
fn an_urgent_job_is_fetched_next() {
    let place = Place::new();
    place.plenty(5_000);
    let urgent: Vec<JobId> = (0..3).map(|_| place.t.put(place.t.job().priority(-5))).collect();
    place.t.fetch(place.t.worker(), 1_000);
    let later = place.t.put(place.early().priority(-5));
    assert!(!urgent.contains(&later));
    assert_eq!(first(&place), later);
}

#[test]
fn a_job_that_was_given_back_is_fetched_next() {
    let place = Place::new();
    place.plenty(5_000);
    let worker = place.t.worker();
    let given = place.t.fetch(worker, 10).swap_remove(3);
    place.t.fetch(worker, 1_000);
    place.t.give_back(&given.lease);
    assert_eq!(first(&place), given.lease.job);
}

#[test]
fn a_released_job_is_fetched_next() {
    let place = Place::new();
    let held = place.t.put(place.t.job().suspended());
    place.t.advance(DAY);
    place.plenty(5_000);
    place.t.fetch(place.t.worker(), 1_000);
    place.t.go_back(DAY);
    place.t.release_hold(held);
    assert_eq!(first(&place), held);
}

#[test]
fn a_job_that_is_retried_by_hand_is_fetched_next() {
    let place = Place::new();
    let cancelled = place.t.put(place.t.job());
    place.t.cancel(cancelled);
    place.t.advance(DAY);
    place.plenty(5_000);
    place.t.fetch(place.t.worker(), 1_000);
    place.t.go_back(DAY);
    place.t.retry(cancelled);
    assert_eq!(first(&place), cancelled);
}

#[test]
fn a_promoted_job_is_fetched_next() {
    let place = Place::new();
    let due = place.t.put(place.t.job().due_in(Duration::from_secs(60)));
    place.t.advance(DAY);
    place.plenty(5_000);
    place.t.fetch(place.t.worker(), 1_000);
    place.t.promote();
    assert_eq!(first(&place), due);
}

/// A report holds a snapshot while the queue is drained: no dead entry can be removed, and each scan from the
/// start would step over all of them.
#[test]
fn an_open_snapshot_does_not_make_fetches_dearer() {
    const JOBS: usize = 200_000;
    let place = Place::new();
    place.plenty(JOBS);
    let report = connect();
    run(&report, &place.in_schema("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM S.ready"));
    let worker = place.t.worker();
    let fetch = |count| {
        let begun = Instant::now();
        assert_eq!(place.t.fetch(worker, count).len(), count);
        begun.elapsed()
    };
    fetch(1_000);
    let early: Vec<Duration> = (0..50).map(|_| fetch(10)).collect();
    (2..JOBS / 1_000).for_each(|_| _ = fetch(1_000));
    let late: Vec<Duration> = (0..50).map(|_| fetch(10)).collect();
    run(&report, "COMMIT");
    let (early, late) = (median(early), median(late));
    assert!(late < early * 4, "a fetch took {early:?} at first and {late:?} in the end");
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}
