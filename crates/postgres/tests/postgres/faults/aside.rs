//! One row or key that an open transaction holds, among many that are free: the others get on.

use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, Call, EnqueueRequest, FetchedJob, FinishItem, FinishRequest, Finished, JobFilter, JobState,
    NewJob, Retention, RunError, UniqueKey, VerbRequest,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::site::{Raw, Site, finish};
use crate::fixture::{count, fetch, name, register};

const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };
/// A turn for a lock, a look which it is, and a slow machine. A call's deadline is 30 s.
const MOMENT: Duration = Duration::from_secs(3);

fn finish_all(backend: &Postgres, items: Vec<FinishItem>) -> Vec<Finished> {
    let begun = Instant::now();
    let reply = block_on(backend.finish(Call::new(), FinishRequest::new(items))).expect("it is answered");
    assert!(begun.elapsed() < MOMENT, "a finish took {:?}", begun.elapsed());
    reply.items
}

fn store(backend: &Postgres, jobs: Vec<NewJob>) {
    block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs))).expect("they are stored");
}

fn complete(job: &FetchedJob) -> FinishItem {
    FinishItem::complete(job.lease.clone())
}

/// How long a completed job stays.
fn kept(completed: Duration) -> Retention {
    let mut retention = Retention::default();
    retention.completed = completed;
    retention
}

fn lock_claim(raw: &Raw, job: &FetchedJob) {
    let id = job.lease.job;
    raw.run(&format!("BEGIN; SELECT FROM {{schema}}.claims WHERE '{id}' = ANY (ids) FOR UPDATE"));
}

#[test]
fn a_locked_claim_holds_up_no_end_of_another() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let worker = register(&backend);
    site.put(&backend, 6);
    let claims = [1, 2, 3].map(|number| fetch(&backend, worker, number, 2));
    lock_claim(&raw, &claims[1][0]);
    let failed = FinishItem::fail(claims[2][1].lease.clone(), Duration::ZERO, RunError::new("no"));
    let items = vec![complete(&claims[0][0]), complete(&claims[1][0]), complete(&claims[2][0]), failed];
    let retryable = Finished::Accepted { state: JobState::Retryable };
    assert_eq!(finish_all(&backend, items.clone()), [COMPLETED, Finished::Busy, COMPLETED, retryable]);
    // The store knows that the claim is locked, so later finishes do not wait for it.
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(finish_all(&backend, vec![complete(&claims[1][0])]), [Finished::Busy]);
    }
    assert!(begun.elapsed() < Duration::from_millis(900), "five looks took {:?}", begun.elapsed());
    assert_eq!(finish(&backend, complete(&claims[0][1])), COMPLETED);
    raw.run("ROLLBACK");
    let rest = finish_all(&backend, vec![complete(&claims[1][0]), complete(&claims[1][1])]);
    assert_eq!(rest, [COMPLETED, COMPLETED]);
    assert_eq!(raw.rows("claims"), 0);
    assert_eq!(finish(&backend, items[1].clone()), Finished::AlreadyAccepted);
}

#[test]
fn a_locked_job_that_ends_with_its_run_holds_up_no_other_end() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let worker = register(&backend);
    let mut jobs = site.jobs(3);
    for job in &mut jobs {
        job.spec.retention = Some(Box::new(kept(Duration::ZERO)));
    }
    store(&backend, jobs);
    let jobs = fetch(&backend, worker, 1, 3);
    let id = jobs[1].lease.job;
    raw.run(&format!("BEGIN; SELECT FROM {{schema}}.jobs WHERE id = '{id}' FOR NO KEY UPDATE"));
    let answers = finish_all(&backend, jobs.iter().map(complete).collect());
    assert_eq!(answers, [COMPLETED, Finished::Busy, COMPLETED]);
    raw.run("ROLLBACK");
    assert_eq!(finish(&backend, complete(&jobs[1])), COMPLETED);
    assert_eq!((raw.rows("jobs"), raw.rows("claims")), (0, 0));
}

