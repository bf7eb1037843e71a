//! What a unique key forbids, and when it is free again.

use std::time::Duration;

use gristmill_core::{Enqueued, ExistingBy, FinishItem, Finished, JobId, JobState, Verdict};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "unique":
    unique_key_stores_only_the_first_job,
    unique_key_holds_within_one_call,
    unique_key_is_scoped_to_its_queue,
    unique_key_is_compared_byte_by_byte,
    unique_key_may_hold_any_text,
    unique_key_is_held_while_the_job_is_not_terminal,
    unique_key_is_free_after_completion,
    unique_key_is_free_after_cancel,
    unique_key_is_free_after_discard,
    unique_key_is_free_after_delete,
    unique_key_is_free_after_the_last_crash,
    unique_key_is_held_through_a_crash,
    unique_key_repeat_of_the_holder_answers_by_id,
    unique_key_refusal_spares_its_neighbours,
    unique_key_is_taken_again_by_a_retry_by_hand,
    unique_key_in_other_hands_forbids_a_retry_by_hand,
    unique_key_passes_to_an_effect_of_the_run_that_frees_it,
    unique_key_still_held_forbids_an_effect_but_not_the_finish,
    unique_key_of_two_effects_stores_the_first,
    unique_key_of_a_run_that_ends_later_in_the_request_forbids_an_effect,
    unique_key_may_stand_on_many_ended_jobs,
    unique_key_of_a_refused_job_is_not_taken,
    unique_key_survives_reopening needs Durable,
}

fn existing(id: JobId) -> [Enqueued; 1] {
    [Enqueued::Existing { id, by: ExistingBy::UniqueKey }]
}

/// Enqueues a second job with the key and says what became of it.
fn second(t: &Fixture, key: &str) -> Vec<Enqueued> {
    t.enqueue(vec![t.job().key(key)])
}

fn unique_key_stores_only_the_first_job(t: &Fixture) {
    let first = t.put(t.job().key("k"));
    let other = t.job().key("k");
    let id = other.id;

    let replies = t.enqueue(vec![other]);

    assert_eq!(replies, existing(first));
    assert_eq!(t.find(id), None);
}

fn unique_key_holds_within_one_call(t: &Fixture) {
    let (first, last) = (t.job().key("k"), t.job().key("k"));
    let id = first.id;

    let replies = t.enqueue(vec![first, last]);

    assert_eq!(replies, [Enqueued::Created, Enqueued::Existing { id, by: ExistingBy::UniqueKey }]);
}

fn unique_key_is_scoped_to_its_queue(t: &Fixture) {
    t.put(t.job().key("k"));

    assert_eq!(t.enqueue(vec![t.job().queue("other").key("k")]), [Enqueued::Created]);
}

/// A database's default collation may hold `Key`, `key ` and `kéy` for equal: two customers' jobs became one.
fn unique_key_is_compared_byte_by_byte(t: &Fixture) {
    let keys = ["key", "Key", "key ", " key", "kéy", "ke\u{301}y", "k\u{200b}ey", "KEY"];

    let replies = t.enqueue(keys.iter().map(|key| t.job().key(key)).collect());

    assert_eq!(replies, vec![Enqueued::Created; keys.len()]);
}

fn unique_key_may_hold_any_text(t: &Fixture) {
    for key in ["'; drop table jobs; --", "%_\\", "{a}:b", "\u{1f41f}", &"x".repeat(255), "\n\t\u{1}"] {
        let first = t.put(t.job().key(key));
        assert_eq!(second(t, key), existing(first), "{key:?}");
    }
}

fn unique_key_is_held_while_the_job_is_not_terminal(t: &Fixture) {
    let worker = t.worker();
    let scheduled = t.put(t.job().key("scheduled").due_in(Duration::from_secs(60)));
    let suspended = t.put(t.job().key("suspended").suspended());
    let retryable = t.put(t.job().key("retryable"));
    t.fail(&t.take(worker).lease, Duration::from_secs(60));
    let running = t.put(t.job().key("running"));
    t.take(worker);

    assert_eq!(t.state(running), JobState::Running);
    assert_eq!(second(t, "scheduled"), existing(scheduled));
    assert_eq!(second(t, "suspended"), existing(suspended));
    assert_eq!(second(t, "retryable"), existing(retryable));
    assert_eq!(second(t, "running"), existing(running));
}

fn unique_key_is_free_after_completion(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job().key("k"));
    t.complete(&t.take(worker).lease);

    assert_eq!(second(t, "k"), [Enqueued::Created]);
}

fn unique_key_is_free_after_cancel(t: &Fixture) {
    let id = t.put(t.job().key("k"));
    t.cancel(id);

    assert_eq!(second(t, "k"), [Enqueued::Created]);
}

fn unique_key_is_free_after_discard(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job().key("k").attempts(1));
    t.fail(&t.take(worker).lease, Duration::ZERO);

    assert_eq!(second(t, "k"), [Enqueued::Created]);
}

fn unique_key_is_free_after_delete(t: &Fixture) {
    let id = t.put(t.job().key("k"));
    t.delete(id);

    assert_eq!(second(t, "k"), [Enqueued::Created]);
}

fn unique_key_is_free_after_the_last_crash(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job().key("k").attempts(1));
    t.take(worker);
    t.crash();

    assert_eq!(second(t, "k"), [Enqueued::Created]);
}

