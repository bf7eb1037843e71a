//! What becomes of the jobs of a worker that died.

use std::time::Duration;

use gristmill_core::{
    DISCARD_AFTER_CRASHES, Ending, Finished, JobId, JobState, LostWhy, RetryPolicy, RunError,
};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "rescue":
    rescue_puts_back_the_jobs_of_a_dead_worker_at_once,
    rescue_counts_the_crash_as_an_attempt,
    rescue_leaves_the_jobs_of_living_workers_alone,
    rescue_of_nothing_does_nothing,
    rescue_twice_does_it_once,
    rescue_keeps_the_jobs_place_in_the_line,
    rescue_records_the_run_as_crashed,
    rescue_names_queue_and_state_of_each_job,
    rescue_forgets_the_dead_worker,
    rescue_on_the_last_attempt_discards,
    rescue_backs_off_from_the_second_crash_on,
    rescue_discards_after_crashes_in_a_row,
    rescue_counts_only_crashes_in_a_row,
    rescue_bounds_a_crash_loop_by_max_attempts,
    rescue_leaves_finished_jobs_of_a_dead_worker_alone,
    rescue_puts_back_only_what_was_not_finished,
    rescue_leaves_out_jobs_that_are_gone,
    rescue_by_two_redelivers_once,
    rescue_leaves_the_next_lease_alone,
    rescue_does_its_work_in_bounded_rounds,
    rescue_says_when_the_next_lease_ends,
    rescue_survives_reopening needs Durable,
    rescue_reaches_jobs_that_were_running_before_reopening needs Durable,
}

const MOMENT: Duration = Duration::from_millis(1);

fn rescue_puts_back_the_jobs_of_a_dead_worker_at_once(t: &Fixture) {
    let mut ids = t.put_many(3);
    t.fetch(t.worker(), 3);

    let reply = t.crash();

    let mut rescued: Vec<_> = reply.jobs.iter().map(|job| job.id).collect();
    rescued.sort();
    ids.sort();
    assert_eq!((&rescued, reply.more), (&ids, false));
    t.assert_states(&ids, JobState::Available);
    assert_eq!(t.fetch(t.worker(), 5).len(), 3);
}

fn rescue_counts_the_crash_as_an_attempt(t: &Fixture) {
    let id = t.put(t.job());
    t.take(t.worker());
    t.crash();

    let job = t.look(id);
    assert_eq!((job.attempt, job.crashes), (1, 1));
    let again = t.take(t.worker());
    assert_eq!((again.attempt, again.crashes, again.lease.run), (2, 1, 2));
}

fn rescue_leaves_the_jobs_of_living_workers_alone(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.advance_just_below(Fixture::LEASE);
    assert!(t.rescue().jobs.is_empty());

    t.renew(worker, &[lease.claim]);
    assert!(t.crash_others().is_empty());

    assert_eq!(t.state(id), JobState::Running);
}

fn rescue_of_nothing_does_nothing(t: &Fixture) {
    let reply = t.rescue();

    assert_eq!((reply.jobs.len(), reply.more, reply.next_due), (0, false, None));
}

fn rescue_twice_does_it_once(t: &Fixture) {
    let id = t.put(t.job());
    t.take(t.worker());
    t.crash();

    assert!(t.rescue().jobs.is_empty());

    assert_eq!((t.look(id).attempt, t.runs(id).len()), (1, 1));
}

fn rescue_keeps_the_jobs_place_in_the_line(t: &Fixture) {
    let first = t.put(t.job());
    t.take(t.worker());
    t.advance(Duration::from_secs(1));
    t.put(t.job());

    t.crash();

    assert_eq!(t.take(t.worker()).lease.job, first);
}

fn rescue_records_the_run_as_crashed(t: &Fixture) {
    let id = t.put(t.job());
    let worker = t.worker();
    t.take(worker);
    t.crash();

    let run = t.runs(id).remove(0);
    assert_eq!((run.run, run.attempt, run.ending), (1, 1, Ending::Crashed));
    assert_eq!((run.state, run.worker, run.finished_at), (JobState::Available, worker, t.now()));
    let errors: Vec<_> = t.look(id).errors.iter().map(|error| error.ending).collect();
    assert_eq!(errors, [Ending::Crashed]);
}

