//! What a fetch leases, and to whom.

use std::time::Duration;

use gristmill_core::{BackendErrorKind, FetchRequest, FinishItem, Finished, JobState, QueueWant, WorkerId};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "fetch":
    fetch_gives_each_job_to_one_worker,
    fetch_gives_at_most_what_it_was_asked_for,
    fetch_of_an_empty_queue_gives_nothing,
    fetch_of_nothing_gives_nothing,
    fetch_carries_the_whole_spec,
    fetch_counts_the_attempt_and_the_run,
    fetch_marks_the_job_running_by_the_worker,
    fetch_takes_only_available_jobs,
    fetch_never_gives_a_job_before_it_is_due,
    fetch_takes_each_queue_for_itself,
    fetch_answers_once_for_each_queue_in_order,
    fetch_of_another_queue_gives_nothing,
    fetch_keeps_queues_apart_whose_names_run_together,
    fetch_repeated_with_one_claim_gives_the_same_leases,
    fetch_repeated_with_one_claim_gives_no_new_jobs,
    fetch_repeated_leaves_out_what_was_finished,
    fetch_with_one_claim_number_of_two_workers_are_two_fetches,
    fetch_gives_every_run_a_token_of_its_own,
    fetch_says_when_a_queue_is_exhausted,
    fetch_never_calls_a_queue_exhausted_that_is_not,
    fetch_never_sleeps_past_the_next_due_time,
    fetch_leases_for_no_longer_than_the_worker_lives,
    fetch_of_an_unknown_worker_is_refused,
    fetch_of_an_expired_worker_is_refused,
    fetch_of_a_retired_worker_is_refused,
    fetch_sees_what_a_finish_made_available,
    fetch_survives_reopening needs Durable,
}

fn fetch_gives_each_job_to_one_worker(t: &Fixture) {
    let mut expected = t.put_many(10);
    let (one, two) = (t.worker(), t.worker());

    let mut fetched: Vec<_> = [t.fetch(one, 4), t.fetch(two, 4), t.fetch(one, 4), t.fetch(two, 4)]
        .into_iter()
        .flatten()
        .map(|job| job.lease.job)
        .collect();

    fetched.sort();
    expected.sort();
    assert_eq!(fetched, expected);
}

fn fetch_gives_at_most_what_it_was_asked_for(t: &Fixture) {
    t.put_many(5);

    assert_eq!(t.fetch(t.worker(), 3).len(), 3);
}

fn fetch_of_an_empty_queue_gives_nothing(t: &Fixture) {
    assert!(t.fetch(t.worker(), 3).is_empty());
}

fn fetch_of_nothing_gives_nothing(t: &Fixture) {
    let reply = t.fetch_wants(t.worker(), t.next_claim(), Vec::new());

    assert!(reply.jobs.is_empty() && reply.queues.is_empty());
}

fn fetch_carries_the_whole_spec(t: &Fixture) {
    let job = t.job().kind("email.send").priority(3).key("k").attempts(4).tag("red").args(r#"{"n":[1]}"#);
    let spec = job.spec.clone();
    t.put(job);

    assert_eq!(t.take(t.worker()).spec, spec.into());
}

fn fetch_counts_the_attempt_and_the_run(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());

    for expected in 1..=3 {
        let job = t.take(worker);
        assert_eq!((job.attempt, job.lease.run), (u16::try_from(expected).unwrap_or(0), expected));
        let record = t.look(id);
        assert_eq!((u32::from(record.attempt), record.run), (expected, expected));
        t.fail(&job.lease, Duration::ZERO);
        t.promote();
    }
}

fn fetch_marks_the_job_running_by_the_worker(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    t.advance(Duration::from_secs(3));

    t.take(worker);

    let job = t.look(id);
    assert_eq!((job.state, job.worker, job.attempted_at), (JobState::Running, Some(worker), Some(t.now())));
}

fn fetch_takes_only_available_jobs(t: &Fixture) {
    let worker = t.worker();
    let retryable = t.put(t.job());
    t.fail(&t.take(worker).lease, Duration::from_secs(9));
    let completed = t.put(t.job());
    t.complete(&t.take(worker).lease);
    let running = t.put(t.job());
    t.take(worker);
    let cancelled = t.put(t.job());
    t.cancel(cancelled);
    let others = [retryable, completed, running, cancelled, t.put(t.job().suspended())];
    let available = t.put(t.job());

    let fetched: Vec<_> = t.fetch(worker, 10).iter().map(|job| job.lease.job).collect();

    assert_eq!(fetched, [available], "of {others:?} none may be fetched");
}

