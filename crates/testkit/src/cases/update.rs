//! Changes to jobs that have not started.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{Args, JobPatch, JobSpec, JobState, Priority, Verdict, When};

use crate::case::cases;
use crate::fixture::encoded;
use crate::{Fixture, Shape};

cases! { "update":
    update_changes_what_it_names,
    update_leaves_what_it_does_not_name,
    update_of_args_takes_their_encoding,
    update_of_args_leaves_metadata_as_they_are,
    update_reaches_waiting_jobs,
    update_to_a_later_time_schedules_the_job,
    update_to_an_earlier_time_makes_the_job_available,
    update_to_suspended_leaves_the_time,
    update_of_a_held_job_leaves_it_held,
    update_of_a_running_job_is_refused,
    update_of_an_ended_job_is_refused,
    update_of_no_job_is_not_found,
    update_reaches_the_next_run,
    update_of_the_bound_of_attempts_counts_at_the_next_failure,
    update_is_noted_with_its_actor,
    update_survives_reopening needs Durable,
}

const MINUTE: Duration = Duration::from_secs(60);

fn args(json: &'static str) -> JobPatch {
    let mut patch = JobPatch::default();
    patch.args = Some(Args::from_json(json).unwrap_or_else(|error| panic!("{error}")));
    patch
}

fn at(when: When) -> JobPatch {
    let mut patch = JobPatch::default();
    patch.when = Some(when);
    patch
}

fn update_changes_what_it_names(t: &Fixture) {
    let id = t.put(t.job());
    let mut patch = args("[2]");
    patch.priority = Some(Priority::LAST);
    patch.max_attempts = NonZeroU16::new(7);

    assert_eq!(t.update(id, patch), Verdict::Done);

    let spec = t.look(id).spec;
    assert_eq!((spec.args.as_bytes(), spec.priority), (&b"[2]"[..], Priority::LAST));
    assert_eq!(spec.max_attempts.get(), 7);
}

/// Args and the codec that has written them are one thing: whichever is left behind makes the other
/// unreadable.
fn update_of_args_takes_their_encoding(t: &Fixture) {
    let ids = [t.put(t.job().args("[1]")), t.put(t.job().args("[1]").tag("red").key("k"))];
    let before: Vec<_> = ids.iter().map(|id| t.look(*id).spec).collect();
    for (id, mut spec) in ids.into_iter().zip(before) {
        for codec in [Some("zstd"), Some("lz4"), None] {
            spec.args = match codec {
                Some(codec) => encoded(b"\x28\xb5\x00\xff", codec),
                None => Args::from_stored(&b"[2]"[..]),
            };
            let mut patch = JobPatch::default();
            patch.args = Some(spec.args.clone());
            assert_eq!(t.update(id, patch), Verdict::Done);
            assert_eq!(t.look(id).spec, spec, "{codec:?}");
            t.update(id, at(When::Now));
            assert_eq!(t.look(id).spec, spec, "another update leaves both");
        }
    }
    let taken = t.take(t.worker()).spec;
    assert_eq!((taken.args.as_bytes(), taken.args.encoding().as_str()), (&b"[2]"[..], "json"));
}

/// A member of the metadata may have the name of an option, and a number its own form.
fn update_of_args_leaves_metadata_as_they_are(t: &Fixture) {
    for codec in [None, Some("zstd")] {
        let mut job = t.job().args("[1]").tag("encoding");
        if let Some(codec) = codec {
            job.spec.args = encoded(b"\x28\xb5\x00\xff", codec);
        }
        job.spec.metadata.insert("encoding", "x");
        job.spec.metadata.insert("number", -0.0);
        job.spec.metadata.insert("nested", serde_json::json!({"encoding": [1e300, 1.0]}));
        let metadata = |spec: &JobSpec| serde_json::to_string(&spec.metadata).expect("it is JSON");
        let id = t.put(job);
        let before = t.look(id).spec;

        assert_eq!(t.update(id, args("[2]")), Verdict::Done);

        let after = t.look(id).spec;
        assert_eq!((after.args.as_bytes(), after.args.encoding().as_str()), (&b"[2]"[..], "json"));
        assert_eq!((metadata(&after), &after.tags), (metadata(&before), &before.tags), "{codec:?}");
    }
}

