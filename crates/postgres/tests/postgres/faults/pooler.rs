//! A transaction pooler between here and the server: each transaction may get another session.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gristmill_core::{
    Backend, BackendErrorKind, BackendTx, Call, Certainty, ClaimId, EnqueueRequest, Enqueued, FinishItem,
    Finished, JobFilter, JobState, RenewRequest, RunError, UniqueKey, VerbRequest, Verdict,
};
use gristmill_testkit::block_on;
use gristmill_testserver::{PgBouncer, Postgres as Server};

use super::site::{Site, finish, refused, until};
use crate::fixture::{complete, count, fetch, register};

const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };

#[test]
fn all_a_worker_does_goes_through_a_transaction_pooler() {
    let server = Server::start();
    let pooler = PgBouncer::before(&server);
    let site = Site::at(server.url());
    let url = format!("{}?pooler=transaction", pooler.url());
    let backend = site.open_at(&url);
    // Many at once, so that transactions of one client meet different sessions.
    thread::scope(|scope| {
        for number in 0..6 {
            let (site, url) = (&site, &url);
            scope.spawn(move || {
                let backend = site.open_at(url);
                let worker = register(&backend);
                for claim in 1..=10 {
                    let mut jobs = site.jobs(3);
                    jobs[0].spec.unique_key =
                        Some(UniqueKey::new(format!("{number}/{claim}")).expect("a key"));
                    let reply = block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs)));
                    assert_eq!(reply.expect("they are stored").jobs, [const { Enqueued::Created }; 3]);
                    let jobs = fetch(&backend, worker, claim, 3);
                    let renewal = RenewRequest::new(worker, vec![ClaimId(claim)]);
                    assert!(
                        block_on(backend.renew(Call::new(), renewal))
                            .expect("it lives")
                            .given_back
                            .is_empty()
                    );
                    assert!(complete(&backend, jobs).iter().all(|finished| *finished == COMPLETED));
                }
            });
        }
    });
    let worker = register(&backend);
    let rest = fetch(&backend, worker, 1, 1_000);
    assert!(complete(&backend, rest).iter().all(|finished| *finished == COMPLETED));
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), 180);

    let ids = site.put(&backend, 3);
    let mut jobs = fetch(&backend, worker, 2, 2);
    let failed = FinishItem::fail(jobs.remove(0).lease, std::time::Duration::ZERO, RunError::new("no"));
    assert!(matches!(finish(&backend, failed), Finished::Accepted { .. }));
    block_on(backend.promote(Call::new(), 10)).expect("it promotes");
    block_on(backend.rescue(Call::new(), 10)).expect("it rescues");
    block_on(backend.prune(Call::new(), 10)).expect("it prunes");
    let cancel = VerbRequest::ids(vec![ids[2]]);
    assert_eq!(
        block_on(backend.cancel(Call::new(), cancel)).expect("it cancels").jobs,
        [(ids[2], Verdict::Done)]
    );
    let lease = jobs.remove(0).lease;
    let tx: Box<dyn BackendTx> = block_on(backend.begin(Call::new(), lease.clone())).expect("it begins");
    assert_eq!(block_on(tx.finish(Call::new(), FinishItem::complete(lease))).expect("it ends"), COMPLETED);
    for finding in block_on(backend.diagnose(Call::new())).expect("it examines") {
        assert!(finding.ok || finding.check == "durability", "{finding:?}");
    }
}

const REMEDY: &str = "pooler=transaction";

#[test]
fn a_pooler_that_refuses_our_settings_is_named_with_the_remedy() {
    let server = Server::start();
    let pooler = PgBouncer::before(&server);
    let site = Site::at(server.url());
    let backend = site.open_at(pooler.url());
    let error = refused(backend.diagnose(Call::new()), BackendErrorKind::Refused);
    assert!(
        error.to_string().contains("pooler") && error.hint().is_some_and(|hint| hint.contains(REMEDY)),
        "{error:?}"
    );
    assert!(!error.is_retryable());
}

#[test]
fn a_pooler_that_loses_what_was_prepared_is_named_with_the_remedy() {
    let server = Server::start();
    let pooler = PgBouncer::with_settings(&server, "ignore_startup_parameters = options");
    let site = Site::at(server.url());
    let backend = site.open_at(pooler.url());
    site.put(&backend, 1);
    // Another client holds the session in which the statements were prepared.
    let other = Site::empty(pooler.url(), &site.schema).raw();
    other.run("BEGIN");
    let error =
        refused(backend.enqueue(Call::new(), EnqueueRequest::new(site.jobs(1))), BackendErrorKind::Refused);
    assert!(error.hint().is_some_and(|hint| hint.contains(REMEDY)), "{error:?}");
    assert_eq!(error.certainty(), Certainty::NotStored);
    other.run("ROLLBACK");
    // The address of the pooler is that of the server: only that the sessions change tells them apart.
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| churn(&site, pooler.url(), &ended));
        }
        let _ends = Ends(&ended);
        until("the sessions of an examination differ", || {
            let named = match block_on(backend.diagnose(Call::new())) {
                Ok(findings) => findings
                    .iter()
                    .find_map(|finding| finding.remedy.clone().filter(|_| finding.check == "pooler")),
                Err(error) => error.hint().map(str::to_owned),
            };
            named.is_some_and(|remedy| remedy.contains(REMEDY))
        });
    });
}

/// Short transactions through the pooler, until they are no longer needed.
fn churn(site: &Site, url: &str, ended: &AtomicBool) {
    let client = Site::empty(url, &site.schema).raw();
    while !ended.load(Ordering::Relaxed) {
        client.run("SELECT 1");
    }
}

/// Ends the churning threads when dropped, also if the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
