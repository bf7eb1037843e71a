//! Processes that come and go on one store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{
    Args, Backend, BackendErrorKind, Call, ClaimId, Clock as _, EnqueueRequest, FetchRequest, FetchedJob,
    FinishItem, FinishRequest, Finished, IdSource, JobFilter, JobId, JobSpec, JobState, Name, NewJob,
    QueueWant, RegisterWorker, RenewRequest, Reply, SystemClock, VerbRequest, Verdict, WorkerId,
};

use crate::block_on;

/// Short, so that what a killed process held runs again soon.
const LEASE: Duration = Duration::from_secs(2);
/// How long a call may be repeated, and how long the last jobs may take to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rounds of a process until it ends. Of three processes about one is killed before.
const ROUNDS: u64 = 20;
/// Jobs that a process enqueues in a round by its backend; one more goes through the outbox.
const PRODUCED: usize = 3;

/// Processes that enqueue, fetch, finish, cancel, end and are killed on one store, such as those of two
/// releases side by side. They use the machine's clock.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use gristmill_core::{Backend, Call, EnqueueRequest};
/// use gristmill_memory::Memory;
/// use gristmill_testkit::{Rolling, block_on};
///
/// let (store, rolling) = (Arc::new(Memory::new()), Rolling::default());
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             rolling.run(
///                 || Arc::clone(&store) as Arc<dyn Backend>,
///                 |job| {
///                     let request = EnqueueRequest::new(vec![job.clone()]);
///                     block_on(store.enqueue(Call::new(), request)).expect("it is stored");
///                 },
///             );
///         });
///     }
///     rolling.wait(Duration::from_millis(50));
///     rolling.stop();
/// });
/// let totals = rolling.check(&*store);
/// assert!(totals.jobs > 0 && totals.processes > 0);
/// ```
#[derive(Debug, Default)]
pub struct Rolling {
    ids: IdSource,
    is_over: AtomicBool,
    enqueued: AtomicUsize,
    processes: AtomicUsize,
    kills: AtomicUsize,
    /// How often each job has ended.
    ends: Mutex<BTreeMap<JobId, u32>>,
}

/// What happened until the last job had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RollingTotals {
    /// Jobs that were enqueued, each of which has ended once.
    pub jobs: usize,
    /// Of them those that were cancelled before they ran.
    pub cancelled: u64,
    /// Processes that were started.
    pub processes: usize,
    /// Of them those that were killed with jobs in hand.
    pub kills: usize,
}

impl Rolling {
    /// Runs one process after the other until [`stop`](Self::stop). Each has a backend of its own from
    /// `open`; `outbox` stores a job by a way beside the backend.
    ///
    /// # Panics
    /// When a call fails with an error that is not retryable, such as the refusal of a schema.
    pub fn run(&self, open: impl Fn() -> Arc<dyn Backend>, outbox: impl Fn(&NewJob)) {
        while !self.is_over.load(Ordering::SeqCst) {
            self.processes.fetch_add(1, Ordering::SeqCst);
            self.process(&*open(), &outbox);
        }
    }

