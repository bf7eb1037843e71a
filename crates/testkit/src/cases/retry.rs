//! What a failure and a retry by hand make of a job.

use std::time::Duration;

use gristmill_core::{
    Decision, Ending, FinishItem, Finished, JobFilter, JobId, JobRecord, JobState, RunError, Verdict,
};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "retry":
    retry_after_a_failure_waits_for_its_delay,
    retry_after_a_failure_spends_the_attempt,
    retry_runs_a_job_at_most_max_attempts_times,
    retry_of_the_largest_number_of_attempts_is_kept,
    retry_keeps_the_error_of_each_attempt,
    retry_keeps_the_latest_errors_only,
    retry_keeps_a_hostile_error,
    retry_keeps_timeouts_and_panics_apart,
    retry_discards_with_the_reason_exhausted,
    retry_after_a_snooze_does_not_count_the_snooze,
    retry_by_hand_makes_a_job_available_at_once,
    retry_by_hand_revives_a_job_from_every_end,
    retry_by_hand_a_second_time_runs_as_the_first_time,
    retry_by_hand_starts_attempts_again_and_keeps_the_history,
    retry_by_hand_forgets_crashes_in_a_row,
    retry_by_hand_of_an_available_job_leaves_it_as_it_is,
    retry_by_hand_of_a_running_job_is_refused,
    retry_by_hand_of_a_suspended_job_is_refused,
    retry_by_hand_of_no_job_is_not_found,
    retry_by_hand_is_noted_with_its_actor,
    retry_by_hand_of_many_answers_each,
    retry_by_hand_everywhere_reaches_every_match,
    retry_by_hand_of_a_revived_job_is_not_pruned_by_its_old_end,
    retry_survives_reopening needs Durable,
}

const MINUTE: Duration = Duration::from_secs(60);

fn retry_after_a_failure_waits_for_its_delay(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    t.advance(Duration::from_secs(3));

    let reply = t.fail(&t.take(worker).lease, MINUTE);

    assert_eq!(reply, Finished::Accepted { state: JobState::Retryable });
    let job = t.look(id);
    assert_eq!((job.state, job.run_at, job.finished_at), (JobState::Retryable, t.now() + MINUTE, None));
}

fn retry_after_a_failure_spends_the_attempt(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());

    t.fail(&t.take(worker).lease, MINUTE);

    assert_eq!((t.look(id).attempt, t.look(id).run), (1, 1));
}

/// Three source designs disagreed by one: what they called "max retries" ran a job once more than its bound
/// said.
fn retry_runs_a_job_at_most_max_attempts_times(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job().attempts(3));
    let mut runs = 0;

    while let Some(job) = t.fetch(worker, 1).pop() {
        runs += 1;
        t.fail(&job.lease, Duration::ZERO);
        t.promote();
    }

    assert_eq!((runs, t.state(id)), (3, JobState::Discarded));
}

fn retry_of_the_largest_number_of_attempts_is_kept(t: &Fixture) {
    let id = t.put(t.job().attempts(u16::MAX));

    assert_eq!(t.look(id).spec.max_attempts.get(), u16::MAX);
}

/// Fails a job with this error and brings it back at once.
fn fail_with(t: &Fixture, error: RunError) {
    let lease = t.take(t.worker()).lease;
    t.finish(FinishItem::fail(lease, Duration::ZERO, error));
    t.promote();
}

fn retry_keeps_the_error_of_each_attempt(t: &Fixture) {
    let id = t.put(t.job());
    fail_with(t, RunError::new("the first"));
    let first_at = t.now();
    t.advance(MINUTE);

    fail_with(t, RunError::new("the second").with_backtrace("at line 7"));

    let job = t.look(id);
    let errors: Vec<_> = job.errors.iter().map(|it| (it.attempt, it.at, it.message.as_str())).collect();
    assert_eq!(errors, [(1, first_at, "the first"), (2, t.now(), "the second")]);
    let backtrace = t.runs(id)[1].error.clone().and_then(|error| error.backtrace);
    assert_eq!(backtrace.as_deref(), Some("at line 7"));
}

fn retry_keeps_the_latest_errors_only(t: &Fixture) {
    let id = t.put(t.job().attempts(100));
    for number in 1..=JobRecord::MAX_ERRORS + 3 {
        fail_with(t, RunError::new(format!("number {number}")));
    }

    let errors = t.look(id).errors;

    assert_eq!(errors.len(), JobRecord::MAX_ERRORS);
    assert_eq!((errors[0].message.as_str(), errors[19].message.as_str()), ("number 4", "number 23"));
}