fn fetch_never_gives_a_job_before_it_is_due(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job().due_in(Duration::from_millis(100)));

    t.advance(Duration::from_millis(99));
    t.promote();
    assert!(t.fetch(worker, 1).is_empty());

    t.advance(Duration::from_millis(1));
    t.promote();
    assert_eq!(t.fetch(worker, 1).len(), 1);
}

fn fetch_takes_each_queue_for_itself(t: &Fixture) {
    for queue in ["a", "b"] {
        for _ in 0..3 {
            t.put(t.job().queue(queue));
        }
    }
    let wants = vec![QueueWant::new(name("a"), 1), QueueWant::new(name("b"), 2)];

    let jobs = t.fetch_wants(t.worker(), t.next_claim(), wants).jobs;

    let of = |queue: &str| jobs.iter().filter(|job| job.spec.queue.as_str() == queue).count();
    assert_eq!((of("a"), of("b")), (1, 2));
}

fn fetch_answers_once_for_each_queue_in_order(t: &Fixture) {
    t.put(t.job().queue("b"));
    let wants = ["c", "b", "a"].map(|queue| QueueWant::new(name(queue), 1)).to_vec();

    let reply = t.fetch_wants(t.worker(), t.next_claim(), wants);

    let queues: Vec<_> = reply.queues.iter().map(|queue| queue.queue.as_str()).collect();
    assert_eq!(queues, ["c", "b", "a"]);
}

fn fetch_of_another_queue_gives_nothing(t: &Fixture) {
    t.put(t.job());

    assert!(t.fetch_from(t.worker(), "other", 1).is_empty());
}

/// A key-value layout that joins a queue's name and a kind with a colon mixes `a` + `b:c` up with `a:b` +
/// `c`.
fn fetch_keeps_queues_apart_whose_names_run_together(t: &Fixture) {
    let worker = t.worker();
    for queue in ["a", "a:b", "a:b:c", "A", "a/b", "a.b", "a_b", "a-b"] {
        let id = t.put(t.job().queue(queue));
        let fetched: Vec<_> = t.fetch_from(worker, queue, 10).iter().map(|job| job.lease.job).collect();
        assert_eq!(fetched, [id], "{queue}");
    }
}

fn fetch_repeated_with_one_claim_gives_the_same_leases(t: &Fixture) {
    t.put_many(2);
    let (worker, claim) = (t.worker(), t.next_claim());
    let mut first = t.fetch_claim(worker, claim, Fixture::QUEUE, 2).jobs;

    let mut again = t.fetch_claim(worker, claim, Fixture::QUEUE, 2).jobs;

    first.sort_by_key(|job| job.lease.job);
    again.sort_by_key(|job| job.lease.job);
    assert_eq!(first, again);
}

fn fetch_repeated_with_one_claim_gives_no_new_jobs(t: &Fixture) {
    t.put(t.job());
    let (worker, claim) = (t.worker(), t.next_claim());
    t.fetch_claim(worker, claim, Fixture::QUEUE, 5);
    let later = t.put(t.job());

    let again = t.fetch_claim(worker, claim, Fixture::QUEUE, 5).jobs;

    assert_eq!(again.len(), 1);
    assert_eq!((again[0].attempt, t.state(later)), (1, JobState::Available));
}

fn fetch_repeated_leaves_out_what_was_finished(t: &Fixture) {
    t.put_many(2);
    let (worker, claim) = (t.worker(), t.next_claim());
    let jobs = t.fetch_claim(worker, claim, Fixture::QUEUE, 2).jobs;
    t.complete(&jobs[0].lease);

    let again = t.fetch_claim(worker, claim, Fixture::QUEUE, 2).jobs;

    assert_eq!(again, jobs[1..]);
}

