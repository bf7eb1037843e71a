//! A job that keeps coming back: it leaves bounded traces, and nothing takes a run whose record is gone for
//! an open one.

use std::time::Duration;

use gristmill_core::{
    Decision, Ending, FinishItem, Finished, JobFilter, JobId, JobState, Lease, RecordRequest, RunRecord,
    WorkerId,
};

use crate::Fixture;
use crate::case::cases;

cases! { "often":
    a_job_that_has_run_often_keeps_its_first_and_its_newest_runs,
    a_run_that_a_claim_lists_never_counts_as_open_again,
}

/// The most runs that a store keeps beside those that claims list: old ones may go once in so many runs.
const MOST: usize = (RunRecord::FIRST_KEPT + RunRecord::NEWEST_KEPT) as usize + 64;

/// Lets the only available job run until its latest run has this number; the last lease.
fn run_until(t: &Fixture, worker: WorkerId, latest: u32) -> Lease {
    loop {
        let lease = t.take(worker).lease;
        if lease.run.is_multiple_of(2) {
            t.give_back(&lease);
        } else {
            t.finish(FinishItem::new(lease.clone(), Decision::SnoozeAfter(Duration::ZERO), Ending::Snoozed));
        }
        if lease.run >= latest {
            return lease;
        }
    }
}

fn runs(t: &Fixture, id: JobId) -> Vec<u32> {
    t.runs(id).iter().map(|run| run.run).collect()
}

/// Some are kept: the first ones, the newest, and few of those between.
fn assert_is_bounded(t: &Fixture, id: JobId, latest: u32) {
    let runs = runs(t, id);
    assert!(runs.len() <= MOST, "{} runs of {latest} are kept", runs.len());
    let first = (1..=RunRecord::FIRST_KEPT).collect::<Vec<_>>();
    assert!(runs.starts_with(&first), "{runs:?}");
    let newest = (latest + 1 - RunRecord::NEWEST_KEPT..=latest).collect::<Vec<_>>();
    assert!(runs.ends_with(&newest), "{runs:?}");
}

fn a_job_that_has_run_often_keeps_its_first_and_its_newest_runs(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    run_until(t, worker, 19);
    let old = t.take(worker).lease;
    let mut record = RecordRequest::new(old.clone());
    record.checkpoint = Some(b"half".as_slice().into());
    t.record(record);
    t.give_back(&old);
    run_until(t, worker, 191);
    // A run that completes is an end as any other.
    t.complete(&t.take(worker).lease);

    assert_eq!((t.state(id), t.look(id).run), (JobState::Completed, 192));
    assert_is_bounded(t, id, 192);
    assert!(!runs(t, id).contains(&old.run));
    let left = t.must(|backend, call| backend.checkpoint(call, id));
    assert_eq!(left.as_deref(), Some(b"half".as_slice()), "the latest checkpoint");

    t.retry(id);
    run_until(t, worker, 200);
    let (job, kept) = (t.look(id), t.runs(id));
    assert_is_bounded(t, id, 200);
    for end in [FinishItem::complete(old.clone()), FinishItem::give_back(old.clone(), Duration::ZERO)] {
        assert!(matches!(t.finish(end), Finished::LeaseLost { .. }));
    }
    assert_eq!((t.look(id), t.runs(id)), (job, kept));
    let last = t.take(worker).lease;
    assert!(matches!(t.complete(&old), Finished::LeaseLost { .. }));
    assert_eq!(t.complete(&last), Finished::Accepted { state: JobState::Completed });
    assert!(t.must(|backend, call| backend.audit(call, None, 1_000)).repaired.is_empty());
}

/// A claim of an old run, held open by another job.
struct OldClaim {
    worker: WorkerId,
    old: Lease,
    neighbour: Lease,
}

impl OldClaim {
    /// Fetches the job together with another one, and ends the job's run alone.
    fn new(t: &Fixture, id: JobId) -> Self {
        let (worker, other) = (t.worker(), t.put(t.job()));
        let jobs = t.fetch_claim(worker, t.next_claim(), Fixture::QUEUE, 2).jobs;
        let lease_of =
            |id: JobId| jobs.iter().find(|job| job.lease.job == id).expect("it is leased").lease.clone();
        let (old, neighbour) = (lease_of(id), lease_of(other));
        t.give_back(&old);
        Self { worker, old, neighbour }
    }
}

fn a_run_that_a_claim_lists_never_counts_as_open_again(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    run_until(t, worker, 19);
    let claims: Vec<OldClaim> = (0..4).map(|_| OldClaim::new(t, id)).collect();
    run_until(t, worker, 200);
    let (job, running) = (t.look(id), JobFilter::new().state(JobState::Running));
    let is_untouched = |what: &str| {
        assert_eq!(
            (t.state(id), t.look(id).run, t.look(id).run_at),
            (job.state, job.run, job.run_at),
            "{what}"
        );
    };
    for OldClaim { worker, old, neighbour } in &claims {
        let again = t.fetch_claim(*worker, old.claim, Fixture::QUEUE, 2).jobs;
        assert_eq!(again.iter().map(|job| job.lease.job).collect::<Vec<_>>(), [neighbour.job]);
        assert!(matches!(t.complete(old), Finished::LeaseLost { .. } | Finished::AlreadyAccepted));
    }
    assert_eq!(t.count(running.clone()), 4);
    is_untouched("after a repeat");

    let [completed, renewed, retired, crashed] = &claims[..] else { panic!("four claims") };
    assert_eq!(t.complete(&completed.neighbour), Finished::Accepted { state: JobState::Completed });
    is_untouched("after its neighbour has ended");
    assert_eq!(t.renew(renewed.worker, &[]).given_back, [renewed.old.claim]);
    is_untouched("after a claim was given back");
    t.retire(retired.worker);
    is_untouched("after a worker has retired");
    t.advance(Fixture::LEASE);
    let rescued: Vec<JobId> = t.rescue().jobs.iter().map(|job| job.id).collect();
    assert_eq!(rescued, [crashed.neighbour.job]);
    is_untouched("after a rescue");
    assert!(t.must(|backend, call| backend.audit(call, None, 1_000)).repaired.is_empty());
    assert_eq!(t.count(running), 0);
    for claim in [renewed, retired, crashed] {
        t.cancel(claim.neighbour.job);
    }

    // No claim lists them any more.
    let worker = t.worker();
    run_until(t, worker, 256);
    assert_is_bounded(t, id, 256);
    for OldClaim { old, .. } in &claims {
        assert!(!runs(t, id).contains(&old.run));
        assert!(matches!(t.complete(old), Finished::LeaseLost { .. }));
    }
    assert_eq!((t.state(id), t.look(id).run), (JobState::Available, 256));
}