fn unique_key_is_held_through_a_crash(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job().key("k"));
    t.take(worker);
    t.crash();

    assert_eq!(second(t, "k"), existing(id));
}

fn unique_key_repeat_of_the_holder_answers_by_id(t: &Fixture) {
    let job = t.job().key("k");
    let id = t.put(job.clone());

    assert_eq!(t.enqueue(vec![job]), [Enqueued::Existing { id, by: ExistingBy::Id }]);
}

fn unique_key_refusal_spares_its_neighbours(t: &Fixture) {
    let holder = t.put(t.job().key("k"));
    let (first, last) = (t.job(), t.job());
    let ids = [first.id, last.id];

    let replies = t.enqueue(vec![first, t.job().key("k"), last]);

    assert_eq!(replies, [Enqueued::Created, existing(holder)[0].clone(), Enqueued::Created]);
    t.assert_states(&ids, JobState::Available);
}

fn unique_key_is_taken_again_by_a_retry_by_hand(t: &Fixture) {
    let id = t.put(t.job().key("k"));
    t.cancel(id);

    assert_eq!(t.retry(id), Verdict::Done);

    assert_eq!(second(t, "k"), existing(id));
}

fn unique_key_in_other_hands_forbids_a_retry_by_hand(t: &Fixture) {
    let first = t.put(t.job().key("k"));
    t.cancel(first);
    let holder = t.put(t.job().key("k"));

    assert_eq!(t.retry(first), Verdict::Conflict(holder));

    assert_eq!((t.state(first), t.state(holder)), (JobState::Cancelled, JobState::Available));
}

/// A job that enqueues its own successor under the same key ends in the act that stores it: its key is free
/// by then.
fn unique_key_passes_to_an_effect_of_the_run_that_frees_it(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job().key("k"));
    let mut end = FinishItem::complete(t.take(worker).lease);
    let successor = t.job().key("k");
    let id = successor.id;
    end.effects.push(successor);

    t.finish(end);

    assert_eq!(t.state(id), JobState::Available);
    assert_eq!(second(t, "k"), existing(id));
}

fn unique_key_still_held_forbids_an_effect_but_not_the_finish(t: &Fixture) {
    let worker = t.worker();
    let job = t.put(t.job());
    let mut end = FinishItem::complete(t.take(worker).lease);
    t.put(t.job().key("k"));
    let effect = t.job().key("k");
    let id = effect.id;
    end.effects.push(effect);

    t.finish(end);

    assert_eq!((t.state(job), t.find(id)), (JobState::Completed, None));
}

/// PostgreSQL once ended all runs of a request before it stored the first follow-up job: the random histories
/// found it.
fn unique_key_of_a_run_that_ends_later_in_the_request_forbids_an_effect(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let first = t.take(worker).lease;
    t.put(t.job().key("k"));
    let holder = t.take(worker).lease;
    let effects = [t.job().key("k"), t.job().key("k")];
    let ids = effects.each_ref().map(|effect| effect.id);
    let ends: Vec<FinishItem> = [first, holder]
        .into_iter()
        .zip(effects)
        .map(|(lease, effect)| {
            let mut end = FinishItem::complete(lease);
            end.effects.push(effect);
            end
        })
        .collect();

    let answers = t.finish_all(ends);

    assert_eq!(answers, [Finished::Accepted { state: JobState::Completed }; 2]);
    assert_eq!(ids.map(|id| t.find(id).is_some()), [false, true]);
}

fn unique_key_of_two_effects_stores_the_first(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let mut end = FinishItem::complete(t.take(worker).lease);
    let effects = [t.job().key("k"), t.job().key("k"), t.job()];
    let ids = effects.each_ref().map(|effect| effect.id);
    end.effects = effects.to_vec();

    t.finish(end);

    assert_eq!(t.find_all(&ids).iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(second(t, "k"), existing(ids[0]));
}

/// One source design's archive inherited the unique index of the hot table: the second job with a key could
/// not be archived, and nothing after it either.
fn unique_key_may_stand_on_many_ended_jobs(t: &Fixture) {
    let worker = t.worker();
    let mut ended = Vec::new();
    for _ in 0..3 {
        ended.push(t.put(t.job().key("k")));
        t.complete(&t.take(worker).lease);
        ended.push(t.put(t.job().key("k")));
        t.cancel(ended[ended.len() - 1]);
    }

    t.advance(Duration::from_secs(40 * 24 * 3600));

    assert_eq!(t.prune().done, 6);
    assert!(t.find_all(&ended).iter().all(Option::is_none));
}

fn unique_key_of_a_refused_job_is_not_taken(t: &Fixture) {
    let known = t.job();
    t.put(known.clone());

    // A repeat by id changes nothing, so the key of the repeat stays free.
    t.enqueue(vec![known.key("k")]);

    assert_eq!(second(t, "k"), [Enqueued::Created]);
}

fn unique_key_survives_reopening(t: &Fixture) {
    let id = t.put(t.job().key("k"));
    let freed = t.put(t.job().key("free"));
    t.cancel(freed);

    t.reopen();

    assert_eq!(second(t, "k"), existing(id));
    assert_eq!(second(t, "free"), [Enqueued::Created]);
}
