//! Operators against workers and against each other: each handle stands for a process of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, Call, FetchedJob, FinishItem, FinishRequest, Finished, JobFilter, JobId, JobState, LostWhy,
    VerbRequest, Verdict,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;
use tokio_postgres::{Client, NoTls};

use crate::fixture::{Schema, complete, count, fetch, register, runtime};

const JOBS: usize = 1000;
/// Jobs of one call of the smaller steps that race.
const STEP: usize = 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// Fetches all there is while `act` runs over the jobs from the other end, a few at a time.
fn race_with_fetch(
    schema: &Schema,
    act: impl Fn(&Postgres, Vec<JobId>) -> Vec<(JobId, Verdict)> + Sync,
) -> (Vec<FetchedJob>, HashMap<JobId, Verdict>) {
    let (workers, operators) = (schema.open(), schema.open());
    let ids = schema.enqueue(&workers, JOBS);
    let worker = register(&workers);
    let (start, is_over) = (Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let operator = scope.spawn(|| {
            start.wait();
            let verdicts = ids.rchunks(STEP).flat_map(|ids| act(&operators, ids.to_vec())).collect();
            is_over.store(true, Ordering::Release);
            verdicts
        });
        start.wait();
        let mut leased = Vec::new();
        for claim in 1.. {
            let was_over = is_over.load(Ordering::Acquire);
            let jobs = fetch(&workers, worker, claim, STEP);
            if jobs.is_empty() && was_over {
                break;
            }
            leased.extend(jobs);
        }
        (leased, operator.join().expect("the operator's thread ends"))
    })
}

fn ids_of(jobs: &[FetchedJob]) -> HashSet<JobId> {
    jobs.iter().map(|job| job.lease.job).collect()
}

fn cancel(backend: &Postgres, ids: Vec<JobId>) -> Vec<(JobId, Verdict)> {
    block_on(backend.cancel(Call::new(), VerbRequest::ids(ids))).expect("a cancel is answered").jobs
}

fn retry(backend: &Postgres, ids: Vec<JobId>) -> Vec<(JobId, Verdict)> {
    block_on(backend.retry(Call::new(), VerbRequest::ids(ids))).expect("a retry is answered").jobs
}

fn delete(backend: &Postgres, ids: Vec<JobId>) -> Vec<(JobId, Verdict)> {
    block_on(backend.delete(Call::new(), VerbRequest::ids(ids))).expect("a delete is answered").jobs
}

#[test]
fn cancel_against_fetch_ends_a_job_or_asks_its_run_never_both() {
    let schema = Schema::alone();
    let (leased, verdicts) = race_with_fetch(&schema, cancel);

    let ran = ids_of(&leased);
    assert_eq!(verdicts.len(), JOBS);
    for (id, verdict) in &verdicts {
        let expected = if ran.contains(id) { Verdict::Requested } else { Verdict::Done };
        assert_eq!(*verdict, expected, "{id}");
    }
    let backend = schema.open();
    for finished in complete(&backend, leased) {
        assert_eq!(finished, Finished::Accepted { state: JobState::Cancelled });
    }
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Cancelled)), JOBS as u64);
    drop(backend);
    schema.assert_no_deadlocks();
}

#[test]
fn delete_against_fetch_removes_a_job_or_is_refused_never_both() {
    let schema = Schema::alone();
    let (leased, verdicts) = race_with_fetch(&schema, delete);

    let ran = ids_of(&leased);
    for (id, verdict) in &verdicts {
        let expected = if ran.contains(id) { Verdict::Refused(JobState::Running) } else { Verdict::Done };
        assert_eq!(*verdict, expected, "{id}");
    }
    let backend = schema.open();
    let finished = complete(&backend, leased);
    assert!(finished.iter().all(|finished| *finished == Finished::Accepted { state: JobState::Completed }));
    assert_eq!(count(&backend, JobFilter::new()), ran.len() as u64);
    drop(backend);
    schema.assert_no_deadlocks();
}

#[test]
fn cancel_against_finish_decides_what_each_run_ends_with() {
    let schema = Schema::alone();
    let (workers, operators) = (schema.open(), schema.open());
    let ids = schema.enqueue(&workers, JOBS);
    let worker = register(&workers);
    let mut jobs = fetch(&workers, worker, 1, JOBS);
    assert_eq!(jobs.len(), JOBS);
    let start = Barrier::new(2);
    let (ends, verdicts) = std::thread::scope(|scope| {
        let operator = scope.spawn(|| {
            start.wait();
            ids.rchunks(STEP).flat_map(|ids| cancel(&operators, ids.to_vec())).collect::<HashMap<_, _>>()
        });
        start.wait();
        let mut ends = Vec::new();
        while !jobs.is_empty() {
            let rest = jobs.split_off(STEP.min(jobs.len()));
            let step = std::mem::replace(&mut jobs, rest);
            let ids: Vec<JobId> = step.iter().map(|job| job.lease.job).collect();
            ends.extend(ids.into_iter().zip(complete(&workers, step)));
        }
        (ends, operator.join().expect("the operator's thread ends"))
    });

    assert_eq!(ends.len(), JOBS);
    for (id, finished) in ends {
        let expected = match verdicts[&id] {
            Verdict::Requested => JobState::Cancelled,
            Verdict::AlreadyTerminal => JobState::Completed,
            ref other => panic!("{id}: {other:?}"),
        };
        assert_eq!(finished, Finished::Accepted { state: expected }, "{id}");
    }
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.claims"), "0");
    drop((workers, operators));
    schema.assert_no_deadlocks();
}

