//! A day's worth of jobs goes with its partition: fast, without those that stay, and under load.

mod full;
mod left;
mod many;
mod meanwhile;
mod steps;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gristmill_core::{Backend, Call, JobFilter, JobId, JobState, Maintained, VerbRequest, Verdict};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use crate::fixture::{Schema, complete, count, fetch, register, runtime};
use crate::maintain::connect;

const LIMIT: usize = 1_000;
/// Of a million jobs every thousandth is scheduled for next month, and every thousandth is discarded.
const JOBS: u64 = 1_000_000;
const STAYING: u64 = JOBS / 1_000;
/// A lock of all jobs may be held this long, and a worker may wait this long for it and what comes before.
const LONGEST_LOCK: Duration = Duration::from_secs(1);

/// A partition that ended 30 to 36 hours ago, and a queue `line` with the number 1; when it begins.
fn past_partition(schema: &Schema) -> i64 {
    let width = 6 * 3_600_000_i64;
    let now: i64 = schema.psql("SELECT {schema}.now_ms(NULL)").parse().expect("a number");
    let begin = (now / width - 6) * width;
    let made = schema.psql(&format!(
        "INSERT INTO {{schema}}.queues (queue, name) VALUES (1, 'line'); \
         SELECT {{schema}}.make_partition(part, {begin}, {begin} + {width}, 0) \
         FROM unnest(ARRAY['jobs', 'attempts', 'records', 'logs']) AS part"
    ));
    assert_eq!(made.lines().filter(|line| *line == "made").count(), 4, "{made}");
    begin
}

/// Jobs made a millisecond apart from `begin` on that completed a second after `begin`: ids `0` to before
/// `count`.
fn completed(schema: &Schema, begin: i64, count: u64) {
    schema.psql(&format!(
        "INSERT INTO {{schema}}.jobs SELECT {id}, {begin}, 1, 20, 0, 'work', NULL, '{{}}' \
         FROM generate_series(0, {count} - 1) AS i; \
         INSERT INTO {{schema}}.attempts (id, worker, fetched_at, finished_at, run_at, run, attempt, token, ending, state, \
            ended_by) \
         SELECT {id}, {id}, {begin}, {begin} + 1000, {begin}, 1, 1, 7, 0, 5, 0 FROM generate_series(0, {count} - 1) AS i; \
         INSERT INTO {{schema}}.tallies VALUES ({count}, 0, 1)",
        id = id(begin),
    ));
}

/// The id of the job with the number `i` in SQL.
fn id(begin: i64) -> String {
    format!("(lpad(to_hex({begin} + i * 20 / 1000), 12, '0') || '70008' || lpad(to_hex(i), 15, '0'))::uuid")
}

fn prune(backend: &Postgres) -> Maintained {
    block_on(backend.prune(Call::new(), LIMIT)).expect("a round is answered")
}

/// Takes the completed run of jobs back and puts them where `insert` says.
fn instead(schema: &Schema, begin: i64, rest: u64, insert: &str) {
    schema.psql(&format!(
        "DELETE FROM {{schema}}.attempts WHERE id IN \
            (SELECT {id} FROM generate_series({rest}, {JOBS} - 1, 1000) AS i); \
         INSERT INTO {insert} FROM generate_series({rest}, {JOBS} - 1, 1000) AS i; \
         INSERT INTO {{schema}}.tallies VALUES (-{STAYING}, 0, 1)",
        id = id(begin),
    ));
}

/// A key that its job did not free is free once the job has gone with its partition.
#[test]
fn no_unique_key_outlives_a_partition() {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    completed(&schema, begin, 20_000);
    schema.psql(&format!(
        "INSERT INTO {{schema}}.uniques SELECT 1, 'a', {id} FROM generate_series(7, 7) AS i",
        id = id(begin)
    ));
    while prune(&backend).more {}
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.jobs"), "0");
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.uniques"), "0");
}

/// A worker fetches and finishes all the while; the longest it waited for an answer.
fn drain(backend: &Postgres, stop: &AtomicBool) -> (usize, Duration) {
    let worker = register(backend);
    let (mut done, mut longest, mut claim) = (0, Duration::ZERO, 0);
    loop {
        claim += 1;
        let begun = Instant::now();
        let jobs = fetch(backend, worker, claim, 100);
        let is_idle = jobs.is_empty();
        done += jobs.len();
        if !is_idle {
            complete(backend, jobs);
        }
        longest = longest.max(begun.elapsed());
        if is_idle && stop.load(Ordering::SeqCst) {
            return (done, longest);
        }
    }
}

