//! Stored rows that this version cannot read: each stands alone.

use std::time::Duration;

use gristmill_core::{
    Ending, FinishItem, Finished, JobFilter, JobId, JobState, ListRequest, Name, Order, RunError, Verdict,
    WorkerId,
};

use crate::case::cases;
use crate::fixture::act::ALL;
use crate::fixture::name;
use crate::{Damage, Fixture, Shape};

cases! { "undecodable":
    a_fetch_sets_a_bad_job_aside_and_grants_the_others,
    a_fetch_looks_behind_bad_jobs_for_as_many_as_are_wanted,
    a_repeated_fetch_grants_the_others_again,
    a_bad_job_is_shown_with_what_is_wrong,
    a_bad_job_keeps_no_list_from_the_others,
    operators_act_on_bad_jobs,
    args_and_options_that_cannot_be_read_stop_nothing,
    an_unknown_state_stops_no_round,
    an_unknown_state_of_an_ended_job_stops_nothing,
    an_unknown_ending_is_shown_as_such,
    a_bad_job_of_a_dead_worker_keeps_no_other_from_rescue,
    a_bad_job_finishes_like_another,
    a_bad_queue_stops_no_round needs Durable,
    a_bad_worker_is_listed,
}

const SECOND: Duration = Duration::from_secs(1);

/// The bad ones of a list of jobs, by what is wrong.
#[track_caller]
fn bad(t: &Fixture, filter: &JobFilter) -> Vec<(JobId, String)> {
    let request = ListRequest::new(filter.clone()).limit(ALL);
    let page = t.must(|backend, call| backend.list(call, request));
    page.items.into_iter().filter_map(|job| Some((job.id, job.undecodable?))).collect()
}

/// A whole audit, which must find nothing.
#[track_caller]
pub(super) fn audit(t: &Fixture) {
    let reply = t.must(|backend, call| backend.audit(call, None, ALL));
    assert!(reply.repaired.is_empty(), "{reply:?}");
}

pub(super) fn any() -> JobFilter {
    JobFilter::new()
}

fn a_fetch_sets_a_bad_job_aside_and_grants_the_others(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(5);
    t.damage(&Damage::Kind(ids[1]));
    let worker = t.worker();

    let granted: Vec<_> = t.fetch(worker, 5).into_iter().map(|job| job.lease).collect();

    let jobs: Vec<_> = granted.iter().map(|lease| lease.job).collect();
    assert_eq!(jobs, [ids[0], ids[2], ids[3], ids[4]]);
    let job = t.look(ids[1]);
    assert_eq!((job.state, job.run), (JobState::Discarded, 1));
    assert_eq!(job.reason.as_deref(), Some("undecodable: kind `two words`"));
    let runs = t.runs(ids[1]);
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].ending, runs[0].state), (Ending::Undecodable, JobState::Discarded));
    assert_eq!(runs[0].reason, job.reason);
    for lease in &granted {
        assert_eq!(t.complete(lease), Finished::Accepted { state: JobState::Completed });
    }
    assert_eq!(t.count(any().state(JobState::Discarded)), 1);
    assert_eq!(t.count(any().state(JobState::Completed)), 4);
    assert_eq!(t.count(any().state(JobState::Running)), 0);
    assert!(t.fetch(worker, 5).is_empty());
}

fn a_fetch_looks_behind_bad_jobs_for_as_many_as_are_wanted(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(6);
    for id in &ids[..4] {
        t.damage(&Damage::Kind(*id));
    }
    let worker = t.worker();
    // A fetch may leave it to the next one to look further, but not forever.
    let granted: Vec<_> = (0..4).flat_map(|_| t.fetch(worker, 2)).map(|job| job.lease.job).collect();
    assert_eq!(granted, ids[4..]);
    t.assert_states(&ids[..4], JobState::Discarded);
}

fn a_repeated_fetch_grants_the_others_again(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(3);
    let (worker, claim) = (t.worker(), t.next_claim());
    assert_eq!(t.fetch_claim(worker, claim, Fixture::QUEUE, 3).jobs.len(), 3);
    t.damage(&Damage::Kind(ids[0]));

    let again = t.fetch_claim(worker, claim, Fixture::QUEUE, 3).jobs;

    assert_eq!(again.iter().map(|job| job.lease.job).collect::<Vec<_>>(), ids[1..]);
    assert_eq!(t.state(ids[0]), JobState::Discarded);
    assert_eq!(t.complete(&again[0].lease), Finished::Accepted { state: JobState::Completed });
}

