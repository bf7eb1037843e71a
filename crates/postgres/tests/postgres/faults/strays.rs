//! Rows that Gristmill never writes: places of jobs that do not exist, priorities and states outside their
//! range.

use std::time::Duration;

use gristmill_core::{
    Backend, Call, EnqueueRequest, Enqueued, FinishItem, FinishRequest, Finished, JobFilter, JobId, JobPatch,
    JobState, ListRequest, NewJob, Order, Priority, RegisterWorker, RenewRequest, StatsRequest, VerbRequest,
    Verdict, When, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::site::Site;
use crate::fixture::{LEASE, complete, count, fetch, name, register};

const HOUR: Duration = Duration::from_secs(3600);

fn store(backend: &Postgres, jobs: Vec<NewJob>) -> Vec<JobId> {
    let ids = jobs.iter().map(|job| job.id).collect();
    block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs))).expect("they are stored");
    ids
}

fn listed(backend: &Postgres, filter: JobFilter) -> Vec<JobId> {
    let request = ListRequest::new(filter).order(Order::OldestFirst);
    let page = block_on(backend.list(Call::new(), request)).expect("it is answered");
    page.items.into_iter().map(|job| job.id).collect()
}

fn list_of(state: JobState) -> JobFilter {
    JobFilter::new().state(state)
}

/// A worker without a handler for them meets the jobs that are available, and parks them.
fn meet_without_a_handler(backend: &Postgres) {
    let stranger = WorkerId::random();
    let mut registration = RegisterWorker::new(stranger, "stranger", LEASE);
    registration.kinds = vec![name("other")];
    block_on(backend.register_worker(Call::new(), registration)).expect("a worker registers");
    assert_eq!(fetch(backend, stranger, 1, 10).len(), 0);
}

#[test]
fn places_of_jobs_that_are_not_there_stop_nothing_and_are_set_aside() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let jobs = |when: When| {
        let mut jobs = site.jobs(3);
        for job in &mut jobs {
            job.when = when;
        }
        jobs
    };
    let ready = store(&backend, jobs(When::Now));
    let due = store(&backend, jobs(When::After(HOUR)));
    let later = store(&backend, jobs(When::After(HOUR)));
    let held = store(&backend, jobs(When::Suspended));
    let strays = [ready[1], due[1], later[1], held[1]];
    for (ids, run_at) in [(&due, "1"), (&later, "4102444800000")] {
        for id in ids {
            raw.run(&format!("UPDATE {{schema}}.waiting SET run_at = {run_at} WHERE id = '{id}'"));
        }
    }
    for id in strays {
        raw.run(&format!("DELETE FROM {{schema}}.jobs WHERE id = '{id}'"));
    }

    assert_eq!(listed(&backend, JobFilter::new()).len(), 8);
    assert_eq!(listed(&backend, list_of(JobState::Available)), [ready[0], ready[2]]);
    assert_eq!(listed(&backend, list_of(JobState::Suspended)), [held[0], held[2]]);
    assert_eq!(listed(&backend, list_of(JobState::Scheduled)).len(), 4);
    count(&backend, JobFilter::new());
    count(&backend, list_of(JobState::Available).kind(name("work")));
    block_on(backend.stats(Call::new(), StatsRequest::new(None))).expect("it is answered");
    for (id, is_stray) in ready.iter().chain(&held).map(|id| (*id, strays.contains(id))) {
        let request = VerbRequest::ids(vec![id]);
        let verdict = block_on(backend.update(Call::new(), request, JobPatch::default()));
        let verdict = verdict.expect("it is answered").jobs.remove(0).1;
        assert_eq!(verdict, if is_stray { Verdict::NotFound } else { Verdict::Done });
    }
    let promoted = block_on(backend.promote(Call::new(), 100)).expect("it is answered");
    assert_eq!((promoted.done, promoted.blocked), (3, false));

    let worker = register(&backend);
    let mut fetched = fetch(&backend, worker, 1, 100);
    fetched.sort_by_key(|job| job.lease.job);
    assert_eq!(
        fetched.iter().map(|job| job.lease.job).collect::<Vec<_>>(),
        [ready[0], ready[2], due[0], due[2]]
    );
    let finished = complete(&backend, fetched);
    assert_eq!(finished, vec![Finished::Accepted { state: JobState::Completed }; 4]);
    block_on(backend.renew(Call::new(), RenewRequest::new(worker, Vec::new()))).expect("the worker lives");
    assert_eq!(raw.rows("claims"), 0, "its claim is gone with its jobs");
    assert_eq!(count(&backend, list_of(JobState::Running)), 0);
    block_on(backend.prune(Call::new(), 100)).expect("it is answered");

    // No fetch meets a stray that waits; the audit removes it.
    assert_eq!(raw.rows("waiting"), 6);
    let (mut cursor, mut checked) = (None, 0);
    loop {
        let reply = block_on(backend.audit(Call::new(), cursor, 3)).expect("it is answered");
        assert_eq!(reply.repaired, []);
        checked += reply.checked;
        cursor = reply.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((checked, raw.rows("waiting"), raw.rows("ready")), (8, 4, 0));
    assert_eq!(count(&backend, list_of(JobState::Suspended)), 2);
    // Its id can be used again.
    let mut again = site.job();
    again.id = later[1];
    let reply =
        block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![again]))).expect("it is stored");
    assert_eq!(reply.jobs, [Enqueued::Created]);
}

