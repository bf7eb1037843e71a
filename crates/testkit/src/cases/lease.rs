//! How long a lease holds, and what ends it.

use std::time::Duration;

use gristmill_core::{
    BackendErrorKind, Decision, Ending, FinishItem, Finished, JobState, LeaseToken, LostWhy, RenewRequest,
    WorkerId,
};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "lease":
    lease_holds_until_a_rescue_takes_it,
    lease_of_a_worker_that_renews_outlives_its_length,
    lease_that_expired_is_never_revived,
    lease_of_an_unknown_worker_is_not_renewed,
    lease_with_a_wrong_token_changes_nothing,
    lease_with_the_token_of_another_job_changes_nothing,
    lease_with_the_token_of_an_earlier_run_changes_nothing,
    lease_of_the_next_run_holds_after_a_stale_finish,
    lease_run_numbers_are_never_reset,
    lease_finished_after_a_rescue_is_lost,
    lease_that_was_lost_refuses_every_decision,
    lease_finished_after_the_worker_retired_is_lost,
    lease_of_a_deleted_job_is_unknown,
    lease_of_a_job_that_went_in_the_same_request_is_unknown,
    lease_stale_finishes_are_counted_and_noted,
    lease_renewal_says_how_long_it_holds,
    lease_renewal_gives_back_claims_it_does_not_list,
    lease_given_back_by_a_renewal_costs_no_attempt,
    lease_given_back_by_a_renewal_is_reported_lost_when_it_turns_up,
    lease_renewal_keeps_the_claims_it_lists,
    lease_renewal_touches_no_other_worker,
    lease_renewal_reports_cancels_of_its_own_jobs,
    lease_renewal_reports_paused_queues_of_the_worker,
    lease_survives_reopening needs Durable,
}

const MOMENT: Duration = Duration::from_millis(1);
const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };
const RESCUED: Finished = Finished::LeaseLost { why: LostWhy::Rescued };
const GIVEN_BACK: Finished = Finished::LeaseLost { why: LostWhy::GivenBack };
const UNKNOWN: Finished = Finished::LeaseLost { why: LostWhy::Unknown };

/// Tokens decide, not clocks: a slow worker may still finish its job as long as no other worker took it.
fn lease_holds_until_a_rescue_takes_it(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let lease = t.take(worker).lease;

    t.advance(10 * Fixture::LEASE);

    assert_eq!(t.complete(&lease), COMPLETED);
}

fn lease_of_a_worker_that_renews_outlives_its_length(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;

    for _ in 0..5 {
        t.advance_just_below(Fixture::LEASE);
        t.renew(worker, &[lease.claim]);
        assert!(t.rescue().jobs.is_empty());
    }

    assert_eq!((t.state(id), t.complete(&lease)), (JobState::Running, COMPLETED));
}

/// One source design let a late heartbeat bring an expired lease back to life while another worker was taking
/// the job.
fn lease_that_expired_is_never_revived(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.advance(Fixture::LEASE + MOMENT);

    let request = RenewRequest::new(worker, vec![lease.claim]);
    let refused = t.ask(|backend, call| backend.renew(call, request)).err().map(|error| error.kind());

    assert_eq!(refused, Some(BackendErrorKind::WorkerGone));
    assert_eq!(t.rescue().jobs.len(), 1);
    assert_eq!(t.state(id), JobState::Available);
}

fn lease_of_an_unknown_worker_is_not_renewed(t: &Fixture) {
    let request = RenewRequest::new(WorkerId::random(), Vec::new());
    let refused = t.ask(|backend, call| backend.renew(call, request)).err().map(|error| error.kind());

    assert_eq!(refused, Some(BackendErrorKind::WorkerGone));
}

fn lease_with_a_wrong_token_changes_nothing(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    let before = t.look(id);
    let mut forged = lease.clone();
    forged.token = LeaseToken(lease.token.0 ^ 1);

    assert_eq!(t.complete(&forged), UNKNOWN);

    assert_eq!(t.look(id), before);
    assert_eq!(t.complete(&lease), COMPLETED);
}

