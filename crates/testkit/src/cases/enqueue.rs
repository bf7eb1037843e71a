//! What becomes of a job that is enqueued.

use std::time::Duration;

use gristmill_core::{Args, EnqueueRequest, Enqueued, ExistingBy, JobState, Metadata, RetryPolicy, When};

use crate::case::cases;
use crate::fixture::encoded;
use crate::{Fixture, Shape};

cases! { "enqueue":
    enqueue_makes_a_job_available_at_once,
    enqueue_starts_without_attempts_or_runs,
    enqueue_keeps_every_part_of_the_spec,
    enqueue_keeps_args_byte_for_byte,
    enqueue_keeps_a_mebibyte_of_args,
    enqueue_keeps_the_encoding_of_args,
    enqueue_answers_each_job_in_order,
    enqueue_of_nothing_answers_nothing,
    enqueue_after_a_delay_is_scheduled_by_the_stores_clock,
    enqueue_for_a_past_instant_is_available,
    enqueue_for_a_future_instant_is_scheduled_to_the_millisecond,
    enqueue_for_the_end_of_time_is_scheduled,
    enqueue_suspended_is_held,
    enqueue_of_a_known_id_changes_nothing,
    enqueue_of_an_id_that_has_ended_does_not_revive_it,
    enqueue_of_one_id_twice_in_a_call_stores_one,
    enqueue_of_a_known_id_spares_its_neighbours,
    enqueue_stores_a_full_batch,
    enqueue_reports_the_durability_of_ping,
    enqueue_survives_reopening needs Durable,
}

const HOUR: Duration = Duration::from_secs(3600);

fn enqueue_makes_a_job_available_at_once(t: &Fixture) {
    let id = t.put(t.job());

    let job = t.look(id);
    assert_eq!((job.state, job.run_at, job.created_at), (JobState::Available, t.now(), t.now()));
}

fn enqueue_starts_without_attempts_or_runs(t: &Fixture) {
    let job = t.look(t.put(t.job()));

    assert_eq!((job.attempt, job.run, job.crashes), (0, 0, 0));
    assert_eq!((job.attempted_at, job.finished_at, job.worker), (None, None, None));
    assert_eq!((job.cancel_requested, job.output, job.progress), (false, None, None));
    assert!(job.errors.is_empty() && t.runs(job.id).is_empty());
}

