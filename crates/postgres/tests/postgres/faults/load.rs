//! Producers and workers that go on whatever happens, and an account of every job by its id.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, Call, Certainty, ClaimId, EnqueueRequest, Enqueued, ExistingBy, FetchRequest, FinishItem,
    FinishRequest, Finished, JobFilter, JobId, JobState, QueueWant, RegisterWorker, Reply, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::site::{PATIENCE, Site};
use crate::fixture::{count, name};

/// They share a process, so that their calls go together.
const PRODUCERS: usize = 3;
const WORKERS: usize = 2;
/// Every other enqueue is of one job, every other of so many.
const BATCH: usize = 30;
/// Longer than any story: no lease ends by itself.
const LEASE: Duration = Duration::from_secs(600);
const DEADLINE: Duration = Duration::from_secs(5);

/// What was seen so far.
#[derive(Default)]
pub(super) struct Load {
    rounds: usize,
    ended: AtomicUsize,
    answered: AtomicUsize,
    unanswered: AtomicUsize,
    stored: Mutex<HashSet<JobId>>,
    leased: Mutex<HashSet<JobId>>,
}

/// An answer, and whether a call before it may have had its effect without one.
struct Insisted<T> {
    answer: T,
    may_repeat: bool,
}

impl Load {
    /// Each producer enqueues so many times.
    pub(super) fn new(rounds: usize) -> Self {
        Self { rounds, ..Self::default() }
    }

    /// How many jobs there will be.
    pub(super) fn jobs(&self) -> usize {
        PRODUCERS * (0..self.rounds).map(size).sum::<usize>()
    }

    /// How many runs have ended.
    pub(super) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    /// How many calls had an answer.
    pub(super) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// How many calls had no answer.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::SeqCst)
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended() >= self.jobs()
    }

    /// Runs to the end of all jobs while the trouble takes its course, then settles the account.
    pub(super) fn run(&self, site: &Site, url: &str, trouble: impl FnOnce()) {
        let (begun, producer) = (Instant::now(), site.open_at(url));
        thread::scope(|scope| {
            for _ in 0..PRODUCERS {
                scope.spawn(|| self.produce(site, &producer));
            }
            for _ in 0..WORKERS {
                scope.spawn(|| self.work(&site.open_at(url), begun));
            }
            trouble();
        });
        self.settle(site);
    }

    fn produce(&self, site: &Site, backend: &Postgres) {
        for round in 0..self.rounds {
            let jobs = site.jobs(size(round));
            let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
            let request = EnqueueRequest::new(jobs);
            let reply = self.insist(|call| backend.enqueue(call, request.clone()));
            for (id, enqueued) in ids.iter().zip(&reply.answer.jobs) {
                match enqueued {
                    Enqueued::Created => {}
                    Enqueued::Existing { id: existing, by: ExistingBy::Id } => {
                        assert!(reply.may_repeat && existing == id, "{id} was there before it was sent");
                    }
                    other => panic!("{id}: {other:?}"),
                }
            }
            assert_eq!(reply.answer.jobs.len(), ids.len());
            lock(&self.stored).extend(ids);
        }
    }

    fn work(&self, backend: &Postgres, begun: Instant) {
        let worker = WorkerId::random();
        self.insist(|call| backend.register_worker(call, RegisterWorker::new(worker, "load", LEASE)));
        for claim in 1.. {
            assert!(begun.elapsed() < 2 * PATIENCE, "{} of {} jobs have ended", self.ended(), self.jobs());
            if self.is_over() {
                return;
            }
            let wants = vec![QueueWant::new(name("line"), BATCH)];
            let request = FetchRequest::new(worker, ClaimId(claim), wants);
            let leased = self.insist(|call| backend.fetch(call, request.clone())).answer.jobs;
            if leased.is_empty() {
                thread::park_timeout(Duration::from_millis(2));
                continue;
            }
            for job in &leased {
                assert!(lock(&self.leased).insert(job.lease.job), "{} was leased twice", job.lease.job);
            }
            // Every other one the thorough way.
            let items = leased.into_iter().enumerate().map(|(place, job)| {
                let mut item = FinishItem::complete(job.lease);
                item.effects = Vec::new();
                item.reason = (place % 2 == 0).then(|| "well done".to_owned());
                item
            });
            let request = FinishRequest::new(items.collect());
            let reply = self.insist(|call| backend.finish(call, request.clone()));
            for finished in &reply.answer.items {
                match finished {
                    Finished::Accepted { state: JobState::Completed } => {}
                    Finished::AlreadyAccepted if reply.may_repeat => {}
                    other => panic!("{other:?}"),
                }
            }
            self.ended.fetch_add(reply.answer.items.len(), Ordering::SeqCst);
        }
    }

    /// Asks until there is an answer. An error that says that nothing was stored is taken at its word.
    fn insist<'a, T>(&self, ask: impl Fn(Call) -> Reply<'a, T>) -> Insisted<T> {
        let (begun, mut may_repeat) = (Instant::now(), false);
        loop {
            match block_on(ask(Call::new().within(DEADLINE))) {
                Ok(answer) => {
                    self.answered.fetch_add(1, Ordering::SeqCst);
                    return Insisted { answer, may_repeat };
                }
                Err(error) => {
                    assert!(error.is_retryable() && begun.elapsed() < PATIENCE, "{error:?}");
                    may_repeat |= error.certainty() == Certainty::MaybeStored;
                    self.unanswered.fetch_add(1, Ordering::SeqCst);
                }
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Nothing lost, nothing doubled, nothing left behind.
    fn settle(&self, site: &Site) {
        let (stored, backend, raw) = (lock(&self.stored), site.open(), site.raw());
        assert_eq!(stored.len(), self.jobs());
        assert_eq!(*lock(&self.leased), *stored);
        let runs = raw.value("SELECT id || '/' || run || '/' || state FROM {schema}.attempts");
        let mut left = stored.clone();
        for run in runs.lines() {
            let (id, rest) = run.split_once('/').expect("it is a run");
            assert_eq!(rest, "1/5", "{id} did not complete in its first run");
            assert!(left.remove(&id.parse().expect("it is an id")), "{id} is unknown or has ended twice");
        }
        assert!(left.is_empty(), "{left:?} have not ended");
        assert_eq!(count(&backend, JobFilter::new()), stored.len() as u64);
        assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), stored.len() as u64);
        for table in ["ready", "waiting", "claims", "ended"] {
            assert_eq!(raw.rows(table), 0, "{table}");
        }
    }
}

/// How many jobs a round enqueues.
fn size(round: usize) -> usize {
    if round.is_multiple_of(2) { 1 } else { BATCH }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