fn rescue_names_queue_and_state_of_each_job(t: &Fixture) {
    let id = t.put(t.job().queue("mail").attempts(1));
    t.fetch_from(t.worker(), "mail", 1);

    let rescued = t.crash().jobs.remove(0);

    assert_eq!((rescued.id, rescued.queue.as_str(), rescued.state), (id, "mail", JobState::Discarded));
}

fn rescue_forgets_the_dead_worker(t: &Fixture) {
    let idle = t.worker();
    let busy = t.worker();
    t.put(t.job());
    t.take(busy);

    t.crash();

    assert_eq!((t.find_worker(idle), t.find_worker(busy)), (None, None));
}

fn rescue_on_the_last_attempt_discards(t: &Fixture) {
    let id = t.put(t.job().attempts(1));
    t.take(t.worker());
    t.crash();

    let job = t.look(id);
    assert_eq!((job.state, job.finished_at), (JobState::Discarded, Some(t.now())));
    assert_eq!(job.reason.as_deref(), Some("exhausted"));
}

/// Crashes a job's next run.
fn crash_once(t: &Fixture) {
    t.take(t.worker());
    t.crash();
}

/// Brings a job back whatever it waits for.
fn bring_back(t: &Fixture) {
    t.advance(Duration::from_secs(24 * 3600));
    t.promote();
}

/// Jobs that ran beside the one that kills its process crash with it: from the second time on they part by
/// chance.
fn rescue_backs_off_from_the_second_crash_on(t: &Fixture) {
    let delay = Duration::from_secs(100);
    let id = t.put(t.job().retried(RetryPolicy::fixed(delay)));
    crash_once(t);
    crash_once(t);

    let job = t.look(id);
    assert_eq!((job.state, job.crashes), (JobState::Retryable, 2));
    assert!(job.run_at >= t.now() && job.run_at <= t.now() + delay, "{:?}", job.run_at);
}

fn rescue_discards_after_crashes_in_a_row(t: &Fixture) {
    let id = t.put(t.job());
    for _ in 1..DISCARD_AFTER_CRASHES {
        crash_once(t);
        bring_back(t);
    }
    assert_eq!(t.state(id), JobState::Available);

    crash_once(t);

    let job = t.look(id);
    assert_eq!((job.state, job.reason.as_deref()), (JobState::Discarded, Some("poison")));
}

fn rescue_counts_only_crashes_in_a_row(t: &Fixture) {
    let id = t.put(t.job());
    for _ in 0..2 {
        for _ in 1..DISCARD_AFTER_CRASHES {
            crash_once(t);
            bring_back(t);
        }
        t.fail(&t.take(t.worker()).lease, Duration::ZERO);
        bring_back(t);
        assert_eq!(t.look(id).crashes, 0);
    }

    assert_eq!(t.state(id), JobState::Available);
}

/// One source design counted attempts at the failure: a job that killed its process was redelivered for ever.
fn rescue_bounds_a_crash_loop_by_max_attempts(t: &Fixture) {
    let id = t.put(t.job().attempts(3));
    let mut runs = 0;
    while t.state(id) != JobState::Discarded {
        crash_once(t);
        runs += 1;
        bring_back(t);
    }

    assert_eq!(runs, 3);
}

fn rescue_leaves_finished_jobs_of_a_dead_worker_alone(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(2);
    let leases: Vec<_> = t.fetch(worker, 2).into_iter().map(|job| job.lease).collect();
    t.complete(&leases[0]);
    t.fail(&leases[1], Duration::from_secs(3_600));
    let before = t.find_all(&ids);

    assert!(t.crash().jobs.is_empty());

    assert_eq!(t.find_all(&ids), before);
}

