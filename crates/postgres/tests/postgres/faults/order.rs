//! Claims are locked in the order of their nonces and jobs in the order of their ids, so that no two who want
//! the same ones wait for each other crosswise.

use std::thread;

use gristmill_core::{
    Backend, Call, FetchedJob, FinishItem, FinishRequest, Finished, JobId, JobState, VerbRequest, Verdict,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::load::Load;
use super::site::{Raw, Site};
use crate::fixture::{assert_no_deadlocks, fetch, register};

/// Jobs of each of two claims.
const JOBS: usize = 20;
const ROUNDS: usize = 5;
/// Locks the first claim.
const FIRST: &str = "BEGIN; SELECT FROM {schema}.claims ORDER BY nonce LIMIT 1 FOR UPDATE";
const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };

/// Two claims of new jobs, in the order of their nonces.
fn two_claims(site: &Site, raw: &Raw, backend: &Postgres) -> [Vec<FetchedJob>; 2] {
    site.put(backend, 2 * JOBS);
    let worker = register(backend);
    let [one, other] = [1, 2].map(|claim| fetch(backend, worker, claim, JOBS));
    match &*raw.value("SELECT number FROM {schema}.claims ORDER BY nonce") {
        "1\n2" => [one, other],
        "2\n1" => [other, one],
        numbers => panic!("two claims are there: {numbers}"),
    }
}

/// Completes all of the first and a half of the other one.
fn complete(
    backend: &Postgres,
    whole: &[FetchedJob],
    part: &[FetchedJob],
    reason: Option<&str>,
) -> Vec<Finished> {
    let items = whole.iter().chain(&part[..JOBS / 2]).map(|job| {
        let mut item = FinishItem::complete(job.lease.clone());
        item.reason = reason.map(str::to_owned);
        item
    });
    let request = FinishRequest::new(items.collect());
    block_on(backend.finish(Call::new(), request)).expect("a finish is answered").items
}

/// The claims that go were locked before those that stay. With a cancel of jobs of two claims in between,
/// each waited for the other, until the server ended one of them after a second.
#[test]
fn a_finish_that_waits_for_a_claim_holds_no_later_one() {
    let site = Site::shared();
    let (backend, raw, watcher) = (site.open_patient(), site.raw(), site.raw());
    for reason in [None, Some("well done")] {
        let [first, second] = two_claims(&site, &raw, &backend);
        raw.run(FIRST);
        let ends = thread::scope(|scope| {
            let finishing = scope.spawn(|| complete(&backend, &second, &first, reason));
            watcher.wait_for_waiters(1);
            let free = "SELECT count(*) FROM (SELECT FROM {schema}.claims FOR UPDATE SKIP LOCKED) AS free";
            let is_free = watcher.value(free);
            raw.run("ROLLBACK");
            assert_eq!(is_free, "1", "the second claim, words: {reason:?}");
            finishing.join().expect("it ends")
        });
        assert_eq!(ends, vec![COMPLETED; JOBS + JOBS / 2]);
        raw.run("DELETE FROM {schema}.claims");
    }
}

#[test]
fn finishes_and_cancels_of_the_same_two_claims_crosswise_never_deadlock() {
    let site = Site::at(&Server::shared().fresh_database());
    let (raw, watcher) = (site.raw(), site.raw());
    let [one, other, operator] = [(); 3].map(|()| site.open_patient());
    for _ in 0..ROUNDS {
        let [first, second] = two_claims(&site, &raw, &one);
        let ids = first.iter().rev().chain(&second).step_by(3).map(|job| job.lease.job).collect();
        raw.run(FIRST);
        let (ends, cancels) = thread::scope(|scope| {
            let finishing = [(&one, &first, &second), (&other, &second, &first)]
                .map(|(backend, whole, part)| scope.spawn(move || complete(backend, whole, part, None)));
            // They have looked at the claims before either changes one.
            watcher.wait_for_waiters(2);
            let cancelling = scope.spawn(|| block_on(operator.cancel(Call::new(), VerbRequest::ids(ids))));
            watcher.wait_for_waiters(3);
            raw.run("ROLLBACK");
            let cancels = cancelling.join().expect("it ends").expect("a cancel is answered").jobs;
            (finishing.map(|finishing| finishing.join().expect("it ends")), cancels)
        });
        let accepted = ends.iter().flatten().filter(|end| matches!(end, Finished::Accepted { .. }));
        assert_eq!(accepted.count(), 2 * JOBS, "each run ends once");
        let is_fit = |verdict: &Verdict| matches!(verdict, Verdict::Requested | Verdict::AlreadyTerminal);
        assert!(cancels.iter().all(|(_, verdict)| is_fit(verdict)), "{cancels:?}");
        assert_eq!(raw.rows("claims"), 0);
    }
    drop((one, other, operator, raw, watcher));
    assert_no_deadlocks(&site.url);
}

#[test]
fn acts_on_the_same_jobs_in_another_order_never_deadlock() {
    let site = Site::at(&Server::shared().fresh_database());
    let (raw, watcher) = (site.raw(), site.raw());
    let [one, other] = [(); 2].map(|()| site.open_patient());
    let ids = site.put(&one, JOBS);
    let backwards: Vec<JobId> = ids.iter().rev().copied().collect();
    raw.run("BEGIN; SELECT FROM {schema}.jobs ORDER BY id LIMIT 1 FOR UPDATE");
    let verdicts = thread::scope(|scope| {
        let acting = [(&one, ids), (&other, backwards)].map(|(backend, ids)| {
            scope.spawn(move || block_on(backend.cancel(Call::new(), VerbRequest::ids(ids))))
        });
        watcher.wait_for_waiters(2);
        raw.run("ROLLBACK");
        acting.map(|acting| acting.join().expect("it ends").expect("a cancel is answered").jobs)
    });
    let done = verdicts.iter().flatten().filter(|(_, verdict)| *verdict == Verdict::Done);
    assert_eq!(done.count(), JOBS, "each job is cancelled once");
    drop((one, other, raw, watcher));
    assert_no_deadlocks(&site.url);
}

#[test]
fn producers_and_workers_never_deadlock() {
    let site = Site::at(&Server::shared().fresh_database());

    Load::new(30).run(&site, &site.url, || ());

    assert_no_deadlocks(&site.url);
}
