//! Lost replies, networks that swallow everything, notifications that do not arrive.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, BackendError, BackendErrorKind, Call, Certainty, ClaimId, EnqueueRequest, Enqueued, ExistingBy,
    FetchRequest, FinishItem, FinishRequest, Finished, Hint, JobFilter, JobId, JobState, Listener, NewJob,
    Priority, QueueWant, RenewRequest, Reply, RunError, UniqueKey, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::{FaultProxy, Postgres as Server};

use super::site::{Site, finish, late, refused, register_for, until};
use crate::fixture::{count, fetch, name, register};

/// A network of its own before the shared server, and a process behind it.
struct Network {
    proxy: FaultProxy,
    site: Site,
    backend: Postgres,
}

impl Network {
    fn new() -> Self {
        let proxy = FaultProxy::start(Server::shared().address());
        let site = Site::shared();
        let backend = site.open_at(&format!("{}?connect_timeout=1", proxy.url_through(&site.url)));
        Self { proxy, site, backend }
    }

    /// The answer to a call that is repeated after its reply was lost: to the first request that holds these
    /// bytes.
    #[track_caller]
    fn repeated<'a, T: std::fmt::Debug>(&self, bytes: &[u8], ask: impl Fn() -> Reply<'a, T>) -> T {
        let (bytes, lost) = (bytes.to_vec(), self.proxy.lost_replies());
        self.proxy
            .lose_next_reply_to(move |request| request.windows(bytes.len()).any(|window| window == bytes));
        let error = refused(ask(), BackendErrorKind::Unavailable);
        assert_eq!(self.proxy.lost_replies(), lost + 1, "{error:?}");
        assert_eq!(error.certainty(), Certainty::MaybeStored);
        block_on(ask()).expect("the repeat is answered")
    }
}

/// What ends a transaction of several statements.
const COMMIT: &[u8] = b"COMMIT\0";

#[test]
fn an_enqueue_whose_reply_is_lost_after_the_commit_is_answered_by_id_when_repeated() {
    let network = Network::new();
    let keyed = |key: &str| -> NewJob {
        let mut job = network.site.job();
        job.spec.unique_key = Some(UniqueKey::new(key).expect("it is a key"));
        job
    };
    let cases: [(Vec<NewJob>, Option<&[u8]>); 4] = [
        (network.site.jobs(1), None),
        (network.site.jobs(50), None),
        (vec![keyed("one")], Some(COMMIT)),
        (vec![keyed("two"), network.site.job(), keyed("three")], Some(COMMIT)),
    ];
    // A new queue is made, and committed, by itself.
    network.site.put(&network.backend, 1);
    let mut stored = 1;
    for (jobs, bytes) in cases {
        let bytes = bytes.map_or_else(|| jobs[0].id.as_bytes().to_vec(), <[u8]>::to_vec);
        let request = EnqueueRequest::new(jobs);
        let reply = network.repeated(&bytes, || network.backend.enqueue(Call::new(), request.clone()));
        for (job, enqueued) in request.jobs.iter().zip(&reply.jobs) {
            assert_eq!(*enqueued, Enqueued::Existing { id: job.id, by: ExistingBy::Id });
        }
        stored += request.jobs.len() as u64;
        assert_eq!(count(&network.backend, JobFilter::new()), stored);
    }
}

#[test]
fn a_fetch_whose_reply_is_lost_after_the_commit_gives_the_same_jobs_when_repeated() {
    let network = Network::new();
    let ids = network.site.put(&network.backend, 20);
    let worker = register(&network.backend);
    let simple = vec![QueueWant::new(name("line"), 5)];
    // The second wish is served from what the first one left, so both are one transaction.
    let mut urgent = QueueWant::new(name("line"), 2);
    urgent.priorities = Some((Priority::FIRST, Priority::LAST));
    let twice = vec![urgent, QueueWant::new(name("line"), 3)];
    let cases = [(1, simple, worker_bytes(worker)), (2, twice, COMMIT.to_vec())];
    for (claim, wants, bytes) in cases {
        let request = FetchRequest::new(worker, ClaimId(claim), wants);
        let reply = network.repeated(&bytes, || network.backend.fetch(Call::new(), request.clone()));
        let first = (usize::try_from(claim).expect("it is small") - 1) * 5;
        let given: Vec<JobId> = reply.jobs.iter().map(|job| job.lease.job).collect();
        assert_eq!(given, ids[first..first + 5], "the jobs that the lost reply gave");
        assert!(reply.jobs.iter().all(|job| job.lease.run == 1 && job.attempt == 1));
        let again = block_on(network.backend.fetch(Call::new(), request)).expect("it is answered");
        assert_eq!(again.jobs, reply.jobs);
    }
    assert_eq!(count(&network.backend, JobFilter::new().state(JobState::Available)), 10);
}

