//! Dead rows that an old snapshot keeps: what a worker does again and again steps over none of them.

use gristmill_core::{Backend, Call, ClaimId, RenewRequest};
use gristmill_testkit::block_on;

use super::site::Site;
use crate::faults::site::until;
use crate::fixture::{complete, fetch, register};

/// Claims that come and go.
const CLAIMS: u64 = 150;
/// Renewals and rescues.
const TIMES: u64 = 100;

/// The entries of an index that scans have read so far. Sessions tell when they end.
fn entries_read(site: &Site, index: &str) -> u64 {
    let raw = site.raw();
    let sessions =
        format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gristmill {}'", site.schema);
    until("the sessions have ended", || raw.value(&sessions) == "0");
    let read = raw.value(&format!(
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = '{}' AND indexrelname = '{index}'",
        site.schema
    ));
    read.parse().expect("a number")
}

#[test]
fn renewals_and_rescues_beside_an_old_snapshot_read_no_claim_that_is_gone() {
    let site = Site::shared();
    let snapshot = site.raw();
    snapshot.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {schema}.claims");
    let mark = if site.url.contains('?') { '&' } else { '?' };
    let backend = site.open_at(&format!("{}{mark}application_name=gristmill%20{}", site.url, site.schema));
    let worker = register(&backend);
    site.put(&backend, usize::try_from(CLAIMS).expect("it is small") + 1);
    // One is held all the time: what came before and after it is gone.
    let held = fetch(&backend, worker, CLAIMS / 2, 1);
    for number in (1..=CLAIMS).filter(|number| *number != CLAIMS / 2) {
        complete(&backend, fetch(&backend, worker, number, 1));
    }
    for _ in 0..TIMES {
        let request = RenewRequest::new(worker, vec![ClaimId(CLAIMS / 2)]);
        let reply = block_on(backend.renew(Call::new(), request)).expect("it is renewed");
        assert_eq!((reply.lost.len(), reply.given_back.len()), (0, 0));
        block_on(backend.rescue(Call::new(), 100)).expect("it is answered");
    }
    complete(&backend, held);
    drop(backend);

    let read = entries_read(&site, "claims_worker_number_queue_key");
    snapshot.run("COMMIT");
    // The first renewal reads all; the fetches and each renewal read the claim that is held.
    assert!(read < 8 * (CLAIMS + TIMES), "{read} entries for {TIMES} renewals and rescues");
}

/// Looks for requests begin at the first one, since one that is committed late comes before later ones of its
/// job; so they cannot pass by what is gone, and come less often.
#[test]
fn promotions_beside_an_old_snapshot_seldom_step_over_requests_that_are_gone() {
    const GONE: u64 = 200_000;
    let site = Site::shared();
    let (snapshot, raw) = (site.raw(), site.raw());
    snapshot.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {schema}.requests");
    raw.run(&format!(
        "INSERT INTO {{schema}}.requests (id, verb) \
        SELECT gen_random_uuid(), 'cancel' FROM generate_series(1, {GONE}); DELETE FROM {{schema}}.requests"
    ));
    let mark = if site.url.contains('?') { '&' } else { '?' };
    let backend = site.open_at(&format!("{}{mark}application_name=gristmill%20{}", site.url, site.schema));
    for _ in 0..TIMES {
        block_on(backend.promote(Call::new(), 100)).expect("it is answered");
    }
    let id = site.put(&backend, 1)[0];
    raw.run(&format!("INSERT INTO {{schema}}.requests (id, verb) VALUES ('{id}', 'cancel')"));
    until("the request is applied all the same", || {
        block_on(backend.promote(Call::new(), 100)).expect("it is answered");
        raw.rows("requests") == 0
    });
    drop(backend);
    let read = entries_read(&site, "requests_open");
    snapshot.run("COMMIT");
    assert!(read < GONE * TIMES / 2, "{read} entries for {TIMES} promotions");
}

/// A renewal finds a claim whose fetch reply was lost, wherever its number lies.
#[test]
fn a_claim_that_the_worker_does_not_list_is_given_back_by_a_later_renewal() {
    let site = Site::shared();
    let backend = site.open();
    let worker = register(&backend);
    site.put(&backend, 6);
    let renew = |known: &[u64]| {
        let known = known.iter().copied().map(ClaimId).collect();
        block_on(backend.renew(Call::new(), RenewRequest::new(worker, known)))
            .expect("it is renewed")
            .given_back
    };
    fetch(&backend, worker, 5, 1);
    assert_eq!(renew(&[5]), []);
    fetch(&backend, worker, 3, 1);
    fetch(&backend, worker, 9, 1);
    assert_eq!(renew(&[5, 9]), [ClaimId(3)]);
    assert_eq!(renew(&[9]), [ClaimId(5)]);
    assert_eq!(renew(&[]), [ClaimId(9)]);
    assert_eq!(renew(&[]), []);
}
