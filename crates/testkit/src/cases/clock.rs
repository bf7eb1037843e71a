//! Clocks that jump: nothing is lost, nothing comes early by the store's clock, and tokens decide all the
//! same.

use std::time::Duration;

use gristmill_core::{
    BackendErrorKind, FetchRequest, FinishItem, Finished, IdSource, JobFilter, JobState, LostWhy, NewJob,
    QueueWant, RenewRequest, When, WorkerId,
};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "clock":
    clock_that_goes_back_loses_no_available_job,
    clock_that_goes_back_promotes_nothing_early,
    clock_that_goes_back_prunes_nothing_early,
    clock_that_goes_back_keeps_a_lease_that_is_renewed,
    clock_that_goes_back_still_finishes_what_runs,
    clock_that_goes_back_does_not_revive_a_worker_declared_dead,
    clock_that_goes_back_and_forth_rescues_once,
    clock_that_goes_forward_expires_leases_but_tokens_decide,
    clock_that_goes_forward_runs_each_waiting_job_once,
    clock_before_a_job_was_stored_shows_no_negative_times,
    clock_of_the_worker_judges_no_lease,
    clock_of_the_producer_delays_no_job,
    clock_of_the_store_counts_a_delay_from_when_it_is_stored,
}

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };

/// A job that was due once stays due: a clock that is set back must not hide what the store has promised to
/// run.
fn clock_that_goes_back_loses_no_available_job(t: &Fixture) {
    let enqueued = t.put(t.job());
    let promoted = t.put(t.job().due_in(MINUTE));
    t.advance(MINUTE);
    t.promote();

    t.go_back(HOUR);

    let worker = t.worker();
    let fetched: Vec<_> = t.fetch(worker, 5).into_iter().map(|job| job.lease).collect();
    assert_eq!(fetched.iter().map(|lease| lease.job).collect::<Vec<_>>(), [enqueued, promoted]);
    assert!(fetched.iter().all(|lease| t.complete(lease) == COMPLETED));
}

fn clock_that_goes_back_promotes_nothing_early(t: &Fixture) {
    let id = t.put(t.job().due_in(MINUTE));
    t.go_back(HOUR);
    assert_eq!((t.promote().done, t.state(id)), (0, JobState::Scheduled));

    t.advance(HOUR);
    assert_eq!((t.promote().done, t.state(id)), (0, JobState::Scheduled));

    t.advance(MINUTE);
    assert_eq!((t.promote().done, t.state(id)), (1, JobState::Available));
}

fn clock_that_goes_back_prunes_nothing_early(t: &Fixture) {
    let id = t.put(t.job().kept(MINUTE));
    t.cancel(id);
    t.go_back(HOUR);

    assert_eq!(t.prune().done, 0);

    t.advance(HOUR + MINUTE + Duration::from_millis(1));
    assert_eq!((t.prune().done, t.find(id)), (1, None));
}

fn clock_that_goes_back_keeps_a_lease_that_is_renewed(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.go_back(HOUR);

    for _ in 0..3 {
        assert_eq!(t.renew(worker, &[lease.claim]).expires_in, Fixture::LEASE);
        assert!(t.rescue().jobs.is_empty());
        t.advance_just_below(Fixture::LEASE);
    }

    assert_eq!((t.state(id), t.complete(&lease)), (JobState::Running, COMPLETED));
}

fn clock_that_goes_back_still_finishes_what_runs(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(3);
    let leases: Vec<_> = t.fetch(worker, 3).into_iter().map(|job| job.lease).collect();
    t.go_back(HOUR);

    assert_eq!(t.complete(&leases[0]), COMPLETED);
    assert_eq!(t.fail(&leases[1], MINUTE), Finished::Accepted { state: JobState::Retryable });
    assert_eq!(t.give_back(&leases[2]), Finished::Accepted { state: JobState::Available });

    assert_eq!(t.look(ids[0]).finished_at, Some(t.now()));
    assert_eq!(t.look(ids[1]).run_at, t.now() + MINUTE);
    assert_eq!(t.fetch(worker, 5).len(), 1, "what was given back may run again");
}

/// Half of a dead worker's claims were taken when the clock went back to where its lease still held. Were it
/// alive again, it would go on beside the others who have its jobs.
fn clock_that_goes_back_does_not_revive_a_worker_declared_dead(t: &Fixture) {
    let worker = t.worker();
    t.put_many(2);
    let leases = [t.take(worker).lease, t.take(worker).lease];
    t.advance(Fixture::LEASE + Duration::from_millis(1));
    let round = t.must(|backend, call| backend.rescue(call, 1));
    assert_eq!((round.jobs.len(), round.more), (1, true));
    t.go_back(HOUR);

    let renewal = RenewRequest::new(worker, leases.iter().map(|lease| lease.claim).collect());
    let renewed = t.ask(|backend, call| backend.renew(call, renewal)).err().map(|error| error.kind());
    let wish = FetchRequest::new(worker, t.next_claim(), vec![QueueWant::new(name(Fixture::QUEUE), 1)]);
    let fetched = t.try_fetch(wish).err().map(|error| error.kind());

    assert_eq!([renewed, fetched], [Some(BackendErrorKind::WorkerGone); 2]);
    assert_eq!(t.find_worker(worker), None);
    assert_eq!(t.rescue().jobs.len(), 1, "what is left of a dead worker is taken, whatever the clock says");
    assert_eq!(t.count(JobFilter::new().state(JobState::Available)), 2);
}

