//! How a run ends, and what goes with it.

use std::time::Duration;

use gristmill_core::{
    Decision, Ending, FinishItem, Finished, JobId, JobState, LeaseToken, LostWhy, Output, Retention, RunError,
};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "finish":
    finish_completes_a_job,
    finish_keeps_the_output,
    finish_leaves_a_run_in_the_timeline,
    finish_repeated_is_already_accepted,
    finish_repeated_changes_nothing,
    finish_repeated_with_another_decision_changes_nothing,
    finish_of_one_lease_twice_in_a_call_is_accepted_once,
    finish_of_a_give_back_repeated_is_already_accepted,
    finish_repeated_after_the_next_run_began_is_already_accepted,
    finish_answers_each_item_in_order,
    finish_of_a_stale_lease_spares_its_neighbours,
    finish_of_nothing_answers_nothing,
    finish_by_its_handlers_cancel_ends_cancelled,
    finish_by_its_handlers_discard_ends_discarded,
    finish_keeps_the_reason,
    finish_with_a_snooze_schedules_and_refunds,
    finish_with_a_give_back_is_available_and_refunded,
    finish_with_a_give_back_for_later_is_scheduled_and_refunded,
    finish_given_back_for_want_of_a_handler_says_so,
    finish_stores_its_effects,
    finish_that_is_stale_stores_no_effects,
    finish_repeated_stores_its_effects_once,
    finish_stores_the_effects_of_a_failure,
    finish_with_a_known_effect_is_still_accepted,
    finish_without_retention_deletes_the_job,
    finish_without_retention_repeated_is_not_accepted_again,
    finish_on_the_last_attempt_stays_completed_through_maintenance,
    finish_in_bulk_ends_every_job,
    finish_keeps_the_handlers_start,
    finish_survives_reopening needs Durable,
}

const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };
const MINUTE: Duration = Duration::from_secs(60);

fn finish_completes_a_job(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.advance(Duration::from_secs(2));

    assert_eq!(t.complete(&lease), COMPLETED);

    let job = t.look(id);
    assert_eq!((job.state, job.finished_at, job.attempt), (JobState::Completed, Some(t.now()), 1));
}

fn finish_keeps_the_output(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let mut end = FinishItem::complete(t.take(worker).lease);
    let output = Output::from_json("{\"sum\": 1.50 }");
    end.output = Some(output.clone());

    t.finish(end);

    assert_eq!(t.look(id).output, Some(output));
}

fn finish_leaves_a_run_in_the_timeline(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let fetched_at = t.now();
    let lease = t.take(worker).lease;
    t.advance(Duration::from_millis(1_500));

    t.complete(&lease);

    let runs = t.runs(id);
    assert_eq!(runs.len(), 1);
    let run = &runs[0];
    assert_eq!((run.run, run.attempt, run.ending), (1, 1, Ending::Completed));
    assert_eq!((run.state, run.worker), (JobState::Completed, worker));
    assert_eq!((run.fetched_at, run.finished_at), (fetched_at, t.now()));
}

/// A finish whose reply was lost is repeated; were the repeat a lost lease, the worker would report work as
/// lost that is safely stored.
fn finish_repeated_is_already_accepted(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let lease = t.take(worker).lease;
    t.complete(&lease);

    assert_eq!(t.complete(&lease), Finished::AlreadyAccepted);
    assert_eq!(t.stats().stale_finishes, 0);
}

fn finish_repeated_changes_nothing(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.complete(&lease);
    let (job, runs) = (t.look(id), t.runs(id));
    t.advance(MINUTE);

    t.complete(&lease);

    assert_eq!((t.look(id), t.runs(id)), (job, runs));
}

fn finish_repeated_with_another_decision_changes_nothing(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.complete(&lease);
    let (job, runs) = (t.look(id), t.runs(id));

    assert_eq!(t.fail(&lease, Duration::ZERO), Finished::AlreadyAccepted);

    assert_eq!((t.look(id), t.runs(id)), (job, runs));
}

fn finish_of_one_lease_twice_in_a_call_is_accepted_once(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let lease = t.take(worker).lease;

    let replies = t.finish_all(vec![FinishItem::complete(lease.clone()), FinishItem::complete(lease)]);

    assert_eq!(replies, [COMPLETED, Finished::AlreadyAccepted]);
}

fn finish_of_a_give_back_repeated_is_already_accepted(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;
    t.give_back(&lease);

    assert_eq!(t.give_back(&lease), Finished::AlreadyAccepted);

    assert_eq!((t.state(id), t.look(id).attempt), (JobState::Available, 0));
}

