//! Servers that die, cut their sessions, or stand still.

use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, BackendErrorKind, Call, Certainty, ClaimId, EnqueueRequest, Enqueued, ExistingBy, FetchRequest,
    FetchedJob, FinishItem, FinishRequest, Finished, JobFilter, JobState, LostWhy, QueueWant, RenewRequest,
    WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::load::Load;
use super::site::{Site, finish, insist, late, refused, register_for, until};
use crate::fixture::{complete, count, fetch, name, register};

const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };

#[test]
fn a_server_that_is_killed_three_times_loses_and_doubles_nothing() {
    let server = Server::builder().durable().start();
    let site = Site::at(server.url());
    let load = Load::new(120);
    load.run(&site, &site.url, || {
        for quarter in 1..=3 {
            until("a quarter more has ended", || load.ended() >= load.jobs() * quarter / 4);
            server.kill();
            server.start_again();
        }
    });
    assert!(load.unanswered() >= 3, "{}", load.unanswered());
}

#[test]
fn sessions_that_are_terminated_at_random_lose_and_double_nothing() {
    let site = Site::shared();
    let url = format!("{}?application_name={}", site.url, site.schema);
    let load = Load::new(100);
    let killer = site.raw();
    let victim = format!(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM (
            SELECT pid FROM pg_stat_activity WHERE application_name = '{}' ORDER BY random() LIMIT 1) AS victim",
        site.schema
    );
    let (mut terminated, mut answered) = (0, 0);
    load.run(&site, &url, || {
        until("all jobs have ended", || {
            // One for each step ahead at most: a slow machine does not open sessions as fast as others end
            // them.
            if load.answered() > answered {
                answered = load.answered();
                terminated += killer.value(&victim).parse::<usize>().expect("it is a number");
            }
            load.is_over()
        });
    });
    assert!(terminated >= 10 && load.unanswered() > 0, "{terminated}, {}", load.unanswered());
}

fn lease_of(worker: WorkerId, claim: u64, max: usize) -> FetchRequest {
    FetchRequest::new(worker, ClaimId(claim), vec![QueueWant::new(name("line"), max)])
}

/// Every call ends by its deadline while the server stands still, for longer than any connection is trusted;
/// one of each kind of write is on its way.
fn stand_still(server: &Server, backend: &Postgres, writes: &Writes) {
    const STOP: Duration = Duration::from_secs(20);
    let stopped = Instant::now();
    server.pause();
    assert_eq!(late(|call| backend.enqueue(call, writes.enqueue.clone())), Certainty::MaybeStored);
    assert_eq!(late(|call| backend.fetch(call, writes.fetch.clone())), Certainty::MaybeStored);
    assert_eq!(late(|call| backend.finish(call, writes.finish.clone())), Certainty::MaybeStored);
    assert_eq!(late(|call| backend.renew(call, writes.renew.clone())), Certainty::MaybeStored);
    while stopped.elapsed() < STOP {
        assert_eq!(late(|call| backend.get(call, vec![writes.enqueue.jobs[0].id])), Certainty::NotStored);
        assert_eq!(late(|call| backend.ping(call)), Certainty::NotStored);
    }
    server.resume();
}

/// The writes that were on their way.
struct Writes {
    enqueue: EnqueueRequest,
    fetch: FetchRequest,
    finish: FinishRequest,
    renew: RenewRequest,
}

#[test]
fn a_server_that_stands_still_longer_than_a_lease_goes_on_where_it_was() {
    let server = Server::start();
    let site = Site::at(server.url());
    let backend = site.open();
    let [short, long] = [3, 120].map(|lease| register_for(&backend, Duration::from_secs(lease)));
    site.put(&backend, 20);
    let mut of_short = fetch(&backend, short, 1, 10);
    let of_long = fetch(&backend, long, 1, 5);
    let writes = Writes {
        enqueue: EnqueueRequest::new(site.jobs(3)),
        fetch: lease_of(long, 2, 2),
        finish: FinishRequest::new(
            of_long.iter().map(|job| FinishItem::complete(job.lease.clone())).collect(),
        ),
        renew: RenewRequest::new(long, vec![ClaimId(1), ClaimId(2)]),
    };
    stand_still(&server, &backend, &writes);

    // A caller that repeats its request gets the result of the first one.
    let stored = insist(|| backend.enqueue(Call::new(), writes.enqueue.clone()));
    for (job, enqueued) in writes.enqueue.jobs.iter().zip(stored.jobs) {
        let existing = Enqueued::Existing { id: job.id, by: ExistingBy::Id };
        assert!(enqueued == Enqueued::Created || enqueued == existing, "{enqueued:?}");
    }
    let finished = insist(|| backend.finish(Call::new(), writes.finish.clone())).items;
    assert!(finished.iter().all(|finished| matches!(finished, Finished::AlreadyAccepted | &COMPLETED)));
    let second = insist(|| backend.fetch(Call::new(), writes.fetch.clone())).jobs;
    assert_eq!(second.len(), 2);
    assert!(complete(&backend, second).iter().all(|finished| *finished == COMPLETED));
    // The worker with the longer lease is alive.
    assert!(
        !insist(|| backend.renew(Call::new(), RenewRequest::new(long, vec![ClaimId(2)])))
            .expires_in
            .is_zero()
    );
    // The other one is not, but what it ends before a rescue counts.
    refused(
        backend.renew(Call::new(), RenewRequest::new(short, vec![ClaimId(1)])),
        BackendErrorKind::WorkerGone,
    );
    refused(backend.fetch(Call::new(), lease_of(short, 2, 1)), BackendErrorKind::WorkerGone);
    let given_up = of_short.split_off(4);
    assert!(complete(&backend, of_short).iter().all(|finished| *finished == COMPLETED));
    take_over(&backend, &given_up);
    assert_eq!(count(&backend, JobFilter::new()), 23);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), 23);
}

/// The jobs of a worker that is gone run once more, and its own ends of them come too late.
fn take_over(backend: &Postgres, given_up: &[FetchedJob]) {
    let rescued = block_on(backend.rescue(Call::new(), 100)).expect("a rescue is answered");
    assert_eq!(rescued.jobs.len(), given_up.len());
    let item = FinishItem::complete(given_up[0].lease.clone());
    assert_eq!(finish(backend, item), Finished::LeaseLost { why: LostWhy::Rescued });
    let again = fetch(backend, register(backend), 1, 100);
    for job in given_up {
        let runs = again.iter().filter(|again| again.lease.job == job.lease.job).map(|again| again.lease.run);
        assert_eq!(runs.collect::<Vec<_>>(), [2]);
    }
    assert!(complete(backend, again).iter().all(|finished| *finished == COMPLETED));
}
