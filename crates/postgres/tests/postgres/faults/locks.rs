//! Transactions in each other's way: pools that are held, finishes against rescues, collisions.

use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, Call, Certainty, ClaimId, Decision, Ending, EnqueueRequest, FetchRequest, FetchedJob,
    FinishItem, FinishRequest, Finished, JobFilter, JobState, LostWhy, QueueWant, RecordRequest, Recorded,
    RenewRequest, RescueReply, RunError, VerbRequest, Verdict, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::site::{Raw, Site, finish, late, until};
use crate::fixture::{LEASE, count, fetch, name, register};

const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };
const RESCUED: Finished = Finished::LeaseLost { why: LostWhy::Rescued };

#[test]
fn heartbeats_go_through_while_handlers_and_locks_hold_every_other_connection() {
    let site = Site::shared();
    let (backend, raw, watcher) = (site.open(), site.raw(), site.raw());
    site.put(&backend, 10);
    let worker = register(&backend);
    let jobs = fetch(&backend, worker, 1, 10);
    let begin = |job: &FetchedJob| backend.begin(Call::new(), job.lease.clone());
    // As many as there are connections for handlers.
    let held: Vec<_> =
        jobs[..2].iter().map(|job| block_on(begin(job)).expect("a transaction begins")).collect();
    raw.run("BEGIN; SELECT FROM {schema}.claims FOR UPDATE");
    thread::scope(|scope| {
        let finishing: Vec<_> = jobs[2..5]
            .iter()
            .map(|job| scope.spawn(|| finish(&backend, FinishItem::complete(job.lease.clone()))))
            .collect();
        watcher.wait_for_waiters(1);
        let deadline = |call: Call| backend.begin(call, jobs[5].lease.clone());
        assert_eq!(late(deadline), Certainty::NotStored);
        let enqueued = block_on(backend.enqueue(Call::new(), EnqueueRequest::new(site.jobs(1))));
        enqueued.expect("it needs nothing that is locked");
        for _ in 0..10 {
            let begun = Instant::now();
            let renewal = RenewRequest::new(worker, vec![ClaimId(1)]);
            let renewed = block_on(backend.renew(Call::new(), renewal)).expect("the worker lives");
            assert!(begun.elapsed() < Duration::from_secs(1), "a heartbeat took {:?}", begun.elapsed());
            assert!(renewed.lost.is_empty() && renewed.given_back.is_empty());
        }
        raw.run("ROLLBACK");
        for finishing in finishing {
            assert_eq!(finishing.join().expect("it ends"), COMPLETED);
        }
    });
    drop(held);
    until("a handler's connection is free", || block_on(begin(&jobs[5])).is_ok());
}

/// A claim whose worker has died, of jobs of each way to end.
struct Orphan {
    site: Site,
    backend: Postgres,
    raw: Raw,
    watcher: Raw,
    jobs: Vec<FetchedJob>,
}

impl Orphan {
    fn new() -> Self {
        let site = Site::shared();
        let (backend, raw) = (site.open_patient(), site.raw());
        site.put(&backend, 2);
        let jobs = fetch(&backend, register(&backend), 1, 2);
        raw.run("DELETE FROM {schema}.workers");
        let watcher = site.raw();
        Self { site, backend, raw, watcher, jobs }
    }

    fn rescue(&self) -> RescueReply {
        block_on(self.site.open_patient().rescue(Call::new(), 100)).expect("a rescue is answered")
    }

    fn ends(&self) -> [FinishItem; 2] {
        let [one, other] = [0, 1].map(|place| self.jobs[place].lease.clone());
        [FinishItem::complete(one), FinishItem::fail(other, Duration::from_secs(9), RunError::new("no"))]
    }
}