fn clock_that_goes_back_and_forth_rescues_once(t: &Fixture) {
    let id = t.put(t.job());
    let lease = t.take(t.worker()).lease;
    t.advance(HOUR);
    assert_eq!(t.rescue().jobs.len(), 1);
    t.go_back(HOUR);
    assert!(t.rescue().jobs.is_empty());
    t.advance(HOUR);

    assert!(t.rescue().jobs.is_empty());

    assert_eq!((t.look(id).crashes, t.runs(id).len()), (1, 1));
    assert_eq!(t.complete(&lease), Finished::LeaseLost { why: LostWhy::Rescued });
}

fn clock_that_goes_forward_expires_leases_but_tokens_decide(t: &Fixture) {
    let (quick, slow) = (t.worker(), t.worker());
    let ids = t.put_many(2);
    let (first, second) = (t.take(quick).lease, t.take(slow).lease);
    t.advance(HOUR);

    assert_eq!(t.complete(&first), COMPLETED);
    t.rescue();

    assert_eq!(t.complete(&second), Finished::LeaseLost { why: LostWhy::Rescued });
    assert_eq!((t.state(ids[0]), t.state(ids[1])), (JobState::Completed, JobState::Available));
}

fn clock_that_goes_forward_runs_each_waiting_job_once(t: &Fixture) {
    for minutes in 1..=9 {
        t.put(t.job().due_in(minutes * MINUTE));
    }
    t.advance(HOUR);
    t.promote();
    let worker = t.worker();
    let ends = t.fetch(worker, 20).into_iter().map(|job| FinishItem::complete(job.lease)).collect();
    assert_eq!(t.finish_all(ends), [COMPLETED; 9]);

    t.go_back(HOUR);
    t.promote();
    t.advance(2 * HOUR);

    assert_eq!(t.promote().done, 0);
    assert_eq!(t.count(JobFilter::new().state(JobState::Completed)), 9);
}

fn clock_before_a_job_was_stored_shows_no_negative_times(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let created_at = t.now();
    t.go_back(HOUR);

    assert_eq!(t.queue_stats(Fixture::QUEUE).oldest_available, Some(Duration::ZERO));
    let lease = t.take(worker).lease;
    t.complete(&lease);

    let job = t.look(id);
    assert_eq!(
        (job.created_at, job.attempted_at, job.finished_at),
        (created_at, Some(t.now()), Some(t.now()))
    );
}

/// A worker's own clock is a word in the history, nothing more.
fn clock_of_the_worker_judges_no_lease(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(2);
    let leases: Vec<_> = t.fetch(worker, 2).into_iter().map(|job| job.lease).collect();
    let skewed = [t.now() + HOUR, t.now() - HOUR];

    for (lease, started_at) in leases.into_iter().zip(skewed) {
        let mut end = FinishItem::new(
            lease,
            gristmill_core::Decision::RetryAfter(MINUTE),
            gristmill_core::Ending::Failed,
        );
        end.started_at = Some(started_at);
        assert_eq!(t.finish(end), Finished::Accepted { state: JobState::Retryable });
    }

    for (id, started_at) in ids.into_iter().zip(skewed) {
        let (job, run) = (t.look(id), t.runs(id).remove(0));
        assert_eq!((job.run_at, run.finished_at), (t.now() + MINUTE, t.now()));
        assert_eq!(run.started_at, Some(started_at));
    }
}

/// A job of this producer's clock.
fn made_at(t: &Fixture, ids: &IdSource, skewed: gristmill_core::Timestamp) -> NewJob {
    let mut job = t.job();
    job.id = ids.next(skewed);
    job
}

/// Ids carry their maker's clock; due times are the store's.
fn clock_of_the_producer_delays_no_job(t: &Fixture) {
    let (fast, slow) = (IdSource::new(), IdSource::new());
    let first = t.put(made_at(t, &fast, t.now() + HOUR));
    let later = made_at(t, &slow, t.now() - HOUR).when(When::After(MINUTE));
    let waiting = t.put(later);
    t.advance(Duration::from_millis(1));
    let second = t.put(made_at(t, &slow, t.now() - HOUR));
    t.promote();

    let worker = WorkerId::random();
    t.register(t.registration(worker));
    let fetched: Vec<_> = t.fetch(worker, 5).iter().map(|job| job.lease.job).collect();

    assert_eq!(fetched, [first, second], "the store's clock gives the order");
    assert_eq!(t.state(waiting), JobState::Scheduled);
}

fn clock_of_the_store_counts_a_delay_from_when_it_is_stored(t: &Fixture) {
    let job = t.job().due_in(MINUTE);
    t.advance(HOUR);

    let id = t.put(job);

    assert_eq!((t.state(id), t.look(id).run_at), (JobState::Scheduled, t.now() + MINUTE));
}