fn a_bad_job_is_shown_with_what_is_wrong(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let id = t.put(t.job());
    assert_eq!(t.look(id).undecodable, None);
    t.damage(&Damage::Kind(id));

    let job = t.look(id);
    assert_eq!(job.undecodable.as_deref(), Some("kind `two words`"));
    assert_eq!((job.state, job.spec.queue.as_str()), (JobState::Available, Fixture::QUEUE));
    assert_eq!(job.spec.kind.as_str(), Name::UNREADABLE);
}

fn a_bad_job_keeps_no_list_from_the_others(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(3);
    let other = t.put(t.job().queue("other"));
    t.damage(&Damage::Kind(ids[1]));

    assert_eq!(t.list(&any(), Order::OldestFirst, 2), [ids[0], ids[1], ids[2], other]);
    assert_eq!(bad(t, &any()).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [ids[1]]);
    assert_eq!(t.list(&any().queue(name("other")), Order::NewestFirst, 2), [other]);
    assert_eq!(t.list(&any().kind(name(Fixture::KIND)), Order::OldestFirst, 9), [ids[0], ids[2], other]);
    assert_eq!(t.count(any().state(JobState::Available)), 4);
    assert_eq!(t.count(any().kind(name(Fixture::KIND))), 3);
    audit(t);
}

fn operators_act_on_bad_jobs(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(3);
    for id in &ids {
        t.damage(&Damage::Kind(*id));
    }
    assert_eq!(t.cancel(ids[0]), Verdict::Done);
    assert_eq!(t.delete(ids[1]), Verdict::Done);
    assert_eq!(t.fetch(t.worker(), 3).len(), 0);
    assert_eq!(t.retry(ids[2]), Verdict::Done);
    t.assert_states(&[ids[2]], JobState::Available);
    assert_eq!(t.fetch(t.worker(), 3).len(), 0);
    t.assert_states(&[ids[2]], JobState::Discarded);
    assert_eq!(t.runs(ids[2]).len(), 2);
    assert_eq!(t.everywhere(&any(), ALL, |t, request| t.must(|b, call| b.delete(call, request))).len(), 2);
    assert_eq!(t.count(any()), 0);
}

fn args_and_options_that_cannot_be_read_stop_nothing(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let jobs: Vec<_> = (0..3).map(|_| t.job().tag("tag").kept(SECOND)).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    t.enqueue(jobs);
    t.damage(&Damage::Args(ids[0]));
    t.damage(&Damage::Options(ids[1]));
    assert_eq!(t.list(&any(), Order::OldestFirst, ALL), ids);
    t.list(&any().tag(name("tag")), Order::OldestFirst, ALL);
    let granted = t.fetch(t.worker(), 3);
    assert_eq!(granted.iter().map(|job| job.lease.job).collect::<Vec<_>>(), ids);
    t.complete(&granted[0].lease);
    t.complete(&granted[2].lease);
    t.crash();
    t.assert_states(&[ids[1]], JobState::Available);
    t.prune();
    assert_eq!(t.delete(ids[1]), Verdict::Done);
}

fn an_unknown_state_stops_no_round(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let jobs: Vec<_> = (0..4).map(|_| t.job().due_in(SECOND)).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    t.enqueue(jobs);
    t.damage(&Damage::State(ids[1]));
    t.damage(&Damage::State(ids[2]));

    let job = t.look(ids[1]);
    assert_eq!((job.state, job.undecodable.as_deref()), (JobState::Suspended, Some("state `99`")));
    assert_eq!(t.list(&any(), Order::OldestFirst, ALL), ids);
    t.count(any().state(JobState::Scheduled));
    t.stats();
    t.advance(SECOND);
    t.promote();
    t.register(t.registration(WorkerId::random()));
    assert_eq!(t.fetch(t.worker(), 4).len(), 2);
    audit(t);
    t.prune();
    assert_eq!(t.cancel(ids[1]), Verdict::Done);
    assert_eq!(t.state(ids[1]), JobState::Cancelled);
    assert_eq!(t.delete(ids[2]), Verdict::Done);
    assert!(t.find(ids[2]).is_none());
}

fn an_unknown_state_of_an_ended_job_stops_nothing(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(3);
    for id in &ids {
        t.cancel(*id);
    }
    t.damage(&Damage::State(ids[1]));

    let job = t.look(ids[1]);
    assert_eq!((job.state, job.undecodable.as_deref()), (JobState::Discarded, Some("state `99`")));
    assert_eq!(t.list(&any(), Order::OldestFirst, ALL), ids);
    t.count(any().state(JobState::Cancelled));
    t.stats();
    audit(t);
    assert_eq!(t.retry(ids[1]), Verdict::Done);
    assert_eq!(t.fetch(t.worker(), 3).len(), 1);
    t.advance(Duration::from_secs(400 * 24 * 3600));
    t.prune();
    assert!(t.find(ids[0]).is_none());
}