/// A database refused NUL in an error's text, so the finish failed, the lease ran out, and the job failed for
/// ever.
fn retry_keeps_a_hostile_error(t: &Fixture) {
    let id = t.put(t.job());
    let error =
        RunError::new(format!("nul \0 esc \x1b[31m quote '\" back\\slash \u{1f41f} {}", "x".repeat(99_999)));

    fail_with(t, error.clone());

    assert_eq!(t.look(id).errors[0].message, error.message);
}

fn retry_keeps_timeouts_and_panics_apart(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    for ending in [Ending::Timeout, Ending::Panic, Ending::Failed] {
        let mut end = FinishItem::fail(t.take(worker).lease, Duration::ZERO, RunError::new("no"));
        end.ending = ending;
        t.finish(end);
        t.promote();
    }

    let endings: Vec<_> = t.look(id).errors.iter().map(|error| error.ending).collect();

    assert_eq!(endings, [Ending::Timeout, Ending::Panic, Ending::Failed]);
}

fn retry_discards_with_the_reason_exhausted(t: &Fixture) {
    let id = t.put(t.job().attempts(1));

    fail_with(t, RunError::new("no"));

    let job = t.look(id);
    assert_eq!((job.state, job.reason.as_deref()), (JobState::Discarded, Some("exhausted")));
}

fn retry_after_a_snooze_does_not_count_the_snooze(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job().attempts(1));
    for _ in 0..5 {
        let lease = t.take(worker).lease;
        t.finish(FinishItem::new(lease, Decision::SnoozeAfter(Duration::from_secs(1)), Ending::Snoozed));
        t.advance(Duration::from_secs(1));
        t.promote();
    }

    assert_eq!((t.take(worker).attempt, t.look(id).run), (1, 6));
}

fn retry_by_hand_makes_a_job_available_at_once(t: &Fixture) {
    let worker = t.worker();
    let retryable = t.put(t.job());
    t.fail(&t.take(worker).lease, MINUTE);
    let scheduled = t.put(t.job().due_in(MINUTE));

    for id in [retryable, scheduled] {
        assert_eq!(t.retry(id), Verdict::Done);
        assert_eq!((t.state(id), t.look(id).run_at), (JobState::Available, t.now()));
    }
}

/// A completed, a cancelled and a discarded job.
fn ended(t: &Fixture) -> [JobId; 3] {
    let worker = t.worker();
    let completed = t.put(t.job());
    t.complete(&t.take(worker).lease);
    let cancelled = t.put(t.job());
    t.cancel(cancelled);
    let discarded = t.put(t.job().attempts(1));
    t.fail(&t.take(worker).lease, MINUTE);
    [completed, cancelled, discarded]
}

fn retry_by_hand_revives_a_job_from_every_end(t: &Fixture) {
    for id in ended(t) {
        assert_eq!(t.retry(id), Verdict::Done);
        let job = t.look(id);
        assert_eq!((job.state, job.finished_at, job.run_at), (JobState::Available, None, t.now()));
    }
    assert_eq!(t.fetch(t.worker(), 5).len(), 3);
}

fn retry_by_hand_a_second_time_runs_as_the_first_time(t: &Fixture) {
    let id = t.put(t.job());
    t.complete(&t.take(t.worker()).lease);
    for run in [2, 3] {
        assert_eq!(t.retry(id), Verdict::Done);
        let lease = t.take(t.worker()).lease;
        assert_eq!((lease.run, t.state(id)), (run, JobState::Running));
        t.complete(&lease);
        assert_eq!(t.state(id), JobState::Completed);
    }
    assert_eq!(t.count(JobFilter::new().state(JobState::Completed)), 1);
}

fn retry_by_hand_starts_attempts_again_and_keeps_the_history(t: &Fixture) {
    let id = t.put(t.job().attempts(2));
    fail_with(t, RunError::new("one"));
    fail_with(t, RunError::new("two"));

    t.retry(id);

    let job = t.look(id);
    assert_eq!((job.attempt, job.run, job.errors.len(), t.runs(id).len()), (0, 2, 2, 2));
    assert_eq!(t.take(t.worker()).attempt, 1);
}