fn worker_bytes(worker: WorkerId) -> Vec<u8> {
    worker.as_u128().to_be_bytes().to_vec()
}

#[test]
fn a_finish_whose_reply_is_lost_after_the_commit_is_already_accepted_when_repeated() {
    let network = Network::new();
    network.site.put(&network.backend, 20);
    let worker = register(&network.backend);
    let completed = |item: FinishItem| item;
    let with_words = |mut item: FinishItem| {
        item.reason = Some("well done".to_owned());
        item
    };
    let with_effects = |mut item: FinishItem| {
        item.effects = vec![network.site.job()];
        item
    };
    let failed = |item: FinishItem| FinishItem::fail(item.lease, Duration::from_secs(9), RunError::new("no"));
    let ways: [(&dyn Fn(FinishItem) -> FinishItem, bool); 4] =
        [(&completed, false), (&with_words, false), (&with_effects, true), (&failed, true)];
    for ((way, is_transaction), claim) in ways.into_iter().zip(1..) {
        let jobs = fetch(&network.backend, worker, claim, 5);
        let bytes = if is_transaction { COMMIT.to_vec() } else { jobs[0].lease.job.as_bytes().to_vec() };
        let items = jobs.into_iter().map(|job| way(FinishItem::complete(job.lease))).collect();
        let request = FinishRequest::new(items);
        let reply = network.repeated(&bytes, || network.backend.finish(Call::new(), request.clone()));
        assert_eq!(reply.items, vec![Finished::AlreadyAccepted; 5]);
    }
    let number = |state| count(&network.backend, JobFilter::new().state(state));
    assert_eq!((number(JobState::Completed), number(JobState::Retryable)), (15, 5));
    // Those of the effects, each stored once.
    assert_eq!(number(JobState::Available), 5);
    assert_eq!(network.site.raw().rows("claims"), 0);
}

/// The network dies between two statements of a finish. The server does not notice, and its session keeps the
/// claim locked. Returns for how long.
fn holds_its_claim(
    lease: Duration,
    end: impl Fn(&Postgres, Call, FinishItem) -> BackendError + Sync,
) -> Duration {
    let Network { proxy, site, backend } = &Network::new();
    let (other, raw, watcher) = (site.open(), site.raw(), site.raw());
    site.put(backend, 1);
    let lease = fetch(backend, register_for(backend, lease), 1, 1).remove(0).lease;
    let mut item = FinishItem::complete(lease.clone());
    item.effects = site.jobs(1);
    // The finish has the claim and waits to store what the handler enqueued.
    raw.run(&format!(
        "BEGIN; INSERT INTO {{schema}}.jobs (id, created_at, queue, max_attempts, priority, kind, args)
            VALUES ('{}', 0, 0, 1, 0, '', '')",
        item.effects[0].id
    ));
    thread::scope(|scope| {
        let finishing = scope.spawn(|| end(backend, Call::new().within(Duration::from_secs(3)), item));
        watcher.wait_for_waiters(1);
        proxy.blackhole();
        raw.run("ROLLBACK");
        assert_eq!(finishing.join().expect("it ends").kind(), BackendErrorKind::TimedOut);
    });
    let begun = Instant::now();
    let finished = finish(&other, FinishItem::complete(lease));
    assert_eq!(finished, Finished::Accepted { state: JobState::Completed });
    assert_eq!(count(&other, JobFilter::new()), 1, "nothing of the other finish was stored");
    begun.elapsed()
}

fn end_alone(backend: &Postgres, call: Call, item: FinishItem) -> BackendError {
    let error = refused(backend.finish(call, FinishRequest::new(vec![item])), BackendErrorKind::TimedOut);
    assert_eq!(error.certainty(), Certainty::MaybeStored);
    error
}

fn end_with_the_handlers_transaction(backend: &Postgres, call: Call, item: FinishItem) -> BackendError {
    let tx = block_on(backend.begin(call, item.lease.clone())).expect("a transaction begins");
    block_on(tx.finish(call, item)).expect_err("it gets no answer")
}

#[test]
fn a_connection_that_died_in_a_transaction_does_not_keep_its_claim_for_longer_than_a_lease() {
    let lease = Duration::from_secs(2);
    let held = [holds_its_claim(lease, end_alone), holds_its_claim(lease, end_with_the_handlers_transaction)];
    assert!(held.iter().all(|held| *held < Duration::from_secs(10)), "it took {held:?}");
}

#[test]
fn a_connection_that_died_in_a_transaction_keeps_its_claim_for_half_a_minute_at_most() {
    let held = holds_its_claim(Duration::from_secs(3600), end_alone);
    assert!(held < Duration::from_secs(35), "it took {held:?}");
}

