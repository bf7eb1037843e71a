//! Rows that a user's open transaction has locked: only operations that need one of them wait.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, Call, ClaimId, Clock as _, EnqueueRequest, Enqueued, FetchedJob, FinishItem, Finished,
    JobFilter, JobId, JobState, NewJob, RenewReply, RenewRequest, Retention, RunError, SystemClock,
    UniqueKey, VerbRequest, Verdict, When, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::site::{Raw, Site, finish, until};
use crate::fixture::{count, fetch, name, register};

const MOMENT: Duration = Duration::from_secs(1);

/// Returns the result of a call, and checks that the call did not wait for a lock.
fn soon<T>(what: &str, call: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let answer = call();
    assert!(begun.elapsed() < MOMENT, "{what} took {:?}", begun.elapsed());
    answer
}

/// A job whose row may disappear with its run, since it has options.
fn tagged(site: &Site) -> NewJob {
    let mut job = site.job();
    job.spec.tags.push(name("held"));
    job
}

/// A worker with a claim of two jobs, the first of them tagged.
fn leased(site: &Site, backend: &Postgres) -> (WorkerId, Vec<FetchedJob>) {
    let request = EnqueueRequest::new(vec![tagged(site), site.job()]);
    block_on(backend.enqueue(Call::new(), request)).expect("they are stored");
    let worker = register(backend);
    (worker, fetch(backend, worker, 1, 2))
}

/// As the verbs of operators lock a job.
fn lock(raw: &Raw, job: &FetchedJob) {
    raw.run(&format!("BEGIN; SELECT FROM {{schema}}.jobs WHERE id = '{}' FOR NO KEY UPDATE", job.lease.job));
}

#[test]
fn a_job_that_a_users_transaction_has_locked_keeps_no_other_one_from_being_rescued() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    // Whichever worker comes first, the other claims wait for none of its jobs.
    let claims: Vec<_> = (0..3).map(|_| leased(&site, &backend).1).collect();
    raw.run("DELETE FROM {schema}.workers");
    lock(&raw, &claims[0][0]);
    let rescue = || -> Vec<JobId> {
        let reply = soon("a rescue", || block_on(backend.rescue(Call::new(), 100)).expect("it is answered"));
        reply.jobs.iter().map(|job| job.id).collect()
    };
    let sorted = |mut ids: Vec<JobId>| {
        ids.sort();
        ids
    };

    let others = claims.iter().flatten().map(|job| job.lease.job).filter(|id| *id != claims[0][0].lease.job);
    assert_eq!(sorted(rescue()), sorted(others.collect()));
    assert_eq!(rescue(), [], "it is still locked");
    assert_eq!(raw.rows("claims"), 1);

    raw.run("ROLLBACK");
    assert_eq!(rescue(), [claims[0][0].lease.job]);
    assert_eq!(raw.rows("claims"), 0);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Available)), 6);
    assert_eq!(raw.rows("attempts"), 6);
}

#[test]
fn a_renewal_that_gives_back_claims_waits_for_no_users_transaction() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let (worker, jobs) = leased(&site, &backend);
    let renew = || -> RenewReply {
        // It knows of no claim: the reply to its fetch was lost.
        let request = RenewRequest::new(worker, Vec::new());
        soon("a heartbeat", || block_on(backend.renew(Call::new(), request)).expect("the worker lives"))
    };
    let available = || count(&backend, JobFilter::new().state(JobState::Available));

    lock(&raw, &jobs[0]);
    assert_eq!(renew().given_back, []);
    assert_eq!(available(), 1, "the other job is free");
    raw.run("ROLLBACK; BEGIN; SELECT FROM {schema}.claims FOR UPDATE");
    assert_eq!(renew().given_back, []);
    raw.run("ROLLBACK");
    assert_eq!(renew().given_back, [ClaimId(1)]);
    assert_eq!((available(), raw.rows("claims")), (2, 0));
}

