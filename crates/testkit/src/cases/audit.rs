//! The search for jobs that are in no place.

use std::time::Duration;

use gristmill_core::JobState;

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "audit":
    audit_of_a_sound_store_repairs_nothing,
    audit_comes_to_its_end_page_by_page,
    audit_changes_nothing_of_a_sound_store,
}

/// Jobs in many states.
fn fill(t: &Fixture) -> Vec<gristmill_core::JobId> {
    let worker = t.worker();
    let mut ids = t.put_many(6);
    t.complete(&t.take(worker).lease);
    t.fail(&t.take(worker).lease, Duration::from_secs(60));
    t.take(worker);
    t.cancel(ids[5]);
    ids.extend([t.put(t.job().suspended()), t.put(t.job().due_in(Duration::from_secs(60)))]);
    ids
}

/// Audits the whole store in pages of this size, and gives how many jobs were repaired.
fn audit(t: &Fixture, limit: usize) -> usize {
    let (mut repaired, mut cursor) = (0, None);
    for _ in 0..100 {
        let reply = t.must(|backend, call| backend.audit(call, cursor, limit));
        repaired += reply.repaired.len();
        cursor = reply.next;
        if cursor.is_none() {
            return repaired;
        }
    }
    panic!("the audit never ends");
}

fn audit_of_a_sound_store_repairs_nothing(t: &Fixture) {
    fill(t);

    assert_eq!(audit(t, 1_000), 0);
}

fn audit_comes_to_its_end_page_by_page(t: &Fixture) {
    fill(t);

    for limit in 1..10 {
        assert_eq!(audit(t, limit), 0);
    }
}

fn audit_changes_nothing_of_a_sound_store(t: &Fixture) {
    let ids = fill(t);
    let before = t.find_all(&ids);

    audit(t, 3);

    assert_eq!(t.find_all(&ids), before);
    assert!(before.iter().flatten().any(|job| job.state == JobState::Running));
}
