//! Ids that are used again: a job was erased, and a job with its id was stored while an older claim is still
//! there.
//!
//! Each case goes through every way in which a job is erased. Nothing that comes from the older claim touches
//! the new job.

use std::time::Duration;

use gristmill_core::{
    ClaimId, Decision, Ending, FetchedJob, FinishItem, Finished, JobFilter, JobId, JobState, Lease, NewJob,
    RecordRequest, Recorded, Verdict, WorkerId,
};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "again":
    a_rescue_leaves_a_job_that_runs_again,
    a_rescue_leaves_a_job_that_is_available_again,
    a_claim_that_is_given_back_leaves_a_job_that_was_stored_later,
    a_worker_that_retires_leaves_a_job_that_was_stored_later,
    a_repeated_fetch_gives_no_job_that_was_stored_later,
    an_old_lease_ends_no_job_that_was_stored_later,
    an_old_lease_records_nothing_of_a_job_that_was_stored_later,
    a_cancel_reaches_the_worker_that_runs_the_job_now,
    the_neighbours_of_an_erased_job_end_as_usual,
}

const SECOND: Duration = Duration::from_secs(1);

/// Erases a job that a claim lists.
type Erase = fn(&Fixture, &Lease, queue: &str);

/// How jobs are erased, and with which retention.
const WAYS: &[(&str, Duration, Erase)] = &[
    ("completed with a retention of zero", Duration::ZERO, |t, lease, _| {
        t.complete(lease);
    }),
    ("discarded with a retention of zero", Duration::ZERO, |t, lease, _| {
        t.finish(FinishItem::new(lease.clone(), Decision::Discard, Ending::Failed));
    }),
    ("completed by a later run with a retention of zero", Duration::ZERO, |t, lease, queue| {
        t.give_back(lease);
        t.complete(&take(t, queue).lease);
    }),
    ("cancelled by hand with a retention of zero", Duration::ZERO, |t, lease, _| {
        t.give_back(lease);
        t.cancel(lease.job);
    }),
    ("deleted after it completed", SECOND, |t, lease, _| {
        t.complete(lease);
        t.delete(lease.job);
    }),
    ("deleted while it waited", SECOND, |t, lease, _| {
        t.fail(lease, SECOND);
        t.delete(lease.job);
    }),
    ("pruned after it completed", SECOND, |t, lease, _| {
        t.complete(lease);
        t.advance(SECOND);
        t.prune();
    }),
    ("pruned after it was cancelled", SECOND, |t, lease, _| {
        t.fail(lease, SECOND);
        t.cancel(lease.job);
        t.advance(SECOND);
        t.prune();
    }),
];

/// A claim of two jobs, one of which was erased and stored again.
struct Again {
    way: &'static str,
    queue: String,
    worker: WorkerId,
    claim: ClaimId,
    /// The job that was erased and stored again.
    job: NewJob,
    /// Its lease before it was erased.
    old: Lease,
    /// The lease of the other job of the claim, whose run has not ended.
    neighbour: Lease,
}

/// Runs a case once for each way to erase a job.
fn each_way(t: &Fixture, case: impl Fn(&Again)) {
    for (place, (way, retention, erase)) in WAYS.iter().enumerate() {
        let queue = format!("line-{place}");
        let job = t.job().queue(&queue).kept(*retention);
        t.enqueue(vec![job.clone(), t.job().queue(&queue)]);
        let (worker, claim) = (t.worker(), t.next_claim());
        let fetched = t.fetch_claim(worker, claim, &queue, 2).jobs;
        let lease_of = |is_wanted: &dyn Fn(&Lease) -> bool| {
            let found = fetched.iter().map(|job| &job.lease).find(|lease| is_wanted(lease));
            found.cloned().unwrap_or_else(|| panic!("{way}: the claim has both jobs"))
        };
        let (old, neighbour) =
            (lease_of(&|lease| lease.job == job.id), lease_of(&|lease| lease.job != job.id));
        erase(t, &old, &queue);
        assert_eq!(t.find(job.id), None, "{way}");
        t.put(job.clone());
        case(&Again { way, queue, worker, claim, job, old, neighbour });
        assert!(t.must(|backend, call| backend.audit(call, None, 1_000)).repaired.is_empty(), "{way}");
    }
}

fn take(t: &Fixture, queue: &str) -> FetchedJob {
    let mut jobs = t.fetch_from(t.worker(), queue, 1);
    assert_eq!(jobs.len(), 1, "the queue must have an available job");
    jobs.remove(0)
}

impl Again {
    /// Checks that the new job is available, has never run, and runs to its end.
    fn assert_is_new(&self, t: &Fixture) {
        let Self { way, .. } = self;
        let job = t.look(self.job.id);
        assert_eq!((job.state, job.attempt, job.run), (JobState::Available, 0, 0), "{way}");
        assert!(t.runs(self.job.id).is_empty(), "{way}");
        let running = t.count(JobFilter::new().queue(name(&self.queue)).state(JobState::Running));
        let fetched = t.fetch_from(t.worker(), &self.queue, 5);
        let again = fetched.iter().find(|fetched| fetched.lease.job == self.job.id);
        let again = again.unwrap_or_else(|| panic!("{way}: the new job is available"));
        assert_eq!((again.lease.run, again.attempt), (1, 1), "{way}");
        let now_running = t.count(JobFilter::new().queue(name(&self.queue)).state(JobState::Running));
        assert_eq!(now_running, running + fetched.len() as u64, "{way}");
        for job in &fetched {
            let state = JobState::Completed;
            assert_eq!(t.complete(&job.lease), Finished::Accepted { state }, "{way}");
        }
    }
}