#[test]
fn a_partition_of_a_million_jobs_goes_in_a_moment_and_none_that_stays_is_lost() {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    completed(&schema, begin, JOBS);
    let id = id(begin);
    let scheduled =
        format!("{{schema}}.waiting SELECT {id}, {begin} + 5000000000, 1, 0, 0, 0::int2, 0::int2, 1::int2");
    instead(&schema, begin, 0, &scheduled);
    let discarded = format!(
        "{{schema}}.ended SELECT {id}, {begin}, {begin} + 2592000000, 1, 1, 20, 0::int2, 0::int2, 7::int2, {begin}"
    );
    instead(&schema, begin, 500, &discarded);
    for _ in 0..20 {
        schema.enqueue(&backend, 500);
    }

    let stop = AtomicBool::new(false);
    let (dropped, done, longest) = std::thread::scope(|scope| {
        let (backend, stop) = (schema.open(), &stop);
        let drainer = scope.spawn(move || drain(&backend, stop));
        let dropped = drop_partition(&schema, begin);
        stop.store(true, Ordering::SeqCst);
        let (done, longest) = drainer.join().expect("the worker drains");
        (dropped, done, longest)
    });

    let (outcome, locked_ms) = dropped.rsplit_once('|').expect("four columns");
    assert_eq!(outcome.lines().last(), Some("dropped|998000|2000"), "{dropped}");
    let locked = Duration::from_millis(locked_ms.parse().expect("a number"));
    assert!(locked < LONGEST_LOCK, "the tables were locked for {locked:?}");
    assert!(longest < LONGEST_LOCK, "a worker waited for {longest:?}");
    assert_eq!(done, 10_000);
    let states =
        [(JobState::Scheduled, STAYING), (JobState::Discarded, STAYING), (JobState::Completed, 10_000)];
    for (state, expected) in states {
        assert_eq!(count(&backend, JobFilter::new().state(state)), expected, "{state}");
    }
    assert_eq!(partitions_from(&schema, begin), 0);
}

/// Drops the partition as a round of pruning does. If another transaction holds a lock, the next round tries
/// again.
fn drop_partition(schema: &Schema, begin: i64) -> String {
    assert_eq!(schema.psql(&format!("SELECT {{schema}}.watch_partition({begin})")), "watched");
    let drop = format!(
        "SELECT outcome, dropped, stayed, round(locked_ms) FROM {{schema}}.drop_partition({begin}, 10000)"
    );
    let mut answers = (0..10).map(|_| schema.psql(&drop));
    answers.find(|answer| !answer.starts_with("locked")).expect("the locks are to be had")
}

fn partitions_from(schema: &Schema, begin: i64) -> usize {
    let sql = format!("SELECT count(*) FROM {{schema}}.partitions() WHERE from_ms = {begin}");
    schema.psql(&sql).parse().expect("a number")
}

/// The id of the job with the number `number`.
fn job(schema: &Schema, begin: i64, number: u64) -> JobId {
    let sql = format!("SELECT {} FROM (VALUES ({number}::bigint)) AS one (i)", id(begin));
    schema.psql(&sql).parse().expect("an id")
}

fn state(backend: &Postgres, id: JobId) -> Option<JobState> {
    let found = block_on(backend.get(Call::new(), vec![id])).expect("a look is answered").remove(0);
    found.map(|job| job.state)
}