fn rescue_puts_back_only_what_was_not_finished(t: &Fixture) {
    let ids = t.put_many(3);
    let leases: Vec<_> = t.fetch(t.worker(), 3).into_iter().map(|job| job.lease).collect();
    t.complete(&leases[1]);

    t.crash();

    let states: Vec<_> = ids.iter().map(|id| t.state(*id)).collect();
    assert_eq!(states, [JobState::Available, JobState::Completed, JobState::Available]);
}

fn rescue_leaves_out_jobs_that_are_gone(t: &Fixture) {
    let ids = [t.put(t.job().kept(Duration::ZERO)), t.put(t.job()), t.put(t.job().kept(Duration::ZERO))];
    let leases: Vec<_> = t.fetch(t.worker(), 3).into_iter().map(|job| job.lease).collect();
    t.complete(&leases[0]);
    assert!(t.find(ids[0]).is_none());

    let rescued: Vec<_> = t.crash().jobs.iter().map(|job| job.id).collect();

    assert_eq!((rescued.len(), rescued.contains(&ids[0])), (2, false));
    assert!(t.find(ids[0]).is_none());
    t.assert_states(&ids[1..], JobState::Available);
}

fn rescue_by_two_redelivers_once(t: &Fixture) {
    let id = t.put(t.job());
    t.take(t.worker());
    t.crash();
    let fresh = t.take(t.worker()).lease;

    t.rescue();

    assert_eq!(t.state(id), JobState::Running);
    assert_eq!(t.complete(&fresh), Finished::Accepted { state: JobState::Completed });
}

fn rescue_leaves_the_next_lease_alone(t: &Fixture) {
    let id = t.put(t.job());
    let dead = t.take(t.worker()).lease;
    t.crash();
    t.take(t.worker());

    assert_eq!(t.complete(&dead), Finished::LeaseLost { why: LostWhy::Rescued });
    assert!(t.rescue().jobs.is_empty());

    assert_eq!((t.state(id), t.look(id).attempt), (JobState::Running, 2));
}

fn rescue_does_its_work_in_bounded_rounds(t: &Fixture) {
    let mut ids = t.put_many(30);
    let worker = t.worker();
    for _ in 0..10 {
        t.fetch(worker, 3);
    }
    t.advance(Fixture::LEASE + MOMENT);

    let mut rescued: Vec<JobId> = Vec::new();
    let mut rounds = 0;
    loop {
        let reply = t.must(|backend, call| backend.rescue(call, 6));
        // A claim is taken back whole, so a round may be a claim over.
        assert!(reply.jobs.len() <= 9, "{} jobs in a round of 6", reply.jobs.len());
        rescued.extend(reply.jobs.iter().map(|job| job.id));
        rounds += 1;
        if !reply.more {
            break;
        }
        assert!(rounds < 100, "the rescue never ends");
    }

    rescued.sort();
    ids.sort();
    assert_eq!(rescued, ids);
}

fn rescue_says_when_the_next_lease_ends(t: &Fixture) {
    let worker = t.worker();
    t.advance(Duration::from_secs(10));
    t.worker();

    let reply = t.rescue();

    assert_eq!(reply.next_due, t.find_worker(worker).map(|record| record.lease_expires_at));
}

fn rescue_survives_reopening(t: &Fixture) {
    let id = t.put(t.job());
    crash_once(t);
    let (job, runs) = (t.look(id), t.runs(id));

    t.reopen();

    assert_eq!((t.look(id), t.runs(id)), (job, runs));
}

fn rescue_reaches_jobs_that_were_running_before_reopening(t: &Fixture) {
    let id = t.put(t.job());
    let lease = t.take(t.worker()).lease;

    t.reopen();
    t.crash();

    assert_eq!(t.state(id), JobState::Available);
    let late = gristmill_core::FinishItem::fail(lease, MOMENT, RunError::new("no"));
    assert_eq!(t.finish(late), Finished::LeaseLost { why: LostWhy::Rescued });
}

impl Fixture {
    /// Runs a round of rescue just before the leases that were renewed now end: all other workers are dead by
    /// then.
    fn crash_others(&self) -> Vec<JobId> {
        self.advance_just_below(Self::LEASE);
        self.rescue().jobs.into_iter().map(|job| job.id).collect()
    }
}