    /// Lets the processes work for so long.
    pub fn wait(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            thread::park_timeout(time.saturating_sub(began.elapsed()));
        }
    }

    /// Ends [`run`](Self::run) on every thread, after the round in which it is.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Works off what is left, and checks that each job has ended once and none is missing.
    ///
    /// # Panics
    /// When a job ended twice or is not there, or when some do not end within a minute.
    pub fn check(&self, backend: &dyn Backend) -> RollingTotals {
        let (began, worker) = (Instant::now(), register(backend));
        let jobs = self.enqueued.load(Ordering::SeqCst);
        let mut claim = 0;
        loop {
            claim += 1;
            let ended = [JobState::Completed, JobState::Cancelled].map(|state| count(backend, state));
            if ended.iter().sum::<u64>() == jobs as u64 {
                let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
                let twice: Vec<_> = ends.iter().filter(|(_, times)| **times > 1).collect();
                assert!(twice.is_empty(), "jobs that ended more than once: {twice:?}");
                let (processes, kills) =
                    (self.processes.load(Ordering::SeqCst), self.kills.load(Ordering::SeqCst));
                return RollingTotals { jobs, cancelled: ended[1], processes, kills };
            }
            assert!(began.elapsed() < PATIENCE, "of {jobs} jobs {ended:?} are completed and cancelled");
            maintain(backend);
            let fetched = fetch(backend, worker, claim).expect("the worker lives");
            if fetched.is_empty() {
                thread::park_timeout(Duration::from_millis(20));
            }
            self.finish(backend, fetched);
            insist(|| backend.renew(Call::new(), RenewRequest::new(worker, Vec::new())));
        }
    }

    fn process(&self, backend: &dyn Backend, outbox: &impl Fn(&NewJob)) {
        let worker = register(backend);
        let killed_in = fastrand::u64(1..=3 * ROUNDS);
        for round in 1..=ROUNDS {
            if self.is_over.load(Ordering::SeqCst) {
                break;
            }
            self.produce(backend, outbox);
            // A worker that was slow has lost its lease, and ends as if it were killed.
            let Some(fetched) = fetch(backend, worker, round) else { return };
            if round == killed_in {
                self.kills.fetch_add(1, Ordering::SeqCst);
                return;
            }
            self.finish(backend, fetched);
            maintain(backend);
            if insist(|| backend.renew(Call::new(), RenewRequest::new(worker, Vec::new()))).is_none() {
                return;
            }
        }
        insist(|| backend.retire_worker(Call::new(), worker));
    }

    /// Enqueues jobs by the backend and by the outbox, and cancels one of them.
    fn produce(&self, backend: &dyn Backend, outbox: &impl Fn(&NewJob)) {
        let jobs: Vec<NewJob> = (0..PRODUCED).map(|_| self.job()).collect();
        insist(|| backend.enqueue(Call::new(), EnqueueRequest::new(jobs.clone())));
        outbox(&self.job());
        self.enqueued.fetch_add(PRODUCED + 1, Ordering::SeqCst);
        let request = VerbRequest::ids(vec![jobs[0].id]);
        let reply = insist(|| backend.cancel(Call::new(), request.clone()));
        let acted = reply.into_iter().flat_map(|reply| reply.jobs);
        acted.filter(|(_, verdict)| *verdict == Verdict::Done).for_each(|(job, _)| self.ended(job));
    }

    fn job(&self) -> NewJob {
        let args = Args::from_json("{}").expect("it is JSON");
        NewJob::new(self.ids.next(SystemClock.now()), JobSpec::new(name("work"), name("rolling"), args))
    }

    /// Completes jobs; what another transaction has locked is repeated.
    fn finish(&self, backend: &dyn Backend, fetched: Vec<FetchedJob>) {
        let mut open: Vec<FinishItem> =
            fetched.into_iter().map(|job| FinishItem::complete(job.lease)).collect();
        while !open.is_empty() {
            let reply = insist(|| backend.finish(Call::new(), FinishRequest::new(open.clone())));
            let Some(reply) = reply else { return };
            let mut busy = Vec::new();
            for (item, finished) in open.into_iter().zip(reply.items) {
                match finished {
                    Finished::Accepted { .. } | Finished::AlreadyAccepted => self.ended(item.lease.job),
                    Finished::Busy => busy.push(item),
                    // The lease has passed on: another worker ends the job.
                    Finished::LeaseLost { .. } => {}
                }
            }
            open = busy;
        }
    }

    fn ended(&self, job: JobId) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner).entry(job).or_default() += 1;
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("it is a name")
}

fn register(backend: &dyn Backend) -> WorkerId {
    let worker = WorkerId::random();
    insist(|| backend.register_worker(Call::new(), RegisterWorker::new(worker, "rolling", LEASE)))
        .expect("a new worker is not gone");
    worker
}

fn fetch(backend: &dyn Backend, worker: WorkerId, claim: u64) -> Option<Vec<FetchedJob>> {
    let wants = vec![QueueWant::new(name("rolling"), 2 * PRODUCED)];
    let request = FetchRequest::new(worker, ClaimId(claim), wants);
    insist(|| backend.fetch(Call::new(), request.clone())).map(|reply| reply.jobs)
}

fn maintain(backend: &dyn Backend) {
    insist(|| backend.promote(Call::new(), 100));
    insist(|| backend.rescue(Call::new(), 100));
}

fn count(backend: &dyn Backend, state: JobState) -> u64 {
    insist(|| backend.count(Call::new(), JobFilter::new().state(state), None)).expect("it is counted").value
}

/// Repeats a call until it is answered; `None` when the worker is gone.
fn insist<'b, T>(ask: impl Fn() -> Reply<'b, T>) -> Option<T> {
    let began = Instant::now();
    loop {
        match block_on(ask()) {
            Ok(reply) => return Some(reply),
            Err(error) if error.kind() == BackendErrorKind::WorkerGone => return None,
            Err(error) => assert!(error.is_retryable() && began.elapsed() < PATIENCE, "{error:?}"),
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}
