//! Promotion of jobs that are due.

use std::time::Duration;

use gristmill_core::{JobState, When};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "promote":
    promote_makes_due_jobs_available,
    promote_never_acts_before_the_time,
    promote_keeps_the_due_time,
    promote_leaves_held_and_ended_jobs_alone,
    promote_takes_at_most_its_limit_the_longest_due_first,
    promote_says_whether_more_is_due,
    promote_of_nothing_does_nothing,
    promote_twice_does_it_once,
    promote_never_misses_the_next_due_time,
    promote_of_a_paused_queue_makes_jobs_available,
    promote_survives_reopening needs Durable,
}

const MINUTE: Duration = Duration::from_secs(60);

fn promote_makes_due_jobs_available(t: &Fixture) {
    let retryable = t.put(t.job());
    t.fail(&t.take(t.worker()).lease, MINUTE);
    let ids = [retryable, t.put(t.job().due_in(MINUTE))];
    t.advance(MINUTE);

    assert_eq!(t.promote().done, 2);

    t.assert_states(&ids, JobState::Available);
}

fn promote_never_acts_before_the_time(t: &Fixture) {
    let id = t.put(t.job().due_in(MINUTE));
    t.advance_just_below(MINUTE);

    assert_eq!(t.promote().done, 0);

    assert_eq!(t.state(id), JobState::Scheduled);
}

fn promote_keeps_the_due_time(t: &Fixture) {
    let due = t.now() + MINUTE;
    let id = t.put(t.job().when(When::At(due)));
    t.advance(10 * MINUTE);

    t.promote();

    assert_eq!(t.look(id).run_at, due);
}

fn promote_leaves_held_and_ended_jobs_alone(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    t.complete(&t.take(worker).lease);
    let cancelled = t.put(t.job().due_in(MINUTE));
    t.cancel(cancelled);
    t.put(t.job());
    t.take(worker);
    t.put(t.job().suspended());
    t.advance(10 * MINUTE);

    assert_eq!(t.promote().done, 0);
}

fn promote_takes_at_most_its_limit_the_longest_due_first(t: &Fixture) {
    let ids = [3, 1, 2].map(|minutes| t.put(t.job().due_in(minutes * MINUTE)));
    t.advance(3 * MINUTE);

    let round = t.must(|backend, call| backend.promote(call, 2));

    assert_eq!(round.done, 2);
    let states = ids.map(|id| t.state(id));
    assert_eq!(states, [JobState::Scheduled, JobState::Available, JobState::Available]);
}

fn promote_says_whether_more_is_due(t: &Fixture) {
    for _ in 0..3 {
        t.put(t.job().due_in(MINUTE));
    }
    t.put(t.job().due_in(10 * MINUTE));
    t.advance(MINUTE);

    assert!(t.must(|backend, call| backend.promote(call, 2)).more);
    assert!(!t.must(|backend, call| backend.promote(call, 2)).more);
}

fn promote_of_nothing_does_nothing(t: &Fixture) {
    let round = t.promote();

    assert_eq!((round.done, round.more), (0, false));
}

fn promote_twice_does_it_once(t: &Fixture) {
    t.put(t.job().due_in(MINUTE));
    t.advance(MINUTE);

    assert_eq!((t.promote().done, t.promote().done), (1, 0));
}

fn promote_never_misses_the_next_due_time(t: &Fixture) {
    t.put(t.job().due_in(5 * MINUTE));
    t.put(t.job().due_in(2 * MINUTE));

    let next = t.promote().next_due;

    assert!(next.is_none_or(|next| next <= t.now() + 2 * MINUTE), "{next:?}");
}

fn promote_of_a_paused_queue_makes_jobs_available(t: &Fixture) {
    let id = t.put(t.job().due_in(MINUTE));
    t.pause(Fixture::QUEUE);
    t.advance(MINUTE);

    t.promote();

    assert_eq!(t.state(id), JobState::Available);
}

fn promote_survives_reopening(t: &Fixture) {
    let id = t.put(t.job().due_in(MINUTE));
    t.reopen();
    t.advance(MINUTE);

    assert_eq!(t.promote().done, 1);

    t.reopen();
    assert_eq!(t.state(id), JobState::Available);
}