/// A job that was buried as poison and revived by an operator who has mended its handler deserves a fresh
/// start: one more deploy in its way must not bury it again.
fn retry_by_hand_forgets_crashes_in_a_row(t: &Fixture) {
    let id = t.put(t.job());
    while t.state(id) != JobState::Discarded {
        t.take(t.worker());
        t.crash();
        t.advance(Duration::from_secs(24 * 3600));
        t.promote();
    }

    t.retry(id);

    assert_eq!(t.look(id).crashes, 0);
    t.take(t.worker());
    t.crash();
    assert_eq!(t.state(id), JobState::Available);
}

fn retry_by_hand_of_an_available_job_leaves_it_as_it_is(t: &Fixture) {
    let id = t.put(t.job());
    let before = t.look(id);
    t.advance(MINUTE);

    assert_eq!(t.retry(id), Verdict::Done);

    assert_eq!(t.look(id), before);
}

fn retry_by_hand_of_a_running_job_is_refused(t: &Fixture) {
    let id = t.put(t.job());
    t.take(t.worker());

    assert_eq!(t.retry(id), Verdict::Refused(JobState::Running));

    assert_eq!((t.state(id), t.look(id).attempt), (JobState::Running, 1));
}

fn retry_by_hand_of_a_suspended_job_is_refused(t: &Fixture) {
    let id = t.put(t.job().suspended());

    assert_eq!(t.retry(id), Verdict::Refused(JobState::Suspended));

    assert_eq!(t.state(id), JobState::Suspended);
}

fn retry_by_hand_of_no_job_is_not_found(t: &Fixture) {
    assert_eq!(t.retry(t.next_id()), Verdict::NotFound);
}

fn retry_by_hand_is_noted_with_its_actor(t: &Fixture) {
    let id = t.put(t.job());
    t.cancel(id);
    let request = gristmill_core::VerbRequest::ids(vec![id]).by("ada");

    t.must(|backend, call| backend.retry(call, request));

    let events = t.events(id);
    let noted = events.iter().any(|event| event.what == "retry" && event.actor.as_deref() == Some("ada"));
    assert!(noted, "{events:?}");
}

fn retry_by_hand_of_many_answers_each(t: &Fixture) {
    let scheduled = t.put(t.job().due_in(MINUTE));
    let (unknown, suspended) = (t.next_id(), t.put(t.job().suspended()));
    let request = gristmill_core::VerbRequest::ids(vec![unknown, scheduled, suspended]);

    let reply = t.must(|backend, call| backend.retry(call, request));

    let expected = [
        (unknown, Verdict::NotFound),
        (scheduled, Verdict::Done),
        (suspended, Verdict::Refused(JobState::Suspended)),
    ];
    assert_eq!((reply.jobs, reply.next), (expected.to_vec(), None));
}

fn retry_by_hand_everywhere_reaches_every_match(t: &Fixture) {
    let ids = t.put_many(25);
    for id in &ids {
        t.cancel(*id);
    }
    let spared = t.put(t.job().queue("other").due_in(MINUTE));
    let filter = gristmill_core::JobFilter::new().state(JobState::Cancelled);

    let verdicts =
        t.everywhere(&filter, 10, |t, request| t.must(|backend, call| backend.retry(call, request)));

    assert_eq!(verdicts, ids.iter().map(|id| (*id, Verdict::Done)).collect::<Vec<_>>());
    t.assert_states(&ids, JobState::Available);
    assert_eq!(t.state(spared), JobState::Scheduled);
}

fn retry_by_hand_of_a_revived_job_is_not_pruned_by_its_old_end(t: &Fixture) {
    let id = t.put(t.job().kept(MINUTE));
    t.cancel(id);
    t.retry(id);

    t.advance(2 * MINUTE);
    t.prune();

    assert_eq!(t.state(id), JobState::Available);
}

fn retry_survives_reopening(t: &Fixture) {
    let id = t.put(t.job());
    fail_with(t, RunError::new("one").with_backtrace("at line 7"));
    t.fail(&t.take(t.worker()).lease, MINUTE);
    let (job, runs) = (t.look(id), t.runs(id));

    t.reopen();

    assert_eq!((t.look(id), t.runs(id)), (job, runs));
    t.advance(MINUTE);
    assert_eq!(t.promote().done, 1);
}
