//! Pause and resume of queues.

use std::time::Duration;

use gristmill_core::{Enqueued, Finished, JobState, PauseRequest, QueueWant};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "pause":
    pause_stops_new_fetches,
    pause_says_so_in_the_fetch,
    pause_spares_other_queues_of_the_same_fetch,
    pause_lets_running_jobs_finish,
    pause_still_takes_enqueues,
    pause_works_before_the_queue_has_jobs,
    pause_keeps_reason_actor_and_time,
    pause_again_takes_the_newer_reason,
    pause_does_not_take_back_a_repeated_fetch,
    resume_lets_the_queue_go_on,
    resume_clears_reason_actor_and_time,
    resume_of_a_queue_that_is_not_paused_is_no_error,
    resume_of_an_unknown_queue_is_no_error,
    pause_survives_reopening needs Durable,
}

fn pause_stops_new_fetches(t: &Fixture) {
    let id = t.put(t.job());
    t.pause(Fixture::QUEUE);

    assert!(t.fetch(t.worker(), 1).is_empty());

    assert_eq!((t.state(id), t.look(id).attempt), (JobState::Available, 0));
}

fn pause_says_so_in_the_fetch(t: &Fixture) {
    t.put(t.job());
    t.pause(Fixture::QUEUE);

    let reply = t.fetch_claim(t.worker(), t.next_claim(), Fixture::QUEUE, 1);

    assert!(reply.queues[0].paused);
}

fn pause_spares_other_queues_of_the_same_fetch(t: &Fixture) {
    t.put(t.job());
    let other = t.put(t.job().queue("other"));
    t.pause(Fixture::QUEUE);
    let wants = [Fixture::QUEUE, "other"].map(|queue| QueueWant::new(name(queue), 5)).to_vec();

    let reply = t.fetch_wants(t.worker(), t.next_claim(), wants);

    assert_eq!(reply.jobs.iter().map(|job| job.lease.job).collect::<Vec<_>>(), [other]);
    assert_eq!(reply.queues.iter().map(|queue| queue.paused).collect::<Vec<_>>(), [true, false]);
}

fn pause_lets_running_jobs_finish(t: &Fixture) {
    t.put(t.job());
    let lease = t.take(t.worker()).lease;
    t.pause(Fixture::QUEUE);

    assert_eq!(t.complete(&lease), Finished::Accepted { state: JobState::Completed });
}

fn pause_still_takes_enqueues(t: &Fixture) {
    t.pause(Fixture::QUEUE);

    assert_eq!(t.enqueue(vec![t.job()]), [Enqueued::Created]);
}

fn pause_works_before_the_queue_has_jobs(t: &Fixture) {
    t.pause("later");
    t.put(t.job().queue("later"));

    assert!(t.fetch_from(t.worker(), "later", 1).is_empty());
}

/// Pauses the usual queue with this reason and gives its record.
fn pause_for(t: &Fixture, reason: &str, actor: &str) -> gristmill_core::QueueRecord {
    let mut request = PauseRequest::new(name(Fixture::QUEUE));
    (request.reason, request.actor) = (Some(reason.to_owned()), Some(actor.to_owned()));
    t.must(|backend, call| backend.pause(call, request));
    t.queue_stats(Fixture::QUEUE).queue
}

fn pause_keeps_reason_actor_and_time(t: &Fixture) {
    t.advance(Duration::from_secs(5));

    let record = pause_for(t, "the mail server is down", "ada");

    assert_eq!(record.paused_at, Some(t.now()));
    assert_eq!(record.pause_reason.as_deref(), Some("the mail server is down"));
    assert_eq!(record.paused_by.as_deref(), Some("ada"));
}

fn pause_again_takes_the_newer_reason(t: &Fixture) {
    pause_for(t, "one", "ada");

    let record = pause_for(t, "two", "bo");

    assert_eq!((record.pause_reason.as_deref(), record.paused_by.as_deref()), (Some("two"), Some("bo")));
}

/// The reply to a fetch was lost and the queue paused meanwhile: the jobs are the worker's all the same.
fn pause_does_not_take_back_a_repeated_fetch(t: &Fixture) {
    t.put(t.job());
    let (worker, claim) = (t.worker(), t.next_claim());
    let jobs = t.fetch_claim(worker, claim, Fixture::QUEUE, 1).jobs;
    t.pause(Fixture::QUEUE);

    assert_eq!(t.fetch_claim(worker, claim, Fixture::QUEUE, 1).jobs, jobs);
}

fn resume_lets_the_queue_go_on(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    t.pause(Fixture::QUEUE);
    t.resume(Fixture::QUEUE);

    let reply = t.fetch_claim(worker, t.next_claim(), Fixture::QUEUE, 1);

    assert_eq!((reply.jobs.len(), reply.queues[0].paused), (1, false));
}

fn resume_clears_reason_actor_and_time(t: &Fixture) {
    pause_for(t, "one", "ada");

    t.resume(Fixture::QUEUE);

    let record = t.queue_stats(Fixture::QUEUE).queue;
    assert_eq!((record.paused_at, record.pause_reason, record.paused_by), (None, None, None));
}

fn resume_of_a_queue_that_is_not_paused_is_no_error(t: &Fixture) {
    t.put(t.job());

    t.resume(Fixture::QUEUE);

    assert_eq!(t.fetch(t.worker(), 1).len(), 1);
}

fn resume_of_an_unknown_queue_is_no_error(t: &Fixture) {
    t.resume("nowhere");
}

fn pause_survives_reopening(t: &Fixture) {
    t.put(t.job());
    let record = pause_for(t, "one", "ada");

    t.reopen();

    assert_eq!(t.queue_stats(Fixture::QUEUE).queue, record);
    assert!(t.fetch(t.worker(), 1).is_empty());
}