/// A job that disappears with its second run because a cancel is requested, and another job of that run's
/// claim. A third job runs in the claim of the first run.
fn cancelled_again(site: &Site, backend: &Postgres, worker: WorkerId) -> [JobId; 3] {
    let mut jobs = site.jobs(2);
    jobs[0].spec.retention = Some(Box::new(Retention::all(Duration::ZERO)));
    let [goes, earlier] = [jobs[0].id, jobs[1].id];
    block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs))).expect("they are stored");
    let first = fetch(backend, worker, 1, 2).into_iter().find(|job| job.lease.job == goes);
    let first = first.expect("both are fetched").lease;
    finish(backend, FinishItem::fail(first, Duration::ZERO, RunError::new("no")));
    block_on(backend.promote(Call::new(), 10)).expect("it is answered");
    let beside = site.put(backend, 1)[0];
    assert_eq!(fetch(backend, worker, 2, 2).len(), 2);
    block_on(backend.cancel(Call::new(), VerbRequest::ids(vec![goes]))).expect("it is answered");
    [goes, beside, earlier]
}

/// As a finish or a cancel of a job that runs in it locks a claim.
fn lock_claim_of(raw: &Raw, job: JobId) {
    raw.run(&format!("BEGIN; SELECT FROM {{schema}}.claims WHERE '{job}' = ANY (ids) FOR UPDATE"));
}

#[test]
fn a_rescue_waits_for_no_claim_that_lists_a_job_which_disappears() {
    let site = Site::shared();
    let (backend, raw) = (site.open_patient(), site.raw());
    let [goes, beside, earlier] = cancelled_again(&site, &backend, register(&backend));
    raw.run("DELETE FROM {schema}.workers");
    let rescue = || -> BTreeSet<JobId> {
        let reply = soon("a rescue", || block_on(backend.rescue(Call::new(), 100)).expect("it is answered"));
        reply.jobs.iter().map(|job| job.id).collect()
    };
    lock_claim_of(&raw, earlier);
    assert_eq!(rescue(), BTreeSet::from([beside]));
    assert_eq!((raw.rows("claims"), raw.rows("jobs")), (2, 3));
    raw.run("ROLLBACK");
    assert_eq!(rescue(), BTreeSet::from([goes, earlier]));
    assert_eq!((raw.rows("claims"), raw.rows("jobs")), (0, 2));
}

#[test]
fn a_renewal_that_gives_back_claims_waits_for_no_claim_that_lists_a_job_which_disappears() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let worker = register(&backend);
    let [_, _, earlier] = cancelled_again(&site, &backend, worker);
    let renew = || {
        let request = RenewRequest::new(worker, vec![ClaimId(1)]);
        soon("a heartbeat", || block_on(backend.renew(Call::new(), request)).expect("the worker lives"))
    };
    lock_claim_of(&raw, earlier);
    assert_eq!(renew().given_back, []);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Available)), 1, "the other job is free");
    raw.run("ROLLBACK");
    assert_eq!(renew().given_back, [ClaimId(2)]);
    assert_eq!((raw.rows("claims"), raw.rows("jobs")), (1, 2));
}

#[test]
fn calls_that_wait_for_a_users_transaction_leave_connections_to_those_that_do_not() {
    let site = Site::shared();
    let (backend, raw, watcher) = (&site.open(), site.raw(), site.raw());
    let (worker, jobs) = leased(&site, backend);
    let waiting = block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![tagged(&site)])));
    assert_eq!(waiting.expect("it is stored").jobs, [Enqueued::Created]);
    raw.run(&format!(
        "BEGIN; INSERT INTO {{schema}}.uniques (queue, key, id)
            SELECT queue, 'held', '{}' FROM {{schema}}.queues WHERE name = 'line';
        SELECT FROM {{schema}}.jobs FOR NO KEY UPDATE",
        jobs[0].lease.job
    ));
    thread::scope(|scope| {
        let keyed = || {
            let mut job = site.job();
            job.spec.unique_key = Some(UniqueKey::new("held").expect("it is a key"));
            let reply = block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![job])));
            reply.expect("it is answered once the key is free").jobs.remove(0)
        };
        let cancel = || {
            let request = VerbRequest::ids(vec![jobs[0].lease.job]);
            block_on(backend.cancel(Call::new(), request)).expect("it is answered").jobs.remove(0).1
        };
        // As many of each as there are connections.
        let enqueuing: Vec<_> = (0..3).map(|_| scope.spawn(keyed)).collect();
        let cancelling: Vec<_> = (0..3).map(|_| scope.spawn(cancel)).collect();
        watcher.wait_for_waiters(3);
        for round in 2..6 {
            soon("an enqueue", || site.put(backend, 1));
            let fetched = soon("a fetch", || fetch(backend, worker, round, 1));
            let item = FinishItem::complete(fetched[0].lease.clone());
            let finished = soon("a finish", || finish(backend, item));
            assert_eq!(finished, Finished::Accepted { state: JobState::Completed });
        }
        raw.run("ROLLBACK");
        let mut created = 0;
        for enqueued in enqueuing.into_iter().map(|enqueuing| enqueuing.join().expect("it ends")) {
            created += usize::from(enqueued == Enqueued::Created);
        }
        assert_eq!(created, 1, "one of them has the key now");
        for verdict in cancelling.into_iter().map(|cancelling| cancelling.join().expect("it ends")) {
            assert_eq!(verdict, Verdict::Requested);
        }
    });
}

