//! Jobs cancelled and changed through the outbox, in every state there is.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{
    Args, Backend, Call, Decision, Ending, FinishItem, Finished, JobId, JobPatch, JobState, NewJob, Priority,
    Retention, RunError, Standing, Timestamp, UniqueKey, Verb, Verdict, When, operate,
};
use gristmill_testkit::block_on;

use super::answer::{REQUEST, send};
use super::request;
use super::twins::{Side, Twins};
use crate::fixture::File;

const HOUR: Duration = Duration::from_secs(3_600);

/// A job in each state; those that have run have a claim that is still open.
struct Everywhere {
    twins: Twins,
    /// In the order of `JobState::ALL`.
    jobs: Vec<JobId>,
    given_back: JobId,
    running: (gristmill_core::FetchedJob, gristmill_core::FetchedJob),
}

impl Everywhere {
    fn new(change: impl Fn(&mut NewJob)) -> Self {
        let (mut twins, file) = (Twins::new(), File::new());
        let new = |when: When| {
            let mut job = file.job().when(when);
            change(&mut job);
            job
        };
        let first: Vec<NewJob> = (0..6).map(|_| new(When::Now)).collect();
        twins.enqueue(&first);
        let mut fetched = twins.fetch(6).into_iter();
        let mut end = |end: &dyn Fn(FinishItem) -> FinishItem| {
            let finished = twins.finish(fetched.next().expect("it is so in this test"), |job| {
                end(FinishItem::complete(job.lease))
            });
            assert!(matches!(finished, Finished::Accepted { .. }), "{finished:?}");
        };
        end(&|item| FinishItem::fail(item.lease, HOUR, RunError::new("no")));
        end(&|item| item);
        end(&|item| FinishItem::new(item.lease, Decision::Discard, Ending::Discarded));
        end(&|item| FinishItem::new(item.lease, Decision::Cancel, Ending::Cancelled));
        end(&|item| FinishItem::give_back(item.lease, Duration::ZERO));
        let running = fetched.next().expect("it is so in this test");
        let later = [new(When::Suspended), new(When::After(HOUR)), new(When::Now)];
        twins.enqueue(&later);
        let first: Vec<JobId> = first.iter().map(|job| job.id).collect();
        let later: Vec<JobId> = later.iter().map(|job| job.id).collect();
        let jobs = vec![later[0], later[1], later[2], first[5], first[0], first[1], first[3], first[2]];
        Self { twins, jobs, given_back: first[4], running }
    }

    /// What the core says that an act does to the job of each state.
    fn decided(&self, verb: Verb, when: Option<When>) -> Vec<Verdict> {
        let standing = |state| Standing::new(state, Timestamp::EPOCH);
        let decide = |state| operate(verb, standing(state), when, self.twins.now).verdict();
        JobState::ALL.iter().copied().map(decide).collect()
    }
}

#[test]
fn a_cancel_does_in_each_state_what_the_core_decides() {
    let mut all = Everywhere::new(|_| {});
    let expected = all.decided(Verb::Cancel, None);
    assert_eq!(all.twins.cancel(&all.jobs.clone(), Some("somebody")), expected);
    assert_eq!(
        all.twins.cancel(&[all.given_back, all.given_back], None),
        [Verdict::Done, Verdict::AlreadyTerminal]
    );
    assert_eq!(all.twins.cancel(&[all.jobs[3]], None), [Verdict::Requested]);
    assert_eq!(all.twins.cancel(&[File::new().job().id], None), [Verdict::NotFound]);
}

#[test]
fn a_running_job_that_was_cancelled_ends_as_its_handler_says() {
    let mut all = Everywhere::new(|_| {});
    let job = all.jobs[3];
    all.twins.cancel(&[job], None);
    assert_eq!(all.twins.get(job)["attempt"], 1);
    let retry = |job: gristmill_core::FetchedJob| FinishItem::fail(job.lease, HOUR, RunError::new("no"));
    let finished = all.twins.finish(all.running, retry);
    assert_eq!(finished, Finished::Accepted { state: JobState::Cancelled });
}

#[test]
fn a_cancelled_job_without_retention_is_gone_with_all_that_was_kept_of_it() {
    for retention in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(1_001), Duration::MAX] {
        let mut all = Everywhere::new(|job| {
            if job.when != When::Now {
                job.spec.unique_key = UniqueKey::new(job.id.to_string()).ok();
            }
            let mut kept = Retention::default();
            kept.cancelled = retention;
            job.spec.retention = Some(Box::new(kept));
        });
        let jobs = [&all.jobs[..5], &[all.given_back]].concat();
        all.twins.cancel(&jobs, Some("somebody"));
        assert_eq!(all.twins.get(all.given_back).is_null(), retention.is_zero());
    }
}