fn finish_repeated_after_the_next_run_began_is_already_accepted(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let first = t.take(worker).lease;
    t.give_back(&first);
    t.take(worker);

    assert_eq!(t.give_back(&first), Finished::AlreadyAccepted);

    assert_eq!((t.state(id), t.look(id).attempt), (JobState::Running, 1));
}

fn finish_answers_each_item_in_order(t: &Fixture) {
    let worker = t.worker();
    t.put_many(3);
    let leases: Vec<_> = t.fetch(worker, 3).into_iter().map(|job| job.lease).collect();
    let items = vec![
        FinishItem::give_back(leases[2].clone(), Duration::ZERO),
        FinishItem::complete(leases[0].clone()),
        FinishItem::fail(leases[1].clone(), MINUTE, RunError::new("no")),
    ];

    let states: Vec<_> = t.finish_all(items);

    let expected = [JobState::Available, JobState::Completed, JobState::Retryable];
    assert_eq!(states, expected.map(|state| Finished::Accepted { state }));
}

fn finish_of_a_stale_lease_spares_its_neighbours(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(3);
    let mut leases: Vec<_> = t.fetch(worker, 3).into_iter().map(|job| job.lease).collect();
    leases[1].token = LeaseToken(7);

    let replies = t.finish_all(leases.into_iter().map(FinishItem::complete).collect());

    assert_eq!(replies, [COMPLETED, Finished::LeaseLost { why: LostWhy::Unknown }, COMPLETED]);
    let states: Vec<_> = ids.iter().map(|id| t.state(*id)).collect();
    assert_eq!(states, [JobState::Completed, JobState::Running, JobState::Completed]);
}

fn finish_of_nothing_answers_nothing(t: &Fixture) {
    assert!(t.finish_all(Vec::new()).is_empty());
}

/// Ends a fresh job's first run and gives its id.
fn end(t: &Fixture, decision: Decision, ending: Ending) -> JobId {
    let worker = t.worker();
    let id = t.put(t.job());
    t.finish(FinishItem::new(t.take(worker).lease, decision, ending));
    id
}

fn finish_by_its_handlers_cancel_ends_cancelled(t: &Fixture) {
    let job = t.look(end(t, Decision::Cancel, Ending::Cancelled));

    assert_eq!((job.state, job.finished_at), (JobState::Cancelled, Some(t.now())));
}

fn finish_by_its_handlers_discard_ends_discarded(t: &Fixture) {
    let job = t.look(end(t, Decision::Discard, Ending::Undecodable));

    assert_eq!((job.state, job.finished_at), (JobState::Discarded, Some(t.now())));
    assert_eq!(t.runs(job.id)[0].ending, Ending::Undecodable);
}

fn finish_keeps_the_reason(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let mut end = FinishItem::new(t.take(worker).lease, Decision::Discard, Ending::Discarded);
    end.reason = Some("the address is closed".to_owned());

    t.finish(end);

    assert_eq!(t.look(id).reason.as_deref(), Some("the address is closed"));
    assert_eq!(t.runs(id)[0].reason.as_deref(), Some("the address is closed"));
}

fn finish_with_a_snooze_schedules_and_refunds(t: &Fixture) {
    let job = t.look(end(t, Decision::SnoozeAfter(MINUTE), Ending::Snoozed));

    assert_eq!((job.state, job.run_at, job.attempt), (JobState::Scheduled, t.now() + MINUTE, 0));
}

fn finish_with_a_give_back_is_available_and_refunded(t: &Fixture) {
    let job = t.look(end(t, Decision::GiveBackAfter(Duration::ZERO), Ending::Released));

    assert_eq!((job.state, job.attempt, job.run), (JobState::Available, 0, 1));
    assert_eq!(t.runs(job.id)[0].ending, Ending::Released);
}

fn finish_with_a_give_back_for_later_is_scheduled_and_refunded(t: &Fixture) {
    let job = t.look(end(t, Decision::GiveBackAfter(MINUTE), Ending::Limited));

    assert_eq!((job.state, job.run_at, job.attempt), (JobState::Scheduled, t.now() + MINUTE, 0));
}

fn finish_given_back_for_want_of_a_handler_says_so(t: &Fixture) {
    let put_at = t.now();
    let job = t.look(end(t, Decision::GiveBackAfter(MINUTE), Ending::UnknownKind));

    assert_eq!((job.state, job.reason.as_deref()), (JobState::Scheduled, Some("no handler")));
    assert_eq!((job.run_at, job.attempt), (put_at, 0));
}

