//! Cancel: atomic before the start, a stored request while the job runs.

use std::time::Duration;

use gristmill_core::{
    Decision, Ending, FinishItem, Finished, JobFilter, JobState, RunError, VerbRequest, Verdict,
};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "cancel":
    cancel_ends_an_available_job,
    cancel_ends_waiting_jobs,
    cancel_of_a_job_that_has_not_started_prevents_its_run,
    cancel_of_a_running_job_is_a_request,
    cancel_requested_twice_is_one_request,
    cancel_requested_wins_over_every_decision,
    cancel_requested_survives_the_workers_death,
    cancel_requested_survives_the_workers_retirement,
    cancel_requested_survives_a_lost_fetch_reply,
    cancel_between_fetch_and_start_is_final,
    cancel_requested_keeps_the_effects_of_the_finish,
    cancel_of_an_ended_job_changes_nothing,
    cancel_of_no_job_is_not_found,
    cancel_is_forgotten_by_a_retry_by_hand,
    cancel_says_why_the_job_ended,
    cancel_is_noted_with_its_actor,
    cancel_without_retention_deletes_the_job,
    cancel_of_one_id_twice_answers_twice,
    cancel_of_many_answers_each_in_order,
    cancel_everywhere_reaches_every_match,
    cancel_survives_reopening needs Durable,
}

const CANCELLED: Finished = Finished::Accepted { state: JobState::Cancelled };
const MINUTE: Duration = Duration::from_secs(60);

fn cancel_ends_an_available_job(t: &Fixture) {
    let id = t.put(t.job());
    t.advance(MINUTE);

    assert_eq!(t.cancel(id), Verdict::Done);

    assert_eq!((t.state(id), t.look(id).finished_at), (JobState::Cancelled, Some(t.now())));
}

fn cancel_ends_waiting_jobs(t: &Fixture) {
    let retryable = t.put(t.job());
    t.fail(&t.take(t.worker()).lease, MINUTE);
    let ids = [retryable, t.put(t.job().due_in(MINUTE)), t.put(t.job().suspended())];

    for id in ids {
        assert_eq!(t.cancel(id), Verdict::Done);
    }

    t.advance(2 * MINUTE);
    t.promote();
    t.assert_states(&ids, JobState::Cancelled);
}

fn cancel_of_a_job_that_has_not_started_prevents_its_run(t: &Fixture) {
    let id = t.put(t.job());
    t.cancel(id);

    assert!(t.fetch(t.worker(), 1).is_empty());
}

fn cancel_of_a_running_job_is_a_request(t: &Fixture) {
    let id = t.put(t.job());
    t.take(t.worker());

    assert_eq!(t.cancel(id), Verdict::Requested);

    let job = t.look(id);
    assert_eq!((job.state, job.cancel_requested, job.finished_at), (JobState::Running, true, None));
}

fn cancel_requested_twice_is_one_request(t: &Fixture) {
    let id = t.put(t.job());
    let lease = t.take(t.worker()).lease;
    t.cancel(id);

    assert_eq!(t.cancel(id), Verdict::Requested);

    assert_eq!(t.complete(&lease), CANCELLED);
}

/// One source design stored the cancel as a state, and the late success of the handler overwrote it.
fn cancel_requested_wins_over_every_decision(t: &Fixture) {
    let worker = t.worker();
    let decisions = [
        Decision::Complete,
        Decision::RetryAfter(Duration::ZERO),
        Decision::SnoozeAfter(MINUTE),
        Decision::Cancel,
        Decision::Discard,
        Decision::GiveBackAfter(Duration::ZERO),
    ];
    for decision in decisions {
        let id = t.put(t.job());
        let lease = t.take(worker).lease;
        t.cancel(id);

        assert_eq!(t.finish(FinishItem::new(lease, decision, Ending::Completed)), CANCELLED, "{decision:?}");
        assert_eq!(t.state(id), JobState::Cancelled, "{decision:?}");
        assert_eq!(t.runs(id)[0].ending, Ending::Cancelled, "{decision:?}");
    }
}

/// A worker's death gave the job back and forgot the request: what was to be stopped ran once more.
fn cancel_requested_survives_the_workers_death(t: &Fixture) {
    let id = t.put(t.job());
    t.take(t.worker());
    t.cancel(id);

    let rescued = t.crash();

    assert_eq!(rescued.jobs.iter().map(|job| job.state).collect::<Vec<_>>(), [JobState::Cancelled]);
    assert_eq!((t.state(id), t.runs(id)[0].ending), (JobState::Cancelled, Ending::Crashed));
}

fn cancel_requested_survives_the_workers_retirement(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    t.take(worker);
    t.cancel(id);

    t.retire(worker);

    assert_eq!(t.state(id), JobState::Cancelled);
}

fn cancel_requested_survives_a_lost_fetch_reply(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    t.take(worker);
    t.cancel(id);

    t.renew(worker, &[]);

    assert_eq!(t.state(id), JobState::Cancelled);
}

