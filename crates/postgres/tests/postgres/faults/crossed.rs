//! Jobs that disappear are struck out of the claims that still list them, next to claims that change for
//! other reasons. All of a transaction's claims are locked in one order.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use gristmill_core::{
    Backend, Call, EnqueueRequest, FetchedJob, FinishItem, FinishRequest, Finished, JobId, JobState, NewJob,
    Retention, RunError, VerbRequest, Verdict, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::site::{Site, until};
use crate::fixture::{assert_no_deadlocks, fetch, register};

const ROUNDS: u64 = 40;

/// A claim with one running job, which lists another job whose run has ended and that waits for its retry.
struct Claim {
    running: FetchedJob,
    ended: JobId,
}

/// A job that disappears when it ends.
fn fleeting(site: &Site) -> NewJob {
    let mut job = site.job();
    job.spec.retention = Some(Box::new(Retention::all(Duration::ZERO)));
    job
}

/// Two claims, in no order.
fn claims(site: &Site, backend: &Postgres, worker: WorkerId, number: u64, retry: Duration) -> [Claim; 2] {
    [2 * number, 2 * number + 1].map(|number| {
        let jobs = vec![site.job(), fleeting(site)];
        let ended = jobs[1].id;
        block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs))).expect("they are stored");
        let mut jobs = fetch(backend, worker, number, 2);
        jobs.sort_by_key(|job| job.lease.job == ended);
        let [running, failed] = jobs.try_into().expect("both are fetched");
        let item = FinishItem::fail(failed.lease, retry, RunError::new("no"));
        let reply =
            block_on(backend.finish(Call::new(), FinishRequest::new(vec![item]))).expect("it is answered");
        assert!(matches!(reply.items[0], Finished::Accepted { .. }), "{reply:?}");
        Claim { running, ended }
    })
}

/// Does both at the same time.
fn at_once<T: Send>(acts: [impl FnOnce() -> T + Send; 2]) -> [T; 2] {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        let begun = acts.map(|act| {
            scope.spawn(|| {
                barrier.wait();
                act()
            })
        });
        begun.map(|act| act.join().expect("it ends"))
    })
}