fn lease_with_the_token_of_another_job_changes_nothing(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(2);
    let (mine, other) = (t.take(worker).lease, t.take(worker).lease);
    let mut forged = mine;
    forged.job = other.job;

    assert_eq!(t.complete(&forged), UNKNOWN);

    t.assert_states(&ids, JobState::Running);
}

fn lease_with_the_token_of_an_earlier_run_changes_nothing(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let earlier = t.take(worker).lease;
    t.give_back(&earlier);
    let mut forged = t.take(worker).lease;
    forged.token = earlier.token;

    assert_eq!(t.complete(&forged), UNKNOWN);

    assert_eq!(t.state(id), JobState::Running);
}

/// One source design acknowledged by job id: the late finish of a first worker ended the run of the second.
fn lease_of_the_next_run_holds_after_a_stale_finish(t: &Fixture) {
    let slow = t.worker();
    let id = t.put(t.job());
    let stale = t.take(slow).lease;
    t.crash();
    let fresh = t.take(t.worker()).lease;

    assert_eq!(t.complete(&stale), RESCUED);
    assert_eq!(t.fail(&stale, Duration::ZERO), RESCUED);

    assert_eq!(t.state(id), JobState::Running);
    assert_eq!(t.complete(&fresh), COMPLETED);
}

/// A key on the attempt instead of the run would collide at the first snooze or retry by hand and strand the
/// job.
fn lease_run_numbers_are_never_reset(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    t.give_back(&t.take(worker).lease);
    t.complete(&t.take(worker).lease);
    t.retry(id);

    let job = t.take(worker);

    assert_eq!((job.attempt, job.lease.run), (1, 3));
    assert_eq!(t.complete(&job.lease), COMPLETED);
    assert_eq!(t.runs(id).iter().map(|run| run.run).collect::<Vec<_>>(), [1, 2, 3]);
}

fn lease_finished_after_a_rescue_is_lost(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.crash();
    let before = t.look(id);

    assert_eq!(t.complete(&lease), RESCUED);

    assert_eq!(t.look(id), before);
}

fn lease_that_was_lost_refuses_every_decision(t: &Fixture) {
    let id = t.put(t.job());
    let stale = t.take(t.worker()).lease;
    t.crash();
    let fresh = t.take(t.worker()).lease;
    let (before, runs) = (t.look(id), t.runs(id));
    let decisions = [
        Decision::Complete,
        Decision::RetryAfter(Duration::ZERO),
        Decision::SnoozeAfter(Duration::ZERO),
        Decision::Cancel,
        Decision::Discard,
        Decision::GiveBackAfter(Duration::ZERO),
    ];

    for (count, decision) in (1..).zip(decisions) {
        let answer = t.finish(FinishItem::new(stale.clone(), decision, Ending::Completed));
        assert_eq!((answer, t.stats().stale_finishes), (RESCUED, count), "{decision:?}");
        assert_eq!((t.look(id), t.runs(id)), (before.clone(), runs.clone()), "{decision:?}");
    }
    assert_eq!(t.complete(&fresh), COMPLETED);
}

fn lease_finished_after_the_worker_retired_is_lost(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.retire(worker);

    assert_eq!(t.complete(&lease), GIVEN_BACK);

    assert_eq!(t.state(id), JobState::Available);
}

fn lease_of_a_deleted_job_is_unknown(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.complete(&lease);
    t.delete(id);

    // Whether the store still remembers the run that it accepted is its own affair; it must not accept it
    // again.
    let repeated = t.complete(&lease);

    assert!(matches!(repeated, Finished::AlreadyAccepted | UNKNOWN), "{repeated:?}");
    assert_eq!(t.find(id), None);
}

/// A run that ended before, in one request behind the run that takes the job along.
fn lease_of_a_job_that_went_in_the_same_request_is_unknown(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job().kept(Duration::ZERO));
    let given_back = t.take(worker).lease;
    t.renew(worker, &[]);
    let lease = t.take(worker).lease;

    let answers = t.finish_all(vec![FinishItem::complete(lease), FinishItem::complete(given_back)]);

    assert_eq!(answers, [COMPLETED, UNKNOWN]);
    assert_eq!(t.find(id), None);
}