#[test]
fn a_blackholed_pool_ends_calls_by_their_deadline_and_recovers() {
    let Network { proxy, site, backend } = &Network::new();
    site.put(backend, 10);
    let worker = register(backend);
    fetch(backend, worker, 1, 5);
    proxy.blackhole();
    // All at once, so that every connection of every pool has something to lose, and new ones, too.
    thread::scope(|scope| {
        for _ in 0..6 {
            let request = EnqueueRequest::new(site.jobs(2));
            scope.spawn(move || late(|call| backend.enqueue(call, request.clone())));
            let renewal = RenewRequest::new(worker, vec![ClaimId(1)]);
            scope.spawn(move || late(|call| backend.renew(call, renewal.clone())));
            scope.spawn(move || late(|call| backend.count(call, JobFilter::new(), None)));
        }
    });
    assert!(proxy.swallowed_bytes() > 0);
    proxy.pass();
    // Connections that have lost bytes never answer again; none of them is used again, or waited for.
    let begun = Instant::now();
    for claim in 2..12 {
        let call = Call::new().within(Duration::from_secs(5));
        block_on(backend.enqueue(call, EnqueueRequest::new(site.jobs(1)))).expect("it is stored");
        let known = (1..claim).map(ClaimId).collect();
        block_on(backend.renew(call, RenewRequest::new(worker, known))).expect("the worker lives");
        block_on(backend.count(call, JobFilter::new(), None)).expect("it is counted");
        assert_eq!(fetch(backend, worker, claim, 1).len(), 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "ten rounds took {:?}", begun.elapsed());
    assert_eq!(count(backend, JobFilter::new()), 20, "nothing of what was swallowed was stored");
}

/// Keeps what it hears.
#[derive(Default)]
pub(super) struct Heard(Mutex<Vec<Hint>>);

impl Listener for Heard {
    fn hint(&self, hint: &Hint) {
        self.0.lock().expect("no test panics here").push(hint.clone());
    }
}

impl Heard {
    pub(super) fn take(&self) -> Vec<Hint> {
        std::mem::take(&mut *self.0.lock().expect("no test panics here"))
    }

    /// By the notification itself, or by the reconnect.
    fn until_told(&self, fact: &str) {
        let is_look = |hint: &Hint| matches!(hint, Hint::Missed | Hint::Available(_));
        until(fact, || self.take().iter().any(is_look));
    }
}

/// Another process stores a job, again and again until it is heard: the first connection may not listen yet.
pub(super) fn until_heard(site: &Site, other: &Postgres, heard: &Heard) {
    until("the other process is heard", || {
        site.put(other, 1);
        let told = || heard.take().contains(&Hint::Available(name("line")));
        told()
            || (0..100).any(|_| {
                thread::park_timeout(Duration::from_millis(2));
                told()
            })
    });
}

#[test]
fn jobs_are_found_while_notifications_are_lost_and_after_the_reconnect_they_are_heard_again() {
    let Network { proxy, site, backend } = &Network::new();
    let (other, heard) = (site.open(), Arc::new(Heard::default()));
    let worker = register(backend);
    fetch(backend, worker, 1, 1);
    let _subscription = backend.subscribe(Arc::clone(&heard) as Arc<dyn Listener>);
    until_heard(site, &other, &heard);
    let before = fetch(backend, worker, 2, 100_000).len();
    assert!(before > 0);

    // The line that listens loses bytes without a word, so it is dead and does not know.
    proxy.blackhole();
    heard.take();
    let lost = proxy.swallowed_bytes();
    site.put(&other, 3);
    until("the notification is lost", || proxy.swallowed_bytes() > lost);
    proxy.pass();
    assert_eq!(heard.take(), [], "nobody was told");
    assert_eq!(fetch(backend, worker, 3, 10).len(), 3, "whoever looks by himself finds the jobs");

    // The line goes on, or a ping finds it dead and the listener reconnects: there is a hint to look.
    site.put(&other, 1);
    heard.until_told("the listener is told to look after the reconnect");
    until_heard(site, &other, &heard);
}

#[test]
fn a_listener_that_is_cut_off_is_told_to_look_as_soon_as_the_server_is_back() {
    let Network { proxy, site, backend } = &Network::new();
    let (other, heard) = (site.open(), Arc::new(Heard::default()));
    fetch(backend, register(backend), 1, 1);
    let _subscription = backend.subscribe(Arc::clone(&heard) as Arc<dyn Listener>);
    until_heard(site, &other, &heard);
    proxy.refuse();
    proxy.cut_all();
    site.put(&other, 1);
    heard.take();
    proxy.pass();
    heard.until_told("the listener is told to look");
    until_heard(site, &other, &heard);
}