/// Ends a run with one effect and gives the answer and the effect's id.
fn end_with_effect(t: &Fixture, mut item: FinishItem) -> (Finished, JobId) {
    let effect = t.job().queue("next");
    let id = effect.id;
    item.effects.push(effect);
    (t.finish(item), id)
}

fn finish_stores_its_effects(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let item = FinishItem::complete(t.take(worker).lease);

    let (_, effect) = end_with_effect(t, item);

    let job = t.look(effect);
    assert_eq!((job.state, job.created_at, job.spec.queue.as_str()), (JobState::Available, t.now(), "next"));
}

fn finish_that_is_stale_stores_no_effects(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let lease = t.take(worker).lease;
    t.crash();

    let (_, effect) = end_with_effect(t, FinishItem::complete(lease));

    assert_eq!(t.find(effect), None);
}

fn finish_repeated_stores_its_effects_once(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let mut item = FinishItem::complete(t.take(worker).lease);
    item.effects.push(t.job().queue("next"));
    t.finish(item.clone());
    let taken = t.fetch_from(worker, "next", 5);
    t.complete(&taken[0].lease);

    assert_eq!(t.finish(item), Finished::AlreadyAccepted);

    assert!(t.fetch_from(worker, "next", 5).is_empty());
}

fn finish_stores_the_effects_of_a_failure(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let item = FinishItem::fail(t.take(worker).lease, MINUTE, RunError::new("no"));

    let (_, effect) = end_with_effect(t, item);

    assert_eq!(t.state(effect), JobState::Available);
}

fn finish_with_a_known_effect_is_still_accepted(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let mut item = FinishItem::complete(t.take(worker).lease);
    let known = t.job().queue("next");
    t.put(known.clone());
    let other = t.job().queue("next");
    let other_id = other.id;
    item.effects = vec![known, other];

    assert_eq!(t.finish(item), COMPLETED);

    assert_eq!(t.state(other_id), JobState::Available);
}

fn finish_without_retention_deletes_the_job(t: &Fixture) {
    let worker = t.worker();
    let mut job = t.job();
    job.spec.retention = Some(Box::new(Retention::default().with_completed(Duration::ZERO)));
    let id = t.put(job);

    assert_eq!(t.complete(&t.take(worker).lease), COMPLETED);

    assert_eq!((t.find(id), t.runs(id)), (None, Vec::new()));
}

fn finish_without_retention_repeated_is_not_accepted_again(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job().kept(Duration::ZERO));
    let mut item = FinishItem::complete(t.take(worker).lease);
    item.effects.push(t.job().queue("next"));
    t.finish(item.clone());

    let repeated = t.finish(item);

    let unknown = Finished::LeaseLost { why: LostWhy::Unknown };
    assert!(repeated == Finished::AlreadyAccepted || repeated == unknown, "{repeated:?}");
    assert_eq!((t.find(id), t.fetch_from(worker, "next", 5).len()), (None, 1));
}

/// One source design's maintenance looked at attempts alone and buried jobs whose last attempt had succeeded.
fn finish_on_the_last_attempt_stays_completed_through_maintenance(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job().attempts(1));
    t.complete(&t.take(worker).lease);
    let before = t.look(id);

    for _ in 0..3 {
        t.crash();
        t.promote();
        t.prune();
    }

    assert_eq!(t.look(id), before);
}

fn finish_in_bulk_ends_every_job(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(300);
    let items = t.fetch(worker, 300).into_iter().map(|job| FinishItem::complete(job.lease)).collect();

    assert_eq!(t.finish_all(items), vec![COMPLETED; 300]);

    assert!(t.find_all(&ids).iter().flatten().all(|job| job.state == JobState::Completed));
}

fn finish_keeps_the_handlers_start(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let mut item = FinishItem::complete(t.take(worker).lease);
    let started_at = t.now() + Duration::from_millis(12);
    item.started_at = Some(started_at);
    t.advance(MINUTE);

    t.finish(item);

    assert_eq!(t.runs(id)[0].started_at, Some(started_at));
}

fn finish_survives_reopening(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let mut item = FinishItem::complete(t.take(worker).lease);
    item.output = Some(Output::from_json("[1]"));
    t.finish(item.clone());
    let (job, runs) = (t.look(id), t.runs(id));

    t.reopen();

    assert_eq!((t.look(id), t.runs(id)), (job, runs));
    assert_eq!(t.finish(item), Finished::AlreadyAccepted);
}