fn lease_stale_finishes_are_counted_and_noted(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.crash();
    assert_eq!(t.stats().stale_finishes, 0);

    t.complete(&lease);

    assert_eq!(t.stats().stale_finishes, 1);
    assert!(t.events(id).iter().any(|event| event.what == "stale finish" && event.at == t.now()));
}

fn lease_renewal_says_how_long_it_holds(t: &Fixture) {
    let worker = t.worker();
    t.advance(Duration::from_secs(7));

    let reply = t.renew(worker, &[]);

    assert_eq!(reply.expires_in, Fixture::LEASE);
    let record = t.find_worker(worker).expect("it is registered");
    assert_eq!((record.heartbeat_at, record.lease_expires_at), (t.now(), t.now() + Fixture::LEASE));
}

/// The reply of a fetch was lost and the worker went on without it. Its own heartbeat would have kept those
/// jobs leased, and they would never have run.
fn lease_renewal_gives_back_claims_it_does_not_list(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(2);
    let (kept, lost) = (t.take(worker).lease, t.take(worker).lease);

    let reply = t.renew(worker, &[kept.claim]);

    assert_eq!(reply.given_back, [lost.claim]);
    assert_eq!((t.state(ids[0]), t.state(ids[1])), (JobState::Running, JobState::Available));
}

fn lease_given_back_by_a_renewal_costs_no_attempt(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;

    t.renew(worker, &[]);

    assert_eq!((t.look(id).attempt, t.look(id).run), (0, 1));
    assert_eq!(t.complete(&lease), GIVEN_BACK);
    assert_eq!(t.take(worker).attempt, 1);
}

fn lease_given_back_by_a_renewal_is_reported_lost_when_it_turns_up(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let lease = t.take(worker).lease;
    t.renew(worker, &[]);

    let reply = t.renew(worker, &[lease.claim]);

    assert_eq!(reply.lost, [lease.claim]);
}

fn lease_renewal_keeps_the_claims_it_lists(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(2);
    let (one, two) = (t.take(worker).lease, t.take(worker).lease);

    let reply = t.renew(worker, &[two.claim, one.claim]);

    assert!(reply.lost.is_empty() && reply.given_back.is_empty());
    t.assert_states(&ids, JobState::Running);
}

fn lease_renewal_touches_no_other_worker(t: &Fixture) {
    let (worker, other) = (t.worker(), t.worker());
    let id = t.put(t.job());
    t.take(other);
    t.advance(Duration::from_secs(1));

    t.renew(worker, &[]);

    assert_eq!(t.state(id), JobState::Running);
    let beat = t.find_worker(other).map(|record| record.heartbeat_at);
    assert_eq!(beat, Some(t.now() - Duration::from_secs(1)));
}

fn lease_renewal_reports_cancels_of_its_own_jobs(t: &Fixture) {
    let (worker, other) = (t.worker(), t.worker());
    let ids = t.put_many(3);
    let (mine, _theirs, spared) = (t.take(worker).lease, t.take(other).lease, t.take(worker).lease);
    t.cancel(ids[0]);
    t.cancel(ids[1]);

    let reply = t.renew(worker, &[mine.claim, spared.claim]);

    assert_eq!(reply.cancels, [(ids[0], 1)]);
}

fn lease_renewal_reports_paused_queues_of_the_worker(t: &Fixture) {
    let worker = t.worker();
    t.pause(Fixture::QUEUE);
    t.pause("other");

    let paused = t.renew(worker, &[]).paused;

    assert_eq!(paused.iter().map(gristmill_core::Name::as_str).collect::<Vec<_>>(), [Fixture::QUEUE]);
    t.resume(Fixture::QUEUE);
    assert!(t.renew(worker, &[]).paused.is_empty());
}

fn lease_survives_reopening(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(3);
    let (kept, given_back, lost) = (t.take(worker).lease, t.take(worker).lease, t.take(worker).lease);
    t.give_back(&given_back);
    t.renew(worker, &[kept.claim, given_back.claim]);

    t.reopen();

    assert_eq!(t.complete(&lost), GIVEN_BACK);
    assert_eq!(t.finish(FinishItem::give_back(given_back, Duration::ZERO)), Finished::AlreadyAccepted);
    assert_eq!(t.complete(&kept), COMPLETED);
    assert_eq!(t.state(ids[0]), JobState::Completed);
}