#[test]
fn a_parked_place_of_a_job_that_is_not_there_keeps_no_other_one_from_being_fetched() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let ids = site.put(&backend, 2);
    meet_without_a_handler(&backend);
    assert_eq!(raw.rows("waiting"), 2, "both are parked");
    raw.run(&format!("DELETE FROM {{schema}}.jobs WHERE id = '{}'", ids[0]));

    let fetched = fetch(&backend, register(&backend), 1, 1);
    assert_eq!(fetched.iter().map(|job| job.lease.job).collect::<Vec<_>>(), [ids[1]]);
    block_on(backend.audit(Call::new(), None, 10)).expect("it is answered");
    assert_eq!(raw.rows("waiting"), 0);
}

#[test]
fn a_job_with_a_priority_that_cannot_be_is_fetched() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let mut jobs = site.jobs(6);
    jobs[4].when = When::After(HOUR);
    jobs[5].when = When::After(HOUR);
    let ids = store(&backend, jobs);
    for (id, priority) in ids.iter().zip([99, -99, 0, 3, 99, 0]) {
        for table in ["jobs", "ready", "waiting"] {
            raw.run(&format!("UPDATE {{schema}}.{table} SET priority = {priority} WHERE id = '{id}'"));
        }
    }
    raw.run("UPDATE {schema}.waiting SET run_at = 1");
    let promoted = block_on(backend.promote(Call::new(), 10)).expect("it is answered");
    assert_eq!(promoted.done, 2);
    block_on(backend.prune(Call::new(), 10)).expect("it is answered");

    let worker = register(&backend);
    let mut fetched = fetch(&backend, worker, 1, 10);
    fetched.sort_by_key(|job| job.lease.job);
    assert_eq!(fetched.iter().map(|job| job.lease.job).collect::<Vec<_>>(), ids);
    let nearest = [10, -10, 0, 3, 10, 0];
    assert_eq!(fetched.iter().map(|job| job.spec.priority.get()).collect::<Vec<_>>(), nearest);
    let jobs = block_on(backend.get(Call::new(), ids)).expect("it is answered");
    let shown = jobs.iter().flatten().map(|job| job.spec.priority.get()).collect::<Vec<_>>();
    assert_eq!(shown, nearest);
    let undecodable = jobs.into_iter().flatten().map(|job| job.undecodable.is_some()).collect::<Vec<_>>();
    assert_eq!(undecodable, [true, true, false, false, true, false]);
}