#[test]
fn a_late_finish_that_was_before_the_rescue_at_the_claim_is_accepted() {
    let orphan = Orphan::new();
    orphan.raw.run("BEGIN; SELECT FROM {schema}.claims FOR UPDATE");
    let ends = thread::scope(|scope| {
        let backend = &orphan.backend;
        let finishing: Vec<_> =
            orphan.ends().into_iter().map(|item| scope.spawn(move || finish(backend, item))).collect();
        orphan.watcher.wait_for_waiters(2);
        // The rescue does not wait: the transaction that has locked the claim ends its runs.
        assert_eq!(orphan.rescue().jobs, []);
        orphan.raw.run("ROLLBACK");
        finishing.into_iter().map(|finishing| finishing.join().expect("it ends")).collect::<Vec<_>>()
    });
    assert_eq!(ends, [COMPLETED, Finished::Accepted { state: JobState::Retryable }]);
    assert_eq!(orphan.rescue().jobs, [], "nothing is left to take back");
    assert_eq!(orphan.raw.rows("claims"), 0);
    assert_eq!(orphan.raw.rows("attempts"), 2);
}

#[test]
fn a_late_finish_that_comes_to_the_claim_after_the_rescue_is_lost() {
    let orphan = Orphan::new();
    // The rescue has the claim and waits to put a job back.
    let first = orphan.jobs[0].lease.job;
    orphan.raw.run(&format!(
        "BEGIN; INSERT INTO {{schema}}.ready (id, run_at, queue, run, attempt, priority, crashes)
            VALUES ('{first}', 0, 0, 0, 0, 0, 0)"
    ));
    let (rescued, ends) = thread::scope(|scope| {
        let rescuing = scope.spawn(|| orphan.rescue());
        orphan.watcher.wait_for_waiters(1);
        let backend = &orphan.backend;
        let finishing: Vec<_> =
            orphan.ends().into_iter().map(|item| scope.spawn(move || finish(backend, item))).collect();
        orphan.watcher.wait_for_waiters(3);
        orphan.raw.run("ROLLBACK");
        let ends: Vec<_> =
            finishing.into_iter().map(|finishing| finishing.join().expect("it ends")).collect();
        (rescuing.join().expect("it ends"), ends)
    });
    assert_eq!(rescued.jobs.len(), 2);
    assert_eq!(ends, [RESCUED, RESCUED]);
    assert_eq!(count(&orphan.backend, JobFilter::new().state(JobState::Available)), 2);
    assert_eq!(orphan.raw.rows("attempts"), 2);
}

#[test]
fn a_finish_after_the_lease_has_passed_on_changes_nothing() {
    let orphan = Orphan::new();
    assert_eq!(orphan.rescue().jobs.len(), 2);
    let next = fetch(&orphan.backend, register(&orphan.backend), 1, 2);
    assert!(next.iter().all(|job| job.lease.run == 2 && job.crashes == 1));
    for item in orphan.ends() {
        assert_eq!(finish(&orphan.backend, item), RESCUED);
    }
    let mut record = RecordRequest::new(orphan.jobs[0].lease.clone());
    record.progress = Some(50);
    let recorded = block_on(orphan.backend.record(Call::new(), record)).expect("it is answered");
    assert!(matches!(recorded, Recorded::LeaseLost), "{recorded:?}");
    for (job, ending) in next.into_iter().zip([Ending::Completed, Ending::Discarded]) {
        let decision = if ending == Ending::Completed { Decision::Complete } else { Decision::Discard };
        let finished = finish(&orphan.backend, FinishItem::new(job.lease.clone(), decision, ending));
        assert!(matches!(finished, Finished::Accepted { .. }), "{finished:?}");
        let runs =
            block_on(orphan.backend.list_runs(Call::new(), job.lease.job, 10)).expect("it is answered");
        assert_eq!(runs.iter().map(|run| run.ending).collect::<Vec<_>>(), [Ending::Crashed, ending]);
    }
}

/// A counter of the database of one test; no other session changes it.
fn statistic(raw: &Raw, column: &str) -> u64 {
    let sql = format!("SELECT {column} FROM pg_stat_database WHERE datname = current_database()");
    raw.value(&sql).parse().expect("it is a number")
}