/// No claim is changed for a job that stays.
#[test]
fn a_locked_claim_of_an_earlier_run_holds_up_no_end_of_a_job_that_is_kept() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let worker = register(&backend);
    let mut jobs = site.jobs(2);
    jobs[0].spec.retention = Some(Box::new(kept(Duration::from_secs(3_600))));
    store(&backend, jobs);
    let mut jobs = fetch(&backend, worker, 1, 2);
    jobs.sort_by_key(|job| job.lease.job);
    finish(&backend, FinishItem::fail(jobs[0].lease.clone(), Duration::ZERO, RunError::new("no")));
    block_on(backend.promote(Call::new(), 10)).expect("it is answered");
    let again = fetch(&backend, worker, 2, 1);
    assert_eq!((again[0].lease.job, again[0].lease.run), (jobs[0].lease.job, 2));
    lock_claim(&raw, &jobs[1]);
    assert_eq!(finish_all(&backend, vec![complete(&again[0])]), [COMPLETED]);
    raw.run("ROLLBACK");
}

#[test]
fn a_follow_up_job_whose_key_is_being_taken_holds_up_no_other_end() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let worker = register(&backend);
    site.put(&backend, 9);
    let jobs = fetch(&backend, worker, 1, 9);
    raw.run(
        "BEGIN; INSERT INTO {schema}.uniques (queue, key, id)
            SELECT queue, 'held', gen_random_uuid() FROM {schema}.queues",
    );
    let with_follow_up = |job: &FetchedJob, key: &str| {
        let mut follow_up = site.job();
        follow_up.spec.unique_key = Some(UniqueKey::new(key).expect("it is a key"));
        let mut item = complete(job);
        item.effects.push(follow_up);
        item
    };
    let mut items: Vec<FinishItem> = jobs.iter().map(complete).collect();
    items[3] = with_follow_up(&jobs[3], "held");
    items[5] = with_follow_up(&jobs[5], "free");
    items[7] = with_follow_up(&jobs[7], "held");
    let answers = finish_all(&backend, items.clone());
    for (place, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, if [3, 7].contains(&place) { Finished::Busy } else { COMPLETED }, "item {place}");
    }
    raw.run("ROLLBACK");
    assert_eq!(finish_all(&backend, vec![items[3].clone(), items[7].clone()]), [COMPLETED, COMPLETED]);
    // The two follow-up jobs: of two with one key the first.
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Available)), 2);
}

/// The number of a queue is decided by the commit of the transaction that makes it.
#[test]
fn a_follow_up_job_of_a_queue_that_is_being_made_holds_up_no_other_end() {
    const JOBS: usize = 300;
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let worker = register(&backend);
    site.put(&backend, JOBS);
    let jobs = fetch(&backend, worker, 1, JOBS);
    raw.run(
        "BEGIN; INSERT INTO {schema}.queues (queue, name) VALUES
            ({schema}.queue_number('new'), 'new'), ({schema}.queue_number('newer'), 'newer')",
    );
    let with_follow_up = |job: &FetchedJob, queue: &str| {
        let mut follow_up = site.job();
        follow_up.spec.queue = name(queue);
        let mut item = complete(job);
        item.effects.push(follow_up);
        item
    };
    let mut items: Vec<FinishItem> = jobs.iter().map(complete).collect();
    for (place, item) in items.iter_mut().enumerate() {
        // So that none ends the quick way.
        item.error = Some(RunError::new("a trifle"));
        match place {
            3 => *item = with_follow_up(&jobs[place], "new"),
            5 => *item = with_follow_up(&jobs[place], "free"),
            77 => *item = with_follow_up(&jobs[place], "newer"),
            _ => {}
        }
    }
    let answers = finish_all(&backend, items.clone());
    for (place, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, if [3, 77].contains(&place) { Finished::Busy } else { COMPLETED }, "item {place}");
    }
    raw.run("ROLLBACK");
    assert_eq!(finish_all(&backend, vec![items[3].clone(), items[77].clone()]), [COMPLETED, COMPLETED]);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Available)), 3);
}