#[test]
fn the_least_and_the_greatest_number_for_a_priority_stop_no_promotion_and_count_as_the_nearest() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let mut jobs = site.jobs(6);
    jobs[2..].iter_mut().for_each(|job| job.when = When::After(HOUR));
    let ids = store(&backend, jobs);
    for (id, priority) in ids.iter().zip([-32768, 32767, -32768, 32767, -11, 10]) {
        for table in ["jobs", "ready", "waiting"] {
            raw.run(&format!("UPDATE {{schema}}.{table} SET priority = {priority} WHERE id = '{id}'"));
        }
    }
    raw.run("UPDATE {schema}.waiting SET run_at = 1");
    let promoted = block_on(backend.promote(Call::new(), 10)).expect("it is answered");
    assert_eq!(promoted.done, 4);
    block_on(backend.prune(Call::new(), 10)).expect("it is answered");
    let priorities = raw.value("SELECT string_agg(priority::text, ' ' ORDER BY id) FROM {schema}.ready");
    assert_eq!(priorities, "-10 10 -10 10 -10 10");
    assert_eq!(fetch(&backend, register(&backend), 1, 10).len(), 6);
}

#[test]
fn a_parked_job_with_a_priority_that_cannot_be_is_fetched() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let ids = site.put(&backend, 2);
    meet_without_a_handler(&backend);
    raw.run(&format!("UPDATE {{schema}}.waiting SET priority = 99 WHERE id = '{}'", ids[0]));

    let fetched = fetch(&backend, register(&backend), 1, 10);
    assert_eq!(fetched.len(), 2);
    let of_it = fetched.iter().find(|job| job.lease.job == ids[0]).expect("it was fetched");
    assert_eq!(of_it.spec.priority, Priority::LAST);
    assert_eq!(complete(&backend, fetched), [Finished::Accepted { state: JobState::Completed }; 2]);
}

#[test]
fn a_parked_job_with_a_priority_that_cannot_be_is_fetched_again_after_it_was_given_back() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let ids = site.put(&backend, 2);
    meet_without_a_handler(&backend);
    for (id, priority) in ids.iter().zip([-32768, 32767]) {
        raw.run(&format!("UPDATE {{schema}}.waiting SET priority = {priority} WHERE id = '{id}'"));
    }

    let worker = register(&backend);
    for claim in 1..3 {
        let fetched = fetch(&backend, worker, claim, 10);
        assert_eq!(fetched.len(), 2, "fetch {claim}");
        let items = fetched.into_iter().map(|job| FinishItem::give_back(job.lease, Duration::ZERO)).collect();
        let reply = block_on(backend.finish(Call::new(), FinishRequest::new(items))).expect("it is answered");
        assert_eq!(reply.items, [Finished::Accepted { state: JobState::Available }; 2]);
    }
}

#[test]
fn an_ended_job_of_an_unknown_state_is_listed_with_the_discarded_ones() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let ids = site.put(&backend, 5);
    block_on(backend.cancel(Call::new(), VerbRequest::ids(ids.clone()))).expect("it is answered");
    for (id, state) in ids[1..].iter().zip([99, 7, 5, 7]) {
        raw.run(&format!("UPDATE {{schema}}.ended SET state = {state} WHERE id = '{id}'"));
    }
    let newest: Vec<JobId> = ids.iter().rev().copied().collect();
    assert_eq!(listed(&backend, list_of(JobState::Cancelled)), [ids[0]]);
    assert_eq!(listed(&backend, list_of(JobState::Discarded))[..1], ids[1..2]);
    assert!(listed(&backend, list_of(JobState::Discarded)).contains(&ids[4]));
    assert_eq!(listed(&backend, list_of(JobState::Cancelled).state(JobState::Discarded)).len(), 5);
    assert_eq!(listed(&backend, list_of(JobState::Discarded).queue(name("line"))).len(), 4);
    let mut filter = list_of(JobState::Discarded);
    filter.ids.clone_from(&ids);
    assert_eq!(listed(&backend, filter).len(), 4);
    assert_eq!(count(&backend, list_of(JobState::Discarded)), 4);
    assert_eq!(count(&backend, list_of(JobState::Discarded).kind(name("work"))), 4);
    let request = ListRequest::new(list_of(JobState::Discarded)).order(Order::NewestFirst).limit(2);
    let page = block_on(backend.list(Call::new(), request)).expect("it is answered");
    assert_eq!(page.items.iter().map(|job| job.id).collect::<Vec<_>>(), newest[..2]);
    let page = block_on(backend.get(Call::new(), vec![ids[1]])).expect("it is answered").remove(0);
    assert_eq!(page.expect("it is there").undecodable.as_deref(), Some("state `99`"));
}
