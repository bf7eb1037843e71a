//! Numbers that cannot be, in the row of a parked job.

use gristmill_core::{Backend as _, Call, RegisterWorker, WorkerId};
use gristmill_testkit::block_on;

use super::site::Site;
use crate::fixture::{LEASE, complete, fetch, name, register};

#[test]
fn a_parked_job_with_the_largest_numbers_keeps_no_other_one_from_being_fetched() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let ids = site.put(&backend, 3);
    let without = WorkerId::random();
    let mut registration = RegisterWorker::new(without, "test", LEASE);
    registration.kinds = vec![name("other")];
    block_on(backend.register_worker(Call::new(), registration)).expect("a worker registers");
    assert_eq!(fetch(&backend, without, 1, 3), []);
    assert_eq!(raw.rows("waiting"), 3);
    let damage = |numbers: &str, place: usize| {
        let id = ids[place];
        raw.run(&format!(
            "UPDATE {{schema}}.waiting SET (run, attempt, crashes) = ({numbers}) WHERE id = '{id}'"
        ));
    };
    damage("2147483647, 2147483647, 32767", 0);
    damage("-7, -7, -7", 1);

    let granted = fetch(&backend, register(&backend), 1, 3);

    assert_eq!(granted.iter().map(|job| job.lease.job).collect::<Vec<_>>(), ids);
    complete(&backend, granted);
    assert_eq!(raw.rows("claims"), 0);
}