fn a_rescue_leaves_a_job_that_runs_again(t: &Fixture) {
    each_way(t, |again| {
        let Again { way, queue, job, neighbour, .. } = again;
        t.advance(Fixture::LEASE / 2);
        let now = take(t, queue);
        assert_eq!((now.lease.job, now.lease.run), (job.id, 1), "{way}");
        t.advance(Fixture::LEASE / 2);

        let rescued: Vec<_> = t.rescue().jobs.iter().map(|job| job.id).collect();

        assert_eq!(rescued, [neighbour.job], "{way}");
        assert_eq!(t.state(job.id), JobState::Running, "{way}");
        let state = JobState::Completed;
        assert_eq!(t.complete(&now.lease), Finished::Accepted { state }, "{way}");
    });
}

fn a_rescue_leaves_a_job_that_is_available_again(t: &Fixture) {
    each_way(t, |again| {
        t.advance(Fixture::LEASE);

        let rescued: Vec<_> = t.rescue().jobs.iter().map(|job| job.id).collect();

        assert_eq!(rescued, [again.neighbour.job], "{}", again.way);
        again.assert_is_new(t);
    });
}

fn a_claim_that_is_given_back_leaves_a_job_that_was_stored_later(t: &Fixture) {
    each_way(t, |again| {
        let reply = t.renew(again.worker, &[]);

        assert_eq!(reply.given_back, [again.claim], "{}", again.way);
        assert_eq!(t.state(again.neighbour.job), JobState::Available, "{}", again.way);
        again.assert_is_new(t);
    });
}

fn a_worker_that_retires_leaves_a_job_that_was_stored_later(t: &Fixture) {
    each_way(t, |again| {
        t.retire(again.worker);

        assert_eq!(t.state(again.neighbour.job), JobState::Available, "{}", again.way);
        again.assert_is_new(t);
    });
}

fn a_repeated_fetch_gives_no_job_that_was_stored_later(t: &Fixture) {
    let repeat = |again: &Again| -> Vec<JobId> {
        let jobs = t.fetch_claim(again.worker, again.claim, &again.queue, 2).jobs;
        jobs.iter().map(|job| job.lease.job).collect()
    };
    each_way(t, |again| {
        assert_eq!(repeat(again), [again.neighbour.job], "{}", again.way);

        let now = take(t, &again.queue);

        assert_eq!((now.lease.job, now.lease.run), (again.job.id, 1), "{}", again.way);
        assert_eq!(repeat(again), [again.neighbour.job], "{}", again.way);
        assert_eq!(
            t.complete(&now.lease),
            Finished::Accepted { state: JobState::Completed },
            "{}",
            again.way
        );
    });
}

fn an_old_lease_ends_no_job_that_was_stored_later(t: &Fixture) {
    each_way(t, |again| {
        let Again { way, old, neighbour, .. } = again;
        let ends = [
            FinishItem::complete(old.clone()),
            FinishItem::give_back(old.clone(), Duration::ZERO),
            FinishItem::new(old.clone(), Decision::Discard, Ending::Failed),
        ];

        for end in ends {
            let answer = t.finish(end);
            assert!(matches!(answer, Finished::LeaseLost { .. }), "{way}: {answer:?}");
        }
        let both =
            t.finish_all(vec![FinishItem::complete(old.clone()), FinishItem::complete(neighbour.clone())]);

        assert!(matches!(both[0], Finished::LeaseLost { .. }), "{way}: {both:?}");
        assert_eq!(both[1], Finished::Accepted { state: JobState::Completed }, "{way}");
        again.assert_is_new(t);
    });
}

fn an_old_lease_records_nothing_of_a_job_that_was_stored_later(t: &Fixture) {
    each_way(t, |again| {
        let mut record = RecordRequest::new(again.old.clone());
        record.progress = Some(50);
        record.checkpoint = Some(b"half".as_slice().into());

        assert_eq!(t.record(record), Recorded::LeaseLost, "{}", again.way);

        let left = t.must(|backend, call| backend.checkpoint(call, again.job.id));
        assert_eq!(left, None, "{}", again.way);
        again.assert_is_new(t);
    });
}

fn a_cancel_reaches_the_worker_that_runs_the_job_now(t: &Fixture) {
    each_way(t, |again| {
        let Again { way, job, .. } = again;
        let worker = t.worker();
        let now = t.fetch_from(worker, &again.queue, 1).remove(0).lease;
        assert_eq!(t.cancel(job.id), Verdict::Requested, "{way}");

        assert!(t.renew(again.worker, &[again.claim]).cancels.is_empty(), "{way}");
        assert_eq!(t.renew(worker, &[now.claim]).cancels, [(job.id, 1)], "{way}");
        assert_eq!(t.complete(&now), Finished::Accepted { state: JobState::Cancelled }, "{way}");
    });
}

fn the_neighbours_of_an_erased_job_end_as_usual(t: &Fixture) {
    each_way(t, |again| {
        let state = JobState::Completed;
        assert_eq!(t.complete(&again.neighbour), Finished::Accepted { state }, "{}", again.way);

        assert_eq!(t.complete(&again.neighbour), Finished::AlreadyAccepted, "{}", again.way);
        assert!(t.renew(again.worker, &[]).given_back.is_empty(), "{}", again.way);
        again.assert_is_new(t);
    });
}