/// Cancelled jobs that are past their retention.
fn past(site: &Site, backend: &Postgres, raw: &Raw, count: usize) -> Vec<gristmill_core::JobId> {
    let ids = site.put(backend, count);
    block_on(backend.cancel(Call::new(), VerbRequest::ids(ids.clone()))).expect("it is answered");
    raw.run("UPDATE {schema}.ended SET delete_at = 0");
    ids
}

#[test]
fn a_locked_job_keeps_no_other_one_from_being_pruned() {
    let site = Site::shared();
    let (backend, raw, other) = (site.open(), site.raw(), site.raw());
    let ids = past(&site, &backend, &other, 600);
    // More than a round looks at, at the head of the line.
    other.run(&format!("UPDATE {{schema}}.ended SET delete_at = -1 WHERE id <> '{}'", ids[599]));
    raw.run(&format!("BEGIN; SELECT FROM {{schema}}.jobs WHERE id <> '{}' FOR NO KEY UPDATE", ids[599]));
    let prune = || block_on(backend.prune(Call::new().within(MOMENT), 1_000)).expect("it waits for nobody");
    let round = prune();
    assert_eq!((round.done, round.more), (1, false));
    raw.run("ROLLBACK");
    assert_eq!(prune().done, 599);
}

#[test]
fn a_locked_claim_keeps_no_other_job_from_being_pruned() {
    let site = Site::shared();
    let (backend, raw, other) = (site.open(), site.raw(), site.raw());
    past(&site, &backend, &other, 20);
    // Two jobs of one claim, of which one has ended and is past its retention.
    let worker = register(&backend);
    site.put(&backend, 2);
    let jobs = fetch(&backend, worker, 1, 2);
    let item = FinishItem::new(
        jobs[0].lease.clone(),
        gristmill_core::Decision::Discard,
        gristmill_core::Ending::Discarded,
    );
    finish(&backend, item);
    other.run("UPDATE {schema}.ended SET delete_at = 0");
    lock_claim(&raw, &jobs[1]);
    let prune = || block_on(backend.prune(Call::new().within(MOMENT), 1_000)).expect("it waits for nobody");
    assert_eq!(prune().done, 20);
    raw.run("ROLLBACK");
    assert_eq!(prune().done, 1);
    assert_eq!(finish(&backend, complete(&jobs[1])), COMPLETED);
}

#[test]
fn a_locked_job_that_has_completed_keeps_no_other_one_from_being_pruned() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let worker = register(&backend);
    let mut jobs = site.jobs(40);
    for job in &mut jobs {
        job.spec.retention = Some(Box::new(kept(Duration::from_millis(1))));
    }
    let held = jobs[7].id;
    store(&backend, jobs);
    let jobs = fetch(&backend, worker, 1, 40);
    finish_all(&backend, jobs.iter().map(complete).collect());
    raw.run(&format!("BEGIN; SELECT FROM {{schema}}.jobs WHERE id = '{held}' FOR NO KEY UPDATE"));
    let prune = || block_on(backend.prune(Call::new().within(MOMENT), 1_000)).expect("it waits for nobody");
    assert_eq!(prune().done, 39);
    raw.run("ROLLBACK");
    assert_eq!(prune().done, 1);
    assert_eq!((raw.rows("jobs"), raw.rows("expiries")), (0, 0));
}

#[test]
fn a_due_job_that_is_locked_keeps_no_other_one_from_being_promoted() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let mut jobs = site.jobs(3);
    for job in &mut jobs {
        job.when = gristmill_core::When::After(Duration::from_secs(3_600));
    }
    let held = jobs[0].id;
    store(&backend, jobs);
    raw.run("UPDATE {schema}.waiting SET run_at = 1");
    raw.run(&format!("BEGIN; SELECT FROM {{schema}}.waiting WHERE id = '{held}' FOR UPDATE"));
    let promote = || block_on(backend.promote(Call::new().within(MOMENT), 10)).expect("it waits for nobody");
    assert_eq!(promote().done, 2);
    raw.run("ROLLBACK");
    assert_eq!(promote().done, 1);
}