/// Of each claim one cancels the running job, which locks the claim, and the other one the job that is struck
/// out of it.
#[test]
fn cancels_of_jobs_whose_claims_cross_never_deadlock() {
    let site = Site::at(&Server::shared().fresh_database());
    let [one, other] = [(); 2].map(|()| site.open_patient());
    let worker = register(&one);
    for round in 0..ROUNDS {
        let [left, right] = claims(&site, &one, worker, round, Duration::from_secs(3600));
        let cancel = |backend: &Postgres, running: &Claim, ended: &Claim| {
            let request = VerbRequest::ids(vec![running.running.lease.job, ended.ended]);
            let reply = block_on(backend.cancel(Call::new(), request)).expect("it is answered");
            reply.jobs.into_iter().map(|(_, verdict)| verdict).collect::<Vec<_>>()
        };
        let verdicts = thread::scope(|_| {
            let acts: [Box<dyn FnOnce() -> Vec<Verdict> + Send + '_>; 2] =
                [Box::new(|| cancel(&one, &left, &right)), Box::new(|| cancel(&other, &right, &left))];
            at_once(acts)
        });
        assert_eq!(verdicts, [(); 2].map(|()| vec![Verdict::Requested, Verdict::Done]));
    }
    drop((one, other));
    assert_no_deadlocks(&site.url);
}

/// The same as requests of callers, applied by two processes, next to finishes of what runs.
#[test]
fn requests_for_jobs_whose_claims_cross_never_deadlock() {
    let site = Site::at(&Server::shared().fresh_database());
    let ([one, other], raw) = ([(); 2].map(|()| site.open_patient()), site.raw());
    let worker = register(&one);
    for round in 0..ROUNDS {
        let [left, right] = claims(&site, &one, worker, round, Duration::from_secs(3600));
        for (running, ended, actor) in [(&left, &right, "a"), (&right, &left, "b")] {
            let ids = format!(r#"["{}","{}"]"#, running.running.lease.job, ended.ended);
            let request = format!(r#"{{"protocol":2,"verb":"cancel","ids":{ids},"actor":"{actor}"}}"#);
            raw.value(&format!("SELECT {{schema}}.outbox_request('{request}')"));
        }
        let apply = |backend: &Postgres| {
            while block_on(backend.promote(Call::new(), 100)).expect("it is answered").more {}
        };
        let finish = || {
            let items = [&right, &left].map(|claim| FinishItem::complete(claim.running.lease.clone()));
            block_on(other.finish(Call::new(), FinishRequest::new(items.to_vec()))).expect("it is answered");
        };
        thread::scope(|scope| {
            scope.spawn(|| apply(&one));
            scope.spawn(|| apply(&other));
            scope.spawn(finish);
        });
        until("all are applied", || {
            apply(&one);
            raw.value("SELECT count(*) FROM {schema}.requests") == "0"
        });
    }
    drop((one, other, raw));
    assert_no_deadlocks(&site.url);
}

/// One deletes what the other one deletes, in the other order, and each strikes jobs out of both claims.
#[test]
fn deletes_of_jobs_whose_claims_cross_never_deadlock() {
    let site = Site::at(&Server::shared().fresh_database());
    let [one, other] = [(); 2].map(|()| site.open_patient());
    let worker = register(&one);
    for round in 0..ROUNDS / 2 {
        let [a, b] = claims(&site, &one, worker, 2 * round, Duration::from_secs(3600));
        let [c, d] = claims(&site, &one, worker, 2 * round + 1, Duration::from_secs(3600));
        let acts = [(&one, [&a, &d]), (&other, [&c, &b])].map(|(backend, claims)| {
            let ids = claims.map(|claim| claim.ended).to_vec();
            move || block_on(backend.delete(Call::new(), VerbRequest::ids(ids))).expect("it is answered").jobs
        });
        for (_, verdict) in at_once(acts).concat() {
            assert_eq!(verdict, Verdict::Done);
        }
    }
    drop((one, other));
    assert_no_deadlocks(&site.url);
}

/// A run of a job that disappears is finished next to a finish of both claims that list it.
#[test]
fn finishes_of_jobs_whose_claims_cross_never_deadlock() {
    let site = Site::at(&Server::shared().fresh_database());
    let [one, other] = [(); 2].map(|()| site.open_patient());
    let worker = register(&one);
    for round in 0..ROUNDS {
        // The second run of both is in a third claim, next to a job that goes on.
        let claims = claims(&site, &one, worker, 2 * round, Duration::ZERO);
        block_on(one.promote(Call::new(), 100)).expect("it is answered");
        site.put(&one, 1);
        let again = fetch(&one, worker, 4 * round + 2, 3);
        assert_eq!(again.len(), 3, "both are run again, and a new one");
        let (again, fresh): (Vec<_>, Vec<_>) = again.into_iter().partition(|job| job.lease.run == 2);
        let whole = again.iter().map(|job| FinishItem::complete(job.lease.clone())).collect::<Vec<_>>();
        let both = claims.iter().map(|claim| claim.running.clone()).chain(fresh);
        let mut both = both.map(|job| FinishItem::complete(job.lease)).collect::<Vec<_>>();
        for item in &mut both {
            // So that it is looked at, run by run.
            item.error = Some(RunError::new("a trifle"));
        }
        let acts = [(&one, whole), (&other, both)].map(|(backend, items)| {
            move || {
                block_on(backend.finish(Call::new(), FinishRequest::new(items)))
                    .expect("it is answered")
                    .items
            }
        });
        let accepted = Finished::Accepted { state: JobState::Completed };
        assert!(at_once(acts).concat().iter().all(|finished| *finished == accepted));
    }
    drop((one, other));
    assert_no_deadlocks(&site.url);
}

#[test]
fn no_claims_are_read_for_no_jobs() {
    let site = Site::shared();
    let (holder, raw) = (site.raw(), site.raw());
    holder.run("BEGIN; LOCK TABLE {schema}.claims");
    raw.run("SET lock_timeout = '100ms'");
    assert_eq!(raw.value("SELECT {schema}.claims_listing('{}')"), "{}");
    holder.run("ROLLBACK");
}
