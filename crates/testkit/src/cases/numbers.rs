//! Stored numbers that cannot be: each counts as the nearest that can, or is shown as what it is.

use std::time::Duration;

use gristmill_core::{FinishItem, Finished, JobPatch, JobState, Order, Priority, Verdict};

use super::undecodable::{any, audit};
use crate::case::cases;
use crate::fixture::act::ALL;
use crate::{Damage, Fixture};

cases! { "undecodable":
    numbers_that_cannot_be_stop_nothing,
    a_priority_that_cannot_be_is_shown_and_can_be_mended,
}

const SECOND: Duration = Duration::from_secs(1);

fn numbers_that_cannot_be_stop_nothing(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    for damage in [Damage::MaxAttempts, Damage::Run, Damage::Counts] {
        let ids = t.put_many(3);
        t.damage(&damage(ids[1]));
        t.look(ids[1]);
        assert_eq!(t.list(&any(), Order::OldestFirst, ALL).len(), 3);
        let worker = t.worker();
        let granted = t.fetch(worker, 3);
        let good: Vec<_> = granted.iter().filter(|job| job.lease.job != ids[1]).collect();
        assert_eq!(good.iter().map(|job| job.lease.job).collect::<Vec<_>>(), [ids[0], ids[2]]);
        t.look(ids[1]);
        for job in &granted {
            assert!(matches!(t.fail(&job.lease, SECOND), Finished::Accepted { .. }), "{job:?}");
        }
        t.advance(SECOND);
        t.promote();
        for job in t.fetch(worker, 3) {
            assert_eq!(t.complete(&job.lease), Finished::Accepted { state: JobState::Completed });
        }
        t.assert_states(&[ids[0], ids[2]], JobState::Completed);
        assert!(t.state(ids[1]).is_terminal());
        t.everywhere(&any(), ALL, |t, request| t.must(|b, call| b.delete(call, request)));
        t.retire(worker);
    }
}

fn a_priority_that_cannot_be_is_shown_and_can_be_mended(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(4);
    t.damage(&Damage::Priority(ids[0]));
    t.damage(&Damage::Priority(ids[1]));

    let job = t.look(ids[0]);
    assert_eq!((job.state, job.undecodable.as_deref()), (JobState::Available, Some("priority `99`")));
    assert_eq!(job.spec.priority, Priority::LAST);
    assert_eq!(t.list(&any(), Order::OldestFirst, ALL), ids);
    assert_eq!(t.count(any().state(JobState::Available)), 4);
    audit(t);
    assert_eq!(t.cancel(ids[1]), Verdict::Done);
    let worker = t.worker();
    let granted = t.fetch(worker, 9);
    assert!(ids[2..].iter().all(|id| granted.iter().any(|job| job.lease.job == *id)), "{granted:?}");
    assert!(
        granted.iter().all(|job| ids[2..].contains(&job.lease.job) || job.spec.priority == Priority::LAST)
    );
    t.finish_all(granted.into_iter().map(|job| FinishItem::complete(job.lease)).collect());
    // Where no fetch meets it, it waits for an operator.
    if !t.state(ids[0]).is_terminal() {
        let mut patch = JobPatch::default();
        patch.priority = Some(Priority::default());
        assert_eq!(t.update(ids[0], patch), Verdict::Done);
        assert_eq!(t.complete(&t.take(worker).lease), Finished::Accepted { state: JobState::Completed });
    }
    t.assert_states(&[ids[0], ids[2], ids[3]], JobState::Completed);
    audit(t);
}