#[test]
fn retries_of_two_operators_run_a_completed_job_once_more() {
    let schema = Schema::alone();
    let (one, other) = (schema.open(), schema.open());
    let ids = schema.enqueue(&one, JOBS);
    let worker = register(&one);
    complete(&one, fetch(&one, worker, 1, JOBS));
    let start = Barrier::new(2);
    let backwards: Vec<JobId> = ids.iter().rev().copied().collect();
    std::thread::scope(|scope| {
        for (backend, ids) in [(&one, &ids), (&other, &backwards)] {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for ids in ids.chunks(JOBS / 2) {
                    for (id, verdict) in retry(backend, ids.to_vec()) {
                        assert_eq!(verdict, Verdict::Done, "{id}");
                    }
                }
            });
        }
    });

    assert_eq!(count(&one, JobFilter::new().state(JobState::Completed)), 0);
    let again = fetch(&one, worker, 2, 2 * JOBS);
    assert_eq!(ids_of(&again), ids.into_iter().collect::<HashSet<_>>());
    assert_eq!(again.len(), JOBS);
    assert!(again.iter().all(|job| job.lease.run == 2));
    assert!(fetch(&other, worker, 3, JOBS).is_empty());
    drop((one, other));
    schema.assert_no_deadlocks();
}

#[test]
fn a_finish_of_a_deleted_job_leaves_the_rest_of_its_claim_alone() {
    let schema = Schema::new();
    let backend = schema.open();
    let ids = schema.enqueue(&backend, 2);
    let worker = register(&backend);
    let jobs = fetch(&backend, worker, 1, 2);
    let finish = |place: usize| {
        let items = vec![FinishItem::complete(jobs[place].lease.clone())];
        block_on(backend.finish(Call::new(), FinishRequest::new(items))).expect("it is answered").items
    };
    assert_eq!(finish(0), [Finished::Accepted { state: JobState::Completed }]);
    assert_eq!(delete(&backend, vec![ids[0]]), [(ids[0], Verdict::Done)]);

    assert_eq!(finish(0), [Finished::LeaseLost { why: LostWhy::Unknown }]);

    assert_eq!(count(&backend, JobFilter::new().state(JobState::Running)), 1);
    assert_eq!(finish(1), [Finished::Accepted { state: JobState::Completed }]);
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.claims"), "0");
}

/// An operator deleted all completed jobs while another one ran one of them again: chosen while it was
/// completed, it would have been deleted though it was available. The choice is looked at again once the job
/// is locked.
#[test]
fn a_delete_of_completed_jobs_spares_one_that_was_retried_meanwhile() {
    let schema = Schema::new();
    let (one, other) = (schema.open_patient(), schema.open_patient());
    let ids = schema.enqueue(&one, STEP);
    let worker = register(&one);
    complete(&one, fetch(&one, worker, 1, STEP));
    // Both wait for the row, in this order; the delete has chosen its jobs by then.
    let gate = Gate::close(&schema, ids[0]);
    let (retried, deleted) = std::thread::scope(|scope| {
        let retrying = scope.spawn(|| retry(&other, vec![ids[0]]));
        gate.wait_for_waiters(1);
        let deleting = scope.spawn(|| {
            let completed = JobFilter::new().state(JobState::Completed);
            let request = VerbRequest::filter(completed, None, JOBS);
            block_on(one.delete(Call::new(), request)).expect("a delete is answered").jobs
        });
        gate.wait_for_waiters(2);
        gate.open();
        (retrying.join().expect("it ends"), deleting.join().expect("it ends"))
    });

    assert_eq!(retried, [(ids[0], Verdict::Done)]);
    assert_eq!(deleted.len(), STEP - 1);
    assert!(deleted.iter().all(|(id, verdict)| *id != ids[0] && *verdict == Verdict::Done));
    assert_eq!(count(&one, JobFilter::new().state(JobState::Available)), 1);
    assert_eq!(count(&one, JobFilter::new()), 1);
}

/// A lock on the row of a job, held by a plain connection that belongs to no backend.
struct Gate<'s> {
    schema: &'s Schema,
    client: Client,
}

impl<'s> Gate<'s> {
    fn close(schema: &'s Schema, job: JobId) -> Self {
        let client = runtime().block_on(async {
            let (client, connection) =
                tokio_postgres::connect(Server::shared().url(), NoTls).await.expect("it connects");
            tokio::spawn(connection);
            let lock = format!("BEGIN; SELECT FROM \"{}\".jobs WHERE id = '{job}' FOR UPDATE", schema.name);
            client.batch_execute(&lock).await.expect("the row is locked");
            client
        });
        Self { schema, client }
    }

    /// Until so many connections of the schema wait for a lock.
    fn wait_for_waiters(&self, count: usize) {
        let waiters = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
            self.schema.name
        );
        let begun = Instant::now();
        while self.schema.psql(&waiters) != count.to_string() {
            assert!(begun.elapsed() < PATIENCE, "{count} do not wait");
        }
    }

    fn open(self) {
        runtime().block_on(self.client.batch_execute("ROLLBACK")).expect("the row is free");
    }
}
