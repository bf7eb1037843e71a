//! What ends of runs cost, and what becomes of leases when the server starts anew.

use std::time::Duration;

use gristmill_core::{
    Backend, BackendErrorKind, Call, FetchedJob, FinishItem, FinishRequest, Finished, JobFilter, JobState,
    RegisterWorker, RenewRequest, RunError, WorkerId,
};
use gristmill_testkit::block_on;

use crate::fixture::{Schema, complete, count, fetch, register};

const JOBS: usize = 1_000;
/// The most bytes of WAL that the end of a completed run may write: its row and the row's entry in the key
/// take 240.
const WAL_BYTES: usize = 300;
/// The settings of the connections that finish.
const SETTINGS: &str = "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;";

const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };

/// The statement as it runs, with its costs, on these jobs of one claim.
fn explained_finish(schema: &Schema, jobs: &[FetchedJob]) -> String {
    let nonce = schema.psql("SELECT nonce FROM {schema}.claims");
    let ids: Vec<String> = jobs.iter().map(|job| job.lease.job.to_string()).collect();
    let ones = vec!["1"; jobs.len()].join(",");
    let text = include_str!("../../sql/finish.sql").replace("gristmill.", "{schema}.");
    let (count, ids) = (jobs.len(), ids.join(","));
    schema.psql(&format!(
        "{SETTINGS} PREPARE finish AS {text}; EXPLAIN (ANALYZE, WAL, COSTS OFF, TIMING OFF) EXECUTE finish(\
         NULL, 9000000000000, '{{{nonce}}}', '{{{count}}}', '{{{count}}}', '{{7}}', '{{{ids}}}', '{{{ones}}}', \
         '{{{ones}}}', '{{{ones}}}', '{{{ones}}}')"
    ))
}

/// Of the part of the statement that writes most.
fn wal_bytes(plan: &str) -> usize {
    let bytes = |line: &str| line.rsplit_once("bytes=")?.1.trim().parse::<usize>().ok();
    plan.lines().filter(|line| line.contains("WAL:")).filter_map(bytes).max().unwrap_or(usize::MAX)
}

/// Reading a row a job cost a peer half of its throughput; what a finish needs of its jobs is in their
/// leases.
#[test]
fn a_finish_of_completed_runs_reads_no_row_of_a_job() {
    let schema = Schema::new();
    let backend = schema.open();
    schema.enqueue(&backend, JOBS);
    let worker = register(&backend);
    let jobs = fetch(&backend, worker, 1, JOBS);

    let plan = explained_finish(&schema, &jobs);

    assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), JOBS as u64, "{plan}");
    for table in ["jobs", "ready", "waiting", "ended", "uniques", "retried"] {
        assert!(!plan.contains(&format!(" on {table}")), "{plan}");
    }
    assert!(!plan.contains("Seq Scan"), "{plan}");
    assert!(plan.contains("Index Scan using claims_pkey on claims"), "{plan}");
    let bytes = wal_bytes(&plan);
    assert!(bytes < JOBS * WAL_BYTES, "{bytes} bytes of WAL: {plan}");
}

/// One failure among completions must not send all of them through the transaction that looks at each.
#[test]
fn a_batch_of_many_claims_and_ends_is_answered_item_by_item() {
    let schema = Schema::new();
    let backend = schema.open();
    schema.enqueue(&backend, 30);
    let worker = register(&backend);
    let jobs: Vec<FetchedJob> = (1..=10).flat_map(|claim| fetch(&backend, worker, claim, 3)).collect();
    let mut items: Vec<FinishItem> =
        jobs.iter().rev().map(|job| FinishItem::complete(job.lease.clone())).collect();
    items.truncate(25);
    for place in [3, 11] {
        let lease = items[place].lease.clone();
        items[place] = FinishItem::fail(lease, Duration::from_secs(60), RunError::new("no"));
    }
    items.push(items[0].clone());

    let answers =
        block_on(backend.finish(Call::new(), FinishRequest::new(items))).expect("it is answered").items;

    let expected = |place: usize| match place {
        3 | 11 => Finished::Accepted { state: JobState::Retryable },
        25 => Finished::AlreadyAccepted,
        _ => COMPLETED,
    };

    assert_eq!(answers, (0..26).map(expected).collect::<Vec<_>>());
    assert_eq!(schema.psql("SELECT sum(open) FROM {schema}.claims"), "5");
    assert_eq!(complete(&backend, jobs[..5].to_vec()), vec![COMPLETED; 5]);
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.claims"), "0");
    assert_eq!(schema.psql("SELECT sum(completed) FROM {schema}.tallies"), "28");
}

/// Registers a worker whose lease seems to have ended long ago.
fn expired(schema: &Schema, backend: &impl Backend, lease: Duration) -> WorkerId {
    let worker = WorkerId::random();
    let registration = RegisterWorker::new(worker, "test", lease);
    block_on(backend.register_worker(Call::new(), registration)).expect("a worker registers");
    schema.psql("UPDATE {schema}.workers SET lease_expires_at = 0");
    worker
}

/// No worker can renew while a server is down. When it came back, another job queue took every worker for
/// dead at once, and ran all running jobs a second time.
#[test]
fn a_server_that_has_just_started_gives_every_worker_its_full_lease() {
    let schema = Schema::new();
    let backend = schema.open();
    schema.enqueue(&backend, 1);
    let renew = |worker| block_on(backend.renew(Call::new(), RenewRequest::new(worker, Vec::new())));

    // Servers of tests run for less than a year and for more than a millisecond.
    let within = expired(&schema, &backend, Duration::from_secs(365 * 24 * 3600));
    assert_eq!(fetch(&backend, within, 1, 1).len(), 1);
    let rescued = block_on(backend.rescue(Call::new(), 10)).expect("a round is answered");
    assert!(rescued.jobs.is_empty());
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Running)), 1);
    assert!(renew(within).is_ok());

    let after = expired(&schema, &backend, Duration::from_millis(1));
    assert_eq!(renew(after).map_err(|error| error.kind()), Err(BackendErrorKind::WorkerGone));
}