fn an_unknown_ending_is_shown_as_such(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(2);
    let worker = t.worker();
    let leases: Vec<_> = t.fetch(worker, 2).into_iter().map(|job| job.lease).collect();
    for lease in &leases {
        t.fail(lease, SECOND);
    }
    t.damage(&Damage::Ending(ids[0]));

    let runs = t.runs(ids[0]);
    assert_eq!((runs.len(), runs[0].ending), (1, Ending::Undecodable));
    assert_eq!(runs[0].undecodable.as_deref(), Some("ending `77`, state `77`"));
    assert_eq!(t.list(&any(), Order::OldestFirst, ALL), ids);
    assert_eq!(t.look(ids[0]).errors.len(), 1);
    // Who ended it is unknown, but not that it has ended.
    let answer = t.finish_all(leases.iter().cloned().map(FinishItem::complete).collect());
    assert!(!matches!(answer[0], Finished::Accepted { .. }), "{answer:?}");
    assert_eq!(answer[1], Finished::AlreadyAccepted);
    audit(t);
    t.advance(SECOND);
    t.promote();
    assert_eq!(t.fetch(worker, 2).len(), 2);
}

fn a_bad_job_of_a_dead_worker_keeps_no_other_from_rescue(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(3);
    assert_eq!(t.fetch(t.worker(), 3).len(), 3);
    t.damage(&Damage::Kind(ids[0]));
    t.damage(&Damage::Options(ids[1]));
    t.damage(&Damage::MaxAttempts(ids[2]));

    assert_eq!(t.crash().jobs.len(), 3);

    let granted: Vec<_> = t.fetch(t.worker(), 3).into_iter().map(|job| job.lease.job).collect();
    assert_eq!(granted, ids[1..]);
    assert_eq!(t.state(ids[0]), JobState::Discarded);
}

fn a_bad_job_finishes_like_another(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let ids = t.put_many(3);
    let leases: Vec<_> = t.fetch(t.worker(), 3).into_iter().map(|job| job.lease).collect();
    for id in &ids {
        t.damage(&Damage::Kind(*id));
    }
    let failed = FinishItem::fail(leases[1].clone(), SECOND, RunError::new("it broke"));
    let items = vec![
        FinishItem::complete(leases[0].clone()),
        failed,
        FinishItem::give_back(leases[2].clone(), Duration::ZERO),
    ];
    assert!(t.finish_all(items).iter().all(|answer| matches!(answer, Finished::Accepted { .. })));
    t.assert_states(&ids[..1], JobState::Completed);
}

fn a_bad_queue_stops_no_round(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let good = t.put(t.job());
    let waiting = t.put(t.job().due_in(SECOND));
    let lost = t.put(t.job().queue("lost").due_in(SECOND));
    let held = t.put(t.job().queue("lost"));
    let worker = t.worker();
    assert_eq!(t.fetch_from(worker, "lost", 1)[0].lease.job, held);
    t.damage(&Damage::Queue(name("lost")));
    t.reopen();

    let worker = t.worker();
    let queues = t.must(|backend, call| backend.list_queues(call));
    let bad_queues: Vec<_> = queues.iter().filter_map(|queue| queue.undecodable.as_deref()).collect();
    assert_eq!((queues.len(), bad_queues), (2, vec!["name `two words`"]));
    assert_eq!(t.stats().queues.len(), 2);
    assert_eq!(bad(t, &any()).len(), 2);
    assert!(t.look(lost).undecodable.is_some_and(|what| what.starts_with("queue")));
    t.advance(SECOND);
    assert_eq!(t.promote().done, 2);
    let granted: Vec<_> = t.fetch(worker, 9).into_iter().map(|job| job.lease.job).collect();
    assert_eq!(granted, [good, waiting]);
    t.renew(worker, &[]);
    t.crash();
    assert_eq!(t.state(held), JobState::Available);
    audit(t);
    assert_eq!(t.delete(lost), Verdict::Done);
    assert_eq!(t.cancel(held), Verdict::Done);
}

fn a_bad_worker_is_listed(t: &Fixture) {
    if !t.can_damage() {
        return;
    }
    let (bad, good) = (t.worker(), t.worker());
    t.damage(&Damage::Worker(bad));
    let workers = t.must(|backend, call| backend.list_workers(call));
    assert_eq!(workers.len(), 2);
    for worker in workers {
        assert_eq!(worker.undecodable.is_some(), worker.id == bad, "{worker:?}");
    }
    t.pause("elsewhere");
    t.renew(bad, &[]);
    t.renew(good, &[]);
    t.put(t.job());
    assert_eq!(t.fetch(bad, 1).len(), 1);
    t.crash();
}