fn update_leaves_what_it_does_not_name(t: &Fixture) {
    let id = t.put(t.job().tag("red").key("k").priority(4).attempts(2).args("[1]"));
    let before = t.look(id);

    t.update(id, JobPatch::default());

    assert_eq!(t.look(id), before);
}

fn update_reaches_waiting_jobs(t: &Fixture) {
    let retryable = t.put(t.job());
    t.fail(&t.take(t.worker()).lease, MINUTE);
    for id in [retryable, t.put(t.job().due_in(MINUTE)), t.put(t.job().suspended())] {
        let state = t.state(id);
        assert_eq!(t.update(id, args("[2]")), Verdict::Done, "{state}");
        assert_eq!((t.state(id), t.look(id).spec.args.as_bytes()), (state, &b"[2]"[..]));
    }
}

fn update_to_a_later_time_schedules_the_job(t: &Fixture) {
    let id = t.put(t.job());
    t.advance(MINUTE);

    t.update(id, at(When::After(MINUTE)));

    assert_eq!((t.state(id), t.look(id).run_at), (JobState::Scheduled, t.now() + MINUTE));
    assert!(t.fetch(t.worker(), 1).is_empty());
}

fn update_to_an_earlier_time_makes_the_job_available(t: &Fixture) {
    let id = t.put(t.job().due_in(10 * MINUTE));

    t.update(id, at(When::Now));

    assert_eq!((t.state(id), t.look(id).run_at), (JobState::Available, t.now()));
    assert_eq!(t.fetch(t.worker(), 1).len(), 1);
}

fn update_to_suspended_leaves_the_time(t: &Fixture) {
    let id = t.put(t.job().due_in(MINUTE));
    let before = t.look(id);

    t.update(id, at(When::Suspended));

    assert_eq!(t.look(id), before);
}

/// A hold ends by its release alone: a workflow's step must not start because an operator changed its time.
fn update_of_a_held_job_leaves_it_held(t: &Fixture) {
    let id = t.put(t.job().suspended());

    assert_eq!(t.update(id, at(When::Now)), Verdict::Done);

    assert_eq!(t.state(id), JobState::Suspended);
}

fn update_of_a_running_job_is_refused(t: &Fixture) {
    let id = t.put(t.job());
    t.take(t.worker());
    let before = t.look(id);

    assert_eq!(t.update(id, args("[2]")), Verdict::Refused(JobState::Running));

    assert_eq!(t.look(id), before);
}

fn update_of_an_ended_job_is_refused(t: &Fixture) {
    let id = t.put(t.job());
    t.cancel(id);
    let before = t.look(id);

    assert_eq!(t.update(id, at(When::Now)), Verdict::Refused(JobState::Cancelled));

    assert_eq!(t.look(id), before);
}

fn update_of_no_job_is_not_found(t: &Fixture) {
    assert_eq!(t.update(t.next_id(), args("[2]")), Verdict::NotFound);
}

fn update_reaches_the_next_run(t: &Fixture) {
    let id = t.put(t.job().args("[1]"));
    t.update(id, args("[2]"));

    assert_eq!(t.take(t.worker()).spec.args.as_bytes(), b"[2]");
}

fn update_of_the_bound_of_attempts_counts_at_the_next_failure(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    t.fail(&t.take(worker).lease, Duration::ZERO);
    let mut patch = JobPatch::default();
    patch.max_attempts = NonZeroU16::new(2);
    t.update(id, patch);
    t.promote();

    t.fail(&t.take(worker).lease, Duration::ZERO);

    assert_eq!(t.state(id), JobState::Discarded);
}

fn update_is_noted_with_its_actor(t: &Fixture) {
    let id = t.put(t.job());
    let request = gristmill_core::VerbRequest::ids(vec![id]).by("ada");

    t.must(|backend, call| backend.update(call, request, args("[2]")));

    let events = t.events(id);
    let noted = events.iter().any(|event| event.what == "update" && event.actor.as_deref() == Some("ada"));
    assert!(noted, "{events:?}");
}

fn update_survives_reopening(t: &Fixture) {
    let id = t.put(t.job());
    t.update(id, args("[2]"));
    let before = t.look(id);

    t.reopen();

    assert_eq!(t.look(id), before);
}