#[test]
fn an_update_does_in_each_state_what_the_core_decides() {
    let past = When::At(Timestamp::from_millis(7));
    let whens = [
        None,
        Some(When::Now),
        Some(When::After(Duration::ZERO)),
        Some(When::After(HOUR)),
        Some(When::After(Duration::MAX)),
        Some(past),
        Some(When::At(Timestamp::MAX)),
    ];
    for when in whens {
        let mut all = Everywhere::new(|_| {});
        let mut patch = JobPatch::default();
        patch.when = when;
        let expected = all.decided(Verb::Update, when);
        assert_eq!(all.twins.update(&all.jobs.clone(), Some("somebody"), &patch), expected, "{when:?}");
        assert_eq!(all.twins.update(&[all.given_back], None, &patch), [Verdict::Done]);
        assert_eq!(all.twins.update(&[File::new().job().id], None, &patch), [Verdict::NotFound]);
    }
}

#[test]
fn an_update_changes_what_it_names_and_leaves_the_rest() {
    let patches: [fn(&mut JobPatch); 4] = [
        |patch| patch.priority = Some(Priority::LAST),
        |patch| patch.max_attempts = NonZeroU16::new(3),
        |patch| patch.args = Some(Args::from_json(r#"{"new":"\\u0000"}"#).unwrap()),
        |patch| {
            patch.priority = Some(Priority::FIRST);
            patch.max_attempts = Some(NonZeroU16::MAX);
            patch.args = Some(Args::empty());
            patch.when = Some(When::After(HOUR));
        },
    ];
    for change in patches {
        let mut all = Everywhere::new(|_| {});
        let mut patch = JobPatch::default();
        change(&mut patch);
        let expected = all.decided(Verb::Update, patch.when);
        assert_eq!(all.twins.update(&all.jobs.clone(), None, &patch), expected);
        // Twice: the second one finds the job where the first has put it.
        assert_eq!(all.twins.update(&all.jobs.clone(), None, &patch), expected);
        // What was moved is found in its new place.
        all.twins.fetch(10);
    }
}

#[test]
fn the_newest_hundred_events_of_a_job_are_kept() {
    let (mut twins, file) = (Twins::new(), File::new());
    let job = file.job();
    twins.enqueue(std::slice::from_ref(&job));
    let same = vec![job.id; 101];
    for _ in 0..2 {
        twins.update(&same, Some("somebody"), &JobPatch::default());
    }
    let events = block_on(twins.outbox.backend.list_events(Call::new(), job.id)).unwrap();
    assert_eq!(events.len(), 100);
}

#[test]
fn a_cancel_finds_the_run_of_a_job_among_many_claims() {
    let (mut twins, file) = (Twins::new(), File::new());
    let jobs = file.jobs(700);
    twins.enqueue(&jobs);
    let mut running = Vec::new();
    while running.len() < 700 {
        running.extend(twins.fetch(130));
    }
    let last = running.pop().unwrap();
    let wanted = running.swap_remove(300);
    let id = wanted.0.lease.job;
    // Its second run, after one that was given back.
    twins.finish(wanted, |job| FinishItem::give_back(job.lease, Duration::ZERO));
    twins.fetch(1);
    assert_eq!(twins.cancel(&[id, last.0.lease.job], None), [Verdict::Requested, Verdict::Requested]);
    let get = block_on(twins.outbox.backend.get(Call::new(), vec![id])).unwrap();
    assert!(get[0].as_ref().unwrap().cancel_requested);
    assert_eq!(twins.get(id)["state"], "running");
}

#[test]
fn a_delete_does_in_each_state_what_the_core_decides() {
    let mut all = Everywhere::new(|_| {});
    let expected = all.decided(Verb::Delete, None);
    assert_eq!(all.twins.delete(&all.jobs.clone(), Some("somebody")), expected);
    assert_eq!(all.twins.delete(&[all.given_back, all.given_back], None), [Verdict::Done, Verdict::NotFound]);
}

#[test]
fn a_request_without_ids_stores_nothing() {
    let side = Side::new();
    let answer = send(&side.raw, *REQUEST, &request::request("cancel", &[], None, None));
    assert_eq!(answer, serde_json::json!({"requests": []}));
}