#[test]
fn a_call_that_stands_crosswise_to_another_transaction_makes_way_and_is_begun_anew() {
    let site = Site::at(&Server::shared().fresh_database());
    let backend = site.open();
    let (raw, watcher) = (site.raw(), site.raw());
    // With options, so that giving them back locks the jobs.
    let jobs = site.jobs(2).into_iter().map(|mut job| {
        job.spec.tags.push(name("tag"));
        job
    });
    let request = EnqueueRequest::new(jobs.collect());
    block_on(backend.enqueue(Call::new(), request)).expect("they are stored");
    let worker = register(&backend);
    let mut ids: Vec<_> = fetch(&backend, worker, 1, 2).iter().map(|job| job.lease.job).collect();
    ids.sort_unstable();
    // The other one looks for no deadlock, so it is ours that makes way.
    raw.run(&format!(
        "SET deadlock_timeout = '1h'; BEGIN; SELECT FROM {{schema}}.jobs WHERE id = '{}' FOR UPDATE",
        ids[1]
    ));
    thread::scope(|scope| {
        let cancelling = scope.spawn(|| block_on(backend.cancel(Call::new(), VerbRequest::ids(ids.clone()))));
        watcher.wait_for_waiters(1);
        let other =
            raw.start(&format!("SELECT FROM {{schema}}.jobs WHERE id = '{}' FOR UPDATE; COMMIT", ids[0]));
        let ended = crate::fixture::runtime().block_on(other).expect("the other one is not cancelled");
        ended.expect("the other one is not the victim");
        let cancelled = cancelling.join().expect("it ends").expect("it is answered");
        assert!(cancelled.jobs.iter().all(|(_, verdict)| *verdict == Verdict::Requested), "{cancelled:?}");
    });
}

/// Two calls that lock the same rows in one order do not stand crosswise: each has locked the first before it
/// waits for the second.
#[test]
fn jobs_and_claims_are_locked_in_ascending_order() {
    let site = Site::shared();
    let (backend, raw, other) = (site.open_patient(), site.raw(), site.raw());
    site.put(&backend, 2);
    let worker = register(&backend);
    let mut ids: Vec<_> = (1..=2).map(|claim| fetch(&backend, worker, claim, 1).remove(0)).collect();
    let locks = |table: &str, key: &str, first: bool| {
        let order = if first { "" } else { "DESC" };
        format!("SELECT FROM {{schema}}.{table} ORDER BY {key} {order} LIMIT 1 FOR UPDATE")
    };
    let is_locked = |table: &str, key: &str| {
        let first = locks(table, key, true);
        other.value(&format!("SELECT count(*) FROM ({first} SKIP LOCKED) AS free")) == "0"
    };
    // Each in the order that ids and nonces do not have by chance in both rounds.
    for round in 0..2 {
        ids.reverse();
        raw.run(&format!("BEGIN; {}", locks("claims", "nonce", false)));
        thread::scope(|scope| {
            // Not the quick way: they fail.
            let fail =
                |job: &FetchedJob| FinishItem::fail(job.lease.clone(), Duration::ZERO, RunError::new("no"));
            let items: Vec<_> = ids.iter().map(fail).collect();
            let finishing = scope.spawn(|| block_on(backend.finish(Call::new(), FinishRequest::new(items))));
            until("the first claim is locked", || is_locked("claims", "nonce"));
            raw.run("ROLLBACK");
            finishing.join().expect("it ends").expect("it is answered");
        });
        // Ready again for the next round, under other nonces.
        block_on(backend.promote(Call::new(), 10)).expect("it is answered");
        ids = (0..2).map(|place| fetch(&backend, worker, 10 + 2 * round + place, 1).remove(0)).collect();
    }
    let mut ids = site.put(&backend, 2);
    raw.run("DELETE FROM {schema}.jobs WHERE id NOT IN (SELECT id FROM {schema}.ready)");
    for _ in 0..2 {
        ids.reverse();
        raw.run(&format!("BEGIN; {}", locks("jobs", "id", false)));
        thread::scope(|scope| {
            let retrying =
                scope.spawn(|| block_on(backend.retry(Call::new(), VerbRequest::ids(ids.clone()))));
            until("the first job is locked", || is_locked("jobs", "id"));
            raw.run("ROLLBACK");
            retrying.join().expect("it ends").expect("it is answered");
        });
    }
}

