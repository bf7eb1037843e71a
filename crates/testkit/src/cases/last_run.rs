//! The last run that a store can number.

use std::time::Duration;

use gristmill_core::{Decision, Ending, FetchedJob, FinishItem, Finished, JobState, WorkerId};

use crate::case::cases;
use crate::{Damage, Fixture};

cases! { "often":
    a_last_run_that_its_handler_ends_keeps_the_handlers_reason,
    a_last_run_that_would_come_back_runs_again_or_says_why_not,
}

const LATER: Duration = Duration::from_secs(1);

/// Fetches a fresh job whose run is the last one.
fn take_last(t: &Fixture, worker: WorkerId) -> FetchedJob {
    let id = t.put(t.job());
    t.damage(&Damage::LastRun(id));
    t.take(worker)
}

fn a_last_run_that_its_handler_ends_keeps_the_handlers_reason(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let worker = t.worker();
    for (decision, ending, state) in [
        (Decision::Discard, Ending::Discarded, JobState::Discarded),
        (Decision::Discard, Ending::Undecodable, JobState::Discarded),
        (Decision::Cancel, Ending::Cancelled, JobState::Cancelled),
        (Decision::Complete, Ending::Completed, JobState::Completed),
    ] {
        let lease = take_last(t, worker).lease;
        let id = lease.job;
        let mut item = FinishItem::new(lease, decision, ending);
        item.reason = Some("its own".to_owned());

        assert_eq!(t.finish(item), Finished::Accepted { state });

        let latest = t.runs(id).pop().expect("the run is recorded");
        let reasons = (t.look(id).reason, latest.reason);
        assert_eq!(reasons, (Some("its own".to_owned()), Some("its own".to_owned())), "{decision:?}");
    }
}

fn a_last_run_that_would_come_back_runs_again_or_says_why_not(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let worker = t.worker();
    for (decision, ending) in [
        (Decision::RetryAfter(LATER), Ending::Failed),
        (Decision::SnoozeAfter(LATER), Ending::Snoozed),
        (Decision::GiveBackAfter(Duration::ZERO), Ending::Released),
        (Decision::GiveBackAfter(Duration::ZERO), Ending::UnknownKind),
    ] {
        let lease = take_last(t, worker).lease;
        let id = lease.job;
        let mut item = FinishItem::new(lease, decision, ending);
        item.reason = Some("its own".to_owned());

        t.finish(item);

        let job = t.look(id);
        if job.state == JobState::Discarded {
            assert_eq!(job.reason.as_deref(), Some("no further run fits the store"), "{decision:?}");
            assert_eq!(t.runs(id).pop().expect("the run is recorded").state, JobState::Discarded);
        } else {
            t.advance(LATER);
            t.promote();
            assert_eq!(t.take(worker).lease.job, id, "{decision:?}");
        }
    }
}