fn fetch_with_one_claim_number_of_two_workers_are_two_fetches(t: &Fixture) {
    let ids = t.put_many(2);
    let claim = t.next_claim();

    let one = t.fetch_claim(t.worker(), claim, Fixture::QUEUE, 1).jobs;
    let two = t.fetch_claim(t.worker(), claim, Fixture::QUEUE, 1).jobs;

    assert_eq!((one[0].lease.job, two[0].lease.job), (ids[0], ids[1]));
}

fn fetch_gives_every_run_a_token_of_its_own(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    let mut tokens = Vec::new();

    for _ in 0..5 {
        let lease = t.take(worker).lease;
        t.give_back(&lease);
        tokens.push(lease.token);
    }

    for (at, token) in tokens.iter().enumerate() {
        assert!(!tokens[..at].contains(token), "a token was granted twice");
    }
}

fn fetch_says_when_a_queue_is_exhausted(t: &Fixture) {
    t.put_many(2);

    let reply = t.fetch_claim(t.worker(), t.next_claim(), Fixture::QUEUE, 5);

    assert!(reply.queues[0].exhausted && !reply.queues[0].paused);
}

fn fetch_never_calls_a_queue_exhausted_that_is_not(t: &Fixture) {
    t.put_many(3);

    let reply = t.fetch_claim(t.worker(), t.next_claim(), Fixture::QUEUE, 2);

    assert!(!reply.queues[0].exhausted);
}

fn fetch_never_sleeps_past_the_next_due_time(t: &Fixture) {
    t.put(t.job().due_in(Duration::from_secs(60)));
    t.put(t.job().due_in(Duration::from_secs(5)));

    let reply = t.fetch_claim(t.worker(), t.next_claim(), Fixture::QUEUE, 2);

    let due = t.now() + Duration::from_secs(5);
    assert!(reply.queues[0].next_due.is_none_or(|next| next <= due), "{:?}", reply.queues);
}

fn fetch_leases_for_no_longer_than_the_worker_lives(t: &Fixture) {
    t.put_many(2);
    let worker = t.worker();
    t.advance(Duration::from_secs(20));

    let reply = t.fetch_claim(worker, t.next_claim(), Fixture::QUEUE, 2);

    let expires_at = t.find_worker(worker).map(|record| record.lease_expires_at);
    assert_eq!(Some(t.now() + reply.lease_expires_in), expires_at);
}

fn refusal(t: &Fixture, worker: WorkerId) -> Option<BackendErrorKind> {
    let wants = vec![QueueWant::new(name(Fixture::QUEUE), 1)];
    t.try_fetch(FetchRequest::new(worker, t.next_claim(), wants)).err().map(|error| error.kind())
}

fn fetch_of_an_unknown_worker_is_refused(t: &Fixture) {
    let id = t.put(t.job());

    assert_eq!(refusal(t, WorkerId::random()), Some(BackendErrorKind::WorkerGone));

    assert_eq!(t.state(id), JobState::Available);
}

fn fetch_of_an_expired_worker_is_refused(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    t.advance(Fixture::LEASE + Duration::from_millis(1));

    assert_eq!(refusal(t, worker), Some(BackendErrorKind::WorkerGone));

    assert_eq!(t.state(id), JobState::Available);
}

fn fetch_of_a_retired_worker_is_refused(t: &Fixture) {
    let worker = t.worker();
    t.retire(worker);

    assert_eq!(refusal(t, worker), Some(BackendErrorKind::WorkerGone));
}

fn fetch_sees_what_a_finish_made_available(t: &Fixture) {
    let worker = t.worker();
    let given_back = t.put(t.job());
    let mut end = FinishItem::give_back(t.take(worker).lease, Duration::ZERO);
    let effect = t.job();
    let effect_id = effect.id;
    end.effects.push(effect);
    t.finish(end);

    let fetched: Vec<_> = t.fetch(worker, 5).iter().map(|job| job.lease.job).collect();

    assert_eq!(fetched, [given_back, effect_id]);
}

fn fetch_survives_reopening(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let claim = t.next_claim();
    let jobs = t.fetch_claim(worker, claim, Fixture::QUEUE, 1).jobs;

    t.reopen();

    assert_eq!(t.state(id), JobState::Running);
    assert_eq!(t.fetch_claim(worker, claim, Fixture::QUEUE, 1).jobs, jobs);
    assert_eq!(t.complete(&jobs[0].lease), Finished::Accepted { state: JobState::Completed });
}