/// Where the role's default is a stricter isolation than ours, single statements run under it.
#[test]
fn a_call_that_cannot_be_serialized_is_begun_anew() {
    let site = Site::at(&Server::shared().fresh_database());
    let strict = "options=-c%20default_transaction_isolation%3Dserializable%20-c%20lock_timeout%3D30s";
    let backend = site.open_at(&format!("{}?{strict}", site.url));
    let (raw, watcher) = (site.raw(), site.raw());
    site.put(&backend, 1);
    let worker = register(&backend);
    let job = fetch(&backend, worker, 1, 1).remove(0);
    let before = statistic(&watcher, "xact_rollback");
    // The rows change under the statements that wait for them.
    raw.run("BEGIN; UPDATE {schema}.workers SET slots = 7; UPDATE {schema}.claims SET fetched_at = fetched_at - 1");
    thread::scope(|scope| {
        let renewing = scope.spawn(|| {
            let renewal = RenewRequest::new(worker, vec![ClaimId(1)]);
            block_on(backend.renew(Call::new(), renewal)).expect("the worker lives")
        });
        let finishing = scope.spawn(|| finish(&backend, FinishItem::complete(job.lease.clone())));
        watcher.wait_for_waiters(2);
        raw.run("COMMIT");
        assert_eq!(renewing.join().expect("it ends").expires_in, LEASE);
        assert_eq!(finishing.join().expect("it ends"), COMPLETED);
    });
    // Before version 15 a session that is idle keeps what it has counted until it ends.
    drop(backend);
    until("the server has counted what failed", || statistic(&watcher, "xact_rollback") >= before + 2);
}

#[test]
fn a_repeat_of_a_fetch_under_way_that_takes_from_another_queue_gives_the_jobs_of_both() {
    let site = Site::shared();
    let (first, second) = (site.open_patient(), site.open_patient());
    let (raw, watcher) = (site.raw(), site.raw());
    let put = |queue: &str| {
        let mut job = site.job();
        job.spec.queue = name(queue);
        block_on(first.enqueue(Call::new(), EnqueueRequest::new(vec![job]))).expect("it is stored");
    };
    let worker = register(&first);
    put("other");
    assert_eq!(fetch_of(&first, worker, 7, &["other"]), ["other"]);
    put("line");
    // The first call's claim of this queue collides with it, and waits until it is gone.
    raw.run(
        "BEGIN; INSERT INTO {schema}.claims
             (nonce, worker, number, fetched_at, queue, open, ids, run_ats, runs, attempts, priorities, crashes)
         SELECT worker, worker, 1, 0, queue, 0, '{}', '{}', '{}', '{}', '{}', '{}'
         FROM {schema}.workers, {schema}.queues WHERE name = 'line'"
    );
    thread::scope(|scope| {
        let under_way = scope.spawn(|| fetch_of(&first, worker, 1, &["line", "other"]));
        watcher.wait_for_waiters(1);
        put("other");
        let repeat = scope.spawn(|| fetch_of(&second, worker, 1, &["line", "other"]));
        watcher.wait_for_waiters(2);
        raw.run("ROLLBACK");
        assert_eq!(repeat.join().expect("it ends"), ["line", "other"]);
        // It looks for other claims of its number once its own is committed, and may find the repeat's.
        let first_gave = under_way.join().expect("it ends");
        assert!(first_gave == ["line"] || first_gave == ["line", "other"], "{first_gave:?}");
    });
}

/// The queues of the jobs that are fetched.
fn fetch_of(backend: &Postgres, worker: WorkerId, claim: u64, queues: &[&str]) -> Vec<String> {
    let wants = queues.iter().map(|queue| QueueWant::new(name(queue), 10)).collect();
    let request = FetchRequest::new(worker, ClaimId(claim), wants);
    let reply = block_on(backend.fetch(Call::new(), request)).expect("a worker that lives fetches");
    reply.jobs.iter().map(|job| job.spec.queue.to_string()).collect()
}