/// A worker has fetched the job but not begun it. The worker learns of the cancel and releases the job, which
/// never runs.
fn cancel_between_fetch_and_start_is_final(t: &Fixture) {
    let (worker, id) = (t.worker(), t.put(t.job()));
    let (claim, other) = (t.next_claim(), t.worker());
    let lease = t.fetch_claim(worker, claim, Fixture::QUEUE, 1).jobs.remove(0).lease;
    t.cancel(id);

    assert_eq!(t.renew(worker, &[claim]).cancels, [(id, lease.run)]);
    assert_eq!(t.give_back(&lease), CANCELLED);

    assert_eq!((t.state(id), t.fetch(other, 1).len()), (JobState::Cancelled, 0));
    assert_eq!(t.runs(id)[0].started_at, None);
}

fn cancel_requested_keeps_the_effects_of_the_finish(t: &Fixture) {
    let id = t.put(t.job());
    let mut end = FinishItem::complete(t.take(t.worker()).lease);
    let effect = t.job().queue("next");
    let effect_id = effect.id;
    end.effects.push(effect);
    t.cancel(id);

    t.finish(end);

    assert_eq!((t.state(id), t.state(effect_id)), (JobState::Cancelled, JobState::Available));
}

fn cancel_of_an_ended_job_changes_nothing(t: &Fixture) {
    let worker = t.worker();
    let completed = t.put(t.job());
    t.complete(&t.take(worker).lease);
    let discarded = t.put(t.job().attempts(1));
    t.finish(FinishItem::fail(t.take(worker).lease, MINUTE, RunError::new("no")));
    let cancelled = t.put(t.job());
    t.cancel(cancelled);
    let ids = [completed, discarded, cancelled];
    let before = t.find_all(&ids);
    t.advance(MINUTE);

    for id in ids {
        assert_eq!(t.cancel(id), Verdict::AlreadyTerminal);
    }

    assert_eq!(t.find_all(&ids), before);
}

fn cancel_of_no_job_is_not_found(t: &Fixture) {
    assert_eq!(t.cancel(t.next_id()), Verdict::NotFound);
}

fn cancel_is_forgotten_by_a_retry_by_hand(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.cancel(id);
    t.complete(&lease);

    t.retry(id);

    assert!(!t.look(id).cancel_requested);
    let again = t.take(worker).lease;
    assert!(t.renew(worker, &[again.claim]).cancels.is_empty());
    assert_eq!(t.complete(&again), Finished::Accepted { state: JobState::Completed });
}

fn cancel_says_why_the_job_ended(t: &Fixture) {
    let id = t.put(t.job());
    let lease = t.take(t.worker()).lease;
    t.cancel(id);

    t.complete(&lease);

    assert_eq!(t.look(id).reason.as_deref(), Some("cancel requested"));
}

fn cancel_is_noted_with_its_actor(t: &Fixture) {
    let waiting = t.put(t.job());
    let running = t.put(t.job().priority(-1));
    t.take(t.worker());

    let request = VerbRequest::ids(vec![waiting, running]).by("ada");
    t.must(|backend, call| backend.cancel(call, request));

    for id in [waiting, running] {
        let events = t.events(id);
        let noted =
            events.iter().any(|event| event.what == "cancel" && event.actor.as_deref() == Some("ada"));
        assert!(noted, "{events:?}");
    }
}

fn cancel_without_retention_deletes_the_job(t: &Fixture) {
    let id = t.put(t.job().kept(Duration::ZERO));

    assert_eq!(t.cancel(id), Verdict::Done);

    assert_eq!(t.find(id), None);
}

fn cancel_of_one_id_twice_answers_twice(t: &Fixture) {
    let id = t.put(t.job());

    let reply = t.must(|backend, call| backend.cancel(call, VerbRequest::ids(vec![id, id])));

    assert_eq!(reply.jobs, [(id, Verdict::Done), (id, Verdict::AlreadyTerminal)]);
}

fn cancel_of_many_answers_each_in_order(t: &Fixture) {
    let running = t.put(t.job().priority(-1));
    t.take(t.worker());
    let (unknown, available) = (t.next_id(), t.put(t.job()));
    let ended = t.put(t.job());
    t.cancel(ended);

    let request = VerbRequest::ids(vec![ended, available, unknown, running]);
    let reply = t.must(|backend, call| backend.cancel(call, request));

    let expected = [
        (ended, Verdict::AlreadyTerminal),
        (available, Verdict::Done),
        (unknown, Verdict::NotFound),
        (running, Verdict::Requested),
    ];
    assert_eq!((reply.jobs, reply.next), (expected.to_vec(), None));
}

fn cancel_everywhere_reaches_every_match(t: &Fixture) {
    let ids: Vec<_> = (0..25).map(|_| t.put(t.job().tag("red"))).collect();
    let spared = t.put_many(3);
    let filter = JobFilter::new().tag(crate::fixture::name("red"));

    let verdicts =
        t.everywhere(&filter, 10, |t, request| t.must(|backend, call| backend.cancel(call, request)));

    assert_eq!(verdicts, ids.iter().map(|id| (*id, Verdict::Done)).collect::<Vec<_>>());
    t.assert_states(&spared, JobState::Available);
}

fn cancel_survives_reopening(t: &Fixture) {
    let ended = t.put(t.job());
    t.cancel(ended);
    let running = t.put(t.job());
    let lease = t.take(t.worker()).lease;
    t.cancel(running);
    let events = t.events(running);

    t.reopen();

    assert_eq!((t.state(ended), t.look(running).cancel_requested), (JobState::Cancelled, true));
    assert_eq!(t.events(running), events);
    assert_eq!(t.complete(&lease), CANCELLED);
}