/// All that waits for a lock shares a part of the connections, by turns. A heartbeat that met a lock itself,
/// and so waits for its own, has no turn in that line.
#[test]
fn calls_of_a_workers_life_that_met_a_lock_stand_in_no_line_behind_enqueues() {
    let site = Site::shared();
    let (backend, watcher) = (&site.open(), site.raw());
    let [key, row] = [(); 2].map(|()| site.raw());
    let (worker, _) = leased(&site, backend);
    key.run(
        "BEGIN; INSERT INTO {schema}.uniques (queue, key, id)
            SELECT queue, 'held', gen_random_uuid() FROM {schema}.queues WHERE name = 'line'",
    );
    thread::scope(|scope| {
        let keyed = || {
            let mut job = site.job();
            job.spec.unique_key = Some(UniqueKey::new("held").expect("it is a key"));
            block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![job]))).expect("it is answered")
        };
        let enqueuing: Vec<_> = (0..60).map(|_| scope.spawn(keyed)).collect();
        watcher.wait_for_waiters(3);
        row.run("BEGIN; SELECT FROM {schema}.workers FOR UPDATE");
        let renewing = scope.spawn(|| {
            let request = RenewRequest::new(worker, vec![ClaimId(1)]);
            let renewed = block_on(backend.renew(Call::new(), request));
            (renewed.map(|renewed| renewed.lost), Instant::now())
        });
        // It has met the lock, and waits for it without a connection in between.
        thread::park_timeout(Duration::from_millis(500));
        row.run("ROLLBACK");
        let freed = Instant::now();
        let (renewed, at) = renewing.join().expect("it ends");
        key.run("ROLLBACK");
        assert_eq!(renewed.expect("the worker lives"), []);
        let took = at.duration_since(freed);
        assert!(took < MOMENT, "a heartbeat took {took:?} after its lock was free");
        for enqueuing in enqueuing {
            assert_eq!(enqueuing.join().expect("it ends").jobs.len(), 1);
        }
    });
}

/// Otherwise the promoter takes a job that it cannot have for one that is due, and tries again at once.
#[test]
fn a_promotion_says_that_a_due_job_is_held_and_when_the_next_one_is_due() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let due = |after: u64| {
        let mut job = site.job();
        job.when = When::After(Duration::from_millis(after));
        job
    };
    let (held, free, later) = (due(1), due(2), due(3_600_000));
    let held_id = held.id;
    let request = EnqueueRequest::new(vec![held, free, later]);
    block_on(backend.enqueue(Call::new(), request)).expect("they are stored");
    raw.run(&format!("BEGIN; SELECT FROM {{schema}}.waiting WHERE id = '{held_id}' FOR UPDATE"));
    let began = Instant::now();
    until("both are due", || began.elapsed() > Duration::from_millis(10));
    let promote =
        || soon("a promotion", || block_on(backend.promote(Call::new(), 100)).expect("it is answered"));

    let first = promote();
    assert_eq!((first.done, first.blocked, first.more), (1, true, false));
    assert!(first.next_due.is_some_and(|due| due > SystemClock.now() + 1_000 * MOMENT), "{first:?}");
    let second = promote();
    assert_eq!((second.done, second.blocked, second.more), (0, true, false));

    raw.run("ROLLBACK");
    let third = promote();
    assert_eq!((third.done, third.blocked), (1, false));
}