fn enqueue_keeps_every_part_of_the_spec(t: &Fixture) {
    let policy = RetryPolicy::linear(Duration::from_millis(1_500), HOUR).without_jitter();
    let mut job = t.job().queue("mail:eu/1").kind("email.send").priority(-7).key("k 'é\"%").attempts(3);
    job = job.tag("red").tag("a/b").args(r#"{"n":1}"#).retried(policy).kept(Duration::from_millis(7));
    job.spec.timeout = Some(Duration::from_millis(12_345));
    job.spec.metadata = Metadata::new().with("tenant", "acme \u{1f41f}").with("depth", 3);
    let spec = job.spec.clone();

    let id = t.put(job);

    assert_eq!(t.look(id).spec, spec);
}

/// One source design stored args in a column that normalised JSON: key order and number spelling changed, and
/// signatures over the args no longer held. Args are bytes here.
fn enqueue_keeps_args_byte_for_byte(t: &Fixture) {
    let json = "{ \"b\" : 1.50, \"a\": [1e2,\t-0, 18446744073709551615], \"b\": \"\\u00e9é\" }";

    let id = t.put(t.job().args(json));

    assert_eq!(t.look(id).spec.args.as_bytes(), json.as_bytes());
}

fn enqueue_keeps_a_mebibyte_of_args(t: &Fixture) {
    let json = format!("\"{}\"", "x".repeat(gristmill_core::MAX_ARGS_BYTES - 2));
    let args = Args::from_json(json.clone()).unwrap_or_else(|error| panic!("{error}"));

    let mut job = t.job();
    job.spec.args = args;
    let id = t.put(job);

    assert!(t.look(id).spec.args.as_bytes() == json.as_bytes(), "the args came back changed");
}

fn enqueue_keeps_the_encoding_of_args(t: &Fixture) {
    let plain = t.put(t.job());
    let mut job = t.job();
    job.spec.args = encoded(b"\x28\xb5\x00\xff", "zstd");
    let args = job.spec.args.clone();
    let id = t.put(job);

    assert_eq!(t.look(id).spec.args, args);
    assert!(t.look(plain).spec.args.encoding().is_json());
    let worker = t.worker();
    let fetched = [t.take(worker), t.take(worker)];
    assert!(fetched[0].spec.args.encoding().is_json());
    assert_eq!(fetched[1].spec.args, args);
}

fn enqueue_answers_each_job_in_order(t: &Fixture) {
    let known = t.job();
    t.put(known.clone());

    let replies = t.enqueue(vec![t.job(), known.clone(), t.job()]);

    let existing = Enqueued::Existing { id: known.id, by: ExistingBy::Id };
    assert_eq!(replies, [Enqueued::Created, existing, Enqueued::Created]);
}

fn enqueue_of_nothing_answers_nothing(t: &Fixture) {
    assert!(t.enqueue(Vec::new()).is_empty());
}

fn enqueue_after_a_delay_is_scheduled_by_the_stores_clock(t: &Fixture) {
    let id = t.put(t.job().due_in(Duration::from_millis(1_234)));

    let job = t.look(id);
    assert_eq!((job.state, job.run_at), (JobState::Scheduled, t.now() + Duration::from_millis(1_234)));
}

fn enqueue_for_a_past_instant_is_available(t: &Fixture) {
    let due = t.now() - HOUR;

    let id = t.put(t.job().when(When::At(due)));

    let job = t.look(id);
    assert_eq!((job.state, job.run_at), (JobState::Available, due));
}

fn enqueue_for_a_future_instant_is_scheduled_to_the_millisecond(t: &Fixture) {
    let due = t.now().offset_millis(1);

    let id = t.put(t.job().when(When::At(due)));

    let job = t.look(id);
    assert_eq!((job.state, job.run_at), (JobState::Scheduled, due));
}

fn enqueue_for_the_end_of_time_is_scheduled(t: &Fixture) {
    let id = t.put(t.job().due_in(Duration::MAX));

    let job = t.look(id);
    assert_eq!((job.state, job.run_at), (JobState::Scheduled, gristmill_core::Timestamp::MAX));
}

fn enqueue_suspended_is_held(t: &Fixture) {
    let id = t.put(t.job().suspended());

    t.advance(HOUR);
    t.promote();
    t.worker();

    assert_eq!(t.state(id), JobState::Suspended);
}

fn enqueue_of_a_known_id_changes_nothing(t: &Fixture) {
    let job = t.job().args(r#"{"first":true}"#);
    let id = t.put(job.clone());
    let before = t.look(id);
    t.advance(HOUR);

    let again = t.enqueue(vec![job.args(r#"{"second":true}"#).priority(5)]);

    assert_eq!(again, [Enqueued::Existing { id, by: ExistingBy::Id }]);
    assert_eq!(t.look(id), before);
}

fn enqueue_of_an_id_that_has_ended_does_not_revive_it(t: &Fixture) {
    let job = t.job();
    let id = t.put(job.clone());
    let worker = t.worker();
    t.complete(&t.take(worker).lease);

    let again = t.enqueue(vec![job]);

    assert_eq!(again, [Enqueued::Existing { id, by: ExistingBy::Id }]);
    assert_eq!(t.state(id), JobState::Completed);
}

fn enqueue_of_one_id_twice_in_a_call_stores_one(t: &Fixture) {
    let job = t.job();
    let id = job.id;

    let replies = t.enqueue(vec![job.clone(), job]);

    assert_eq!(replies, [Enqueued::Created, Enqueued::Existing { id, by: ExistingBy::Id }]);
}

fn enqueue_of_a_known_id_spares_its_neighbours(t: &Fixture) {
    let known = t.job();
    t.put(known.clone());
    let (first, last) = (t.job(), t.job());
    let ids = [first.id, known.id, last.id];

    t.enqueue(vec![first, known, last]);

    t.assert_states(&ids, JobState::Available);
}

fn enqueue_stores_a_full_batch(t: &Fixture) {
    let ids = t.put_many(1_000);

    assert!(t.find_all(&ids).iter().all(Option::is_some));
}

fn enqueue_reports_the_durability_of_ping(t: &Fixture) {
    let jobs = vec![t.job()];
    let reply = t.must(|backend, call| backend.enqueue(call, EnqueueRequest::new(jobs)));

    assert_eq!(reply.durability, t.must(|backend, call| backend.ping(call)).durability);
}

fn enqueue_survives_reopening(t: &Fixture) {
    let ids = [t.put(t.job()), t.put(t.job().due_in(HOUR)), t.put(t.job().suspended().key("k").tag("red"))];
    let before = t.find_all(&ids);

    t.reopen();

    assert_eq!(t.find_all(&ids), before);
}
