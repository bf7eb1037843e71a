//! Hints to listeners of the same process.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gristmill_core::{FinishItem, Hint, Listener, Subscription};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "notify":
    notify_tells_of_an_enqueued_job needs Notifications,
    notify_tells_when_a_waiting_job_is_due needs Notifications,
    notify_tells_of_an_effect needs Notifications,
    notify_tells_of_a_promoted_job needs Notifications,
    notify_tells_of_a_rescued_job needs Notifications,
    notify_tells_of_a_job_given_back needs Notifications,
    notify_tells_of_a_parked_job needs Notifications,
    notify_tells_of_a_retry_by_hand needs Notifications,
    notify_tells_of_a_released_hold needs Notifications,
    notify_tells_of_a_cancel_of_a_running_job needs Notifications,
    notify_tells_of_pause_and_resume needs Notifications,
    notify_tells_of_ends_to_those_who_watch_them needs Notifications,
    notify_tells_every_listener needs Notifications,
    notify_comes_after_the_fact_is_stored needs Notifications,
    notify_ends_with_the_subscription,
    notify_lost_loses_no_job,
}

/// How long a test waits for a hint that a backend promises. Backends send it within the call that caused it,
/// or right after.
const PATIENCE: Duration = Duration::from_secs(5);

struct Ear {
    hints: Mutex<Sender<Hint>>,
    watches_ends: bool,
}

impl Listener for Ear {
    fn hint(&self, hint: &Hint) {
        // The case may have heard enough and be gone.
        let _ = self.hints.lock().unwrap_or_else(PoisonError::into_inner).send(hint.clone());
    }

    fn watches_ends(&self) -> bool {
        self.watches_ends
    }
}

/// Listens until the subscription is dropped.
fn listen(t: &Fixture, watches_ends: bool) -> (Receiver<Hint>, Subscription) {
    let (hints, heard) = channel();
    let ear = Ear { hints: Mutex::new(hints), watches_ends };
    (heard, t.backend().subscribe(Arc::new(ear)))
}

/// Waits for a hint among others.
fn assert_heard(heard: &Receiver<Hint>, expected: &Hint) {
    loop {
        match heard.recv_timeout(PATIENCE) {
            Ok(hint) if hint == *expected => return,
            Ok(_other) => {}
            Err(error) => panic!("{expected:?} was not told: {error}"),
        }
    }
}

fn available() -> Hint {
    Hint::Available(name(Fixture::QUEUE))
}

fn notify_tells_of_an_enqueued_job(t: &Fixture) {
    let (heard, _subscription) = listen(t, false);

    t.put(t.job());

    assert_heard(&heard, &available());
}

/// Without it an idle worker would learn of a short delay only when it looks the next time.
fn notify_tells_when_a_waiting_job_is_due(t: &Fixture) {
    let (heard, _subscription) = listen(t, false);

    t.enqueue(vec![t.job().due_in(Duration::from_secs(20)), t.job().due_in(Duration::from_secs(19))]);

    assert_heard(&heard, &Hint::Due(t.now() + Duration::from_secs(19)));
}

fn notify_tells_of_an_effect(t: &Fixture) {
    t.put(t.job());
    let mut end = FinishItem::complete(t.take(t.worker()).lease);
    end.effects.push(t.job().queue("next"));
    let (heard, _subscription) = listen(t, false);

    t.finish(end);

    assert_heard(&heard, &Hint::Available(name("next")));
}

fn notify_tells_of_a_promoted_job(t: &Fixture) {
    t.put(t.job().due_in(Duration::from_secs(1)));
    let (heard, _subscription) = listen(t, false);
    t.advance(Duration::from_secs(1));

    t.promote();

    assert_heard(&heard, &available());
}

fn notify_tells_of_a_rescued_job(t: &Fixture) {
    t.put(t.job());
    t.take(t.worker());
    let (heard, _subscription) = listen(t, false);

    t.crash();

    assert_heard(&heard, &available());
}

fn notify_tells_of_a_job_given_back(t: &Fixture) {
    t.put(t.job());
    let lease = t.take(t.worker()).lease;
    let (heard, _subscription) = listen(t, false);

    t.give_back(&lease);

    assert_heard(&heard, &available());
}

/// The worker that has a handler may be idle: it heard of the job before, and found it gone.
fn notify_tells_of_a_parked_job(t: &Fixture) {
    t.put(t.job().kind("late"));
    let mut registration = t.registration(gristmill_core::WorkerId::random());
    registration.kinds = vec![name("other")];
    let worker = registration.worker;
    t.register(registration);
    let (heard, _subscription) = listen(t, false);

    t.fetch(worker, 1);

    assert_heard(&heard, &available());
}

fn notify_tells_of_a_retry_by_hand(t: &Fixture) {
    let id = t.put(t.job().due_in(Duration::from_secs(60)));
    let (heard, _subscription) = listen(t, false);

    t.retry(id);

    assert_heard(&heard, &available());
}

fn notify_tells_of_a_released_hold(t: &Fixture) {
    let id = t.put(t.job().suspended());
    let (heard, _subscription) = listen(t, false);

    t.release_hold(id);

    assert_heard(&heard, &available());
}

fn notify_tells_of_a_cancel_of_a_running_job(t: &Fixture) {
    let id = t.put(t.job());
    t.take(t.worker());
    let (heard, _subscription) = listen(t, false);

    t.cancel(id);

    assert_heard(&heard, &Hint::CancelRequested(id));
}

fn notify_tells_of_pause_and_resume(t: &Fixture) {
    t.put(t.job());
    let (heard, _subscription) = listen(t, false);

    t.pause(Fixture::QUEUE);
    assert_heard(&heard, &Hint::QueueChanged(name(Fixture::QUEUE)));
    t.resume(Fixture::QUEUE);
    assert_heard(&heard, &Hint::QueueChanged(name(Fixture::QUEUE)));
}

fn notify_tells_of_ends_to_those_who_watch_them(t: &Fixture) {
    let id = t.put(t.job());
    let lease = t.take(t.worker()).lease;
    let (heard, _subscription) = listen(t, true);

    t.complete(&lease);

    assert_heard(&heard, &Hint::Ended(id));
}

fn notify_tells_every_listener(t: &Fixture) {
    let (one, _first) = listen(t, false);
    let (two, _second) = listen(t, false);

    t.put(t.job());

    assert_heard(&one, &available());
    assert_heard(&two, &available());
}

fn notify_comes_after_the_fact_is_stored(t: &Fixture) {
    let (heard, _subscription) = listen(t, false);
    let worker = t.worker();

    std::thread::scope(|scope| {
        scope.spawn(|| t.put(t.job()));
        assert_heard(&heard, &available());
        assert_eq!(t.fetch(worker, 1).len(), 1);
    });
}

fn notify_ends_with_the_subscription(t: &Fixture) {
    let (heard, subscription) = listen(t, true);
    drop(subscription);

    t.put(t.job());

    // The listener itself is dropped with the subscription, so the channel is closed, not merely silent.
    assert_eq!(heard.recv_timeout(PATIENCE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}

fn notify_lost_loses_no_job(t: &Fixture) {
    t.put(t.job());

    assert_eq!(t.fetch(t.worker(), 1).len(), 1);
}