/// Each of these has an ended run in the partition, and each would be lost with it.
#[test]
fn a_partition_goes_without_what_was_retried_or_is_kept_longer() {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    completed(&schema, begin, 11_000);
    let [retried, late, long, plain] = [0, 1, 2, 3].map(|number| job(&schema, begin, number));
    let retry = block_on(backend.retry(Call::new(), VerbRequest::ids(vec![retried])));
    assert_eq!(retry.expect("a retry is answered").jobs, [(retried, Verdict::Done)]);
    schema.psql(&format!(
        "UPDATE {{schema}}.attempts SET finished_at = {{schema}}.now_ms(NULL) WHERE id = '{late}'; \
         UPDATE {{schema}}.jobs SET options = '{{\"retention\":{retention}}}' WHERE id = '{long}'",
        retention = serde_json::to_string(&gristmill_core::Retention::all(Duration::from_secs(864_000)))
            .expect("a retention is JSON"),
    ));

    let round = prune(&backend);

    assert_eq!((round.done, partitions_from(&schema, begin)), (11_000 - 3, 0));
    let states = [retried, late, long, plain].map(|id| state(&backend, id));
    let completed = Some(JobState::Completed);
    assert_eq!(states, [Some(JobState::Available), completed, completed, None]);
    assert_eq!(schema.psql("SELECT sum(completed) FROM {schema}.tallies"), "2");
    let worker = register(&backend);
    complete(&backend, fetch(&backend, worker, 1, 10));
    assert_eq!(state(&backend, retried), Some(JobState::Completed));
    // Those that stayed go when their own time has come.
    schema.psql("UPDATE {schema}.attempts SET finished_at = finished_at - 1000000000");
    schema.psql("UPDATE {schema}.expiries SET delete_at = delete_at - 1000000000");
    assert_eq!(prune(&backend).done, 3);
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.jobs"), "0");
    assert_eq!(schema.psql("SELECT sum(completed) FROM {schema}.tallies"), "0");
}

/// A dump reads for hours; who waits for it with an exclusive lock keeps all workers waiting.
#[test]
fn a_partition_that_somebody_reads_is_left_for_later_and_nobody_waits() {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    completed(&schema, begin, 11_000);
    let reader = connect();
    let text = format!("BEGIN; SELECT count(*) FROM \"{}\".jobs", schema.name);
    runtime().block_on(reader.batch_execute(&text)).expect("it reads");

    assert_eq!((prune(&backend).done, partitions_from(&schema, begin)), (0, 1));
    schema.enqueue(&backend, 1);
    let worker = register(&backend);
    assert_eq!(complete(&backend, fetch(&backend, worker, 1, 10)).len(), 1);

    runtime().block_on(reader.batch_execute("COMMIT")).expect("it is done");
    assert_eq!((prune(&schema.open()).done, partitions_from(&schema, begin)), (11_000, 0));
}

/// Jobs that were enqueued while no worker ran, and so no partitions were made, lie in DEFAULT.
#[test]
fn jobs_in_the_default_partition_move_to_the_one_that_is_made_for_them() {
    let schema = Schema::new();
    let backend = schema.open();
    for begin in schema.psql("SELECT from_ms FROM {schema}.partitions()").lines() {
        for table in ["jobs", "attempts", "records", "logs"] {
            schema.psql(&format!("DROP TABLE {{schema}}.{table}_p{begin}"));
        }
    }
    let ids = schema.enqueue(&backend, 100);
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.jobs_default"), "100");

    prune(&backend);

    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.partitions()"), "2");
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.jobs_default"), "0");
    let worker = register(&backend);
    assert_eq!(complete(&backend, fetch(&backend, worker, 1, 1_000)).len(), ids.len());
}

/// Without partitions everything works, job by job: a process that remembers how far it came forgets none.
#[test]
fn completed_jobs_in_the_default_partition_go_one_by_one() {
    let schema = Schema::new();
    let backend = schema.open();
    schema.psql("INSERT INTO {schema}.queues (queue, name) VALUES (1, 'line')");
    let now: i64 = schema.psql("SELECT {schema}.now_ms(NULL)").parse().expect("a number");
    let begin = now - 30 * 3_600_000;
    completed(&schema, begin, 2_500);
    let late = job(&schema, begin, 1_200);
    schema
        .psql(&format!("UPDATE {{schema}}.attempts SET finished_at = {now} - 80000000 WHERE id = '{late}'"));

    let rounds = [(); 4].map(|()| prune(&backend)).map(|round| (round.done, round.more));

    assert_eq!(rounds, [(1_000, true), (1_000, true), (499, false), (0, false)]);
    assert_eq!(state(&backend, late), Some(JobState::Completed));
    schema.psql(&format!("UPDATE {{schema}}.attempts SET finished_at = {begin} WHERE id = '{late}'"));
    assert_eq!(prune(&backend).done, 1);
    assert_eq!(schema.psql("SELECT sum(completed) FROM {schema}.tallies"), "0");
}
