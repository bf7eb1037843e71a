//! Workers over a store whose every operation fails, hangs, or succeeds without saying so, at random:
//! whatever happens, each job ends once, and all of it is accounted for.
//!
//! Time is tokio's, paused: twenty seconds of trouble take a moment. The seeds are fixed; the same seed deals
//! the same faults to the same calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill_core::{
    BackendErrorKind, Clock, JobError, JobFilter, JobId, JobOptions, JobRecord, JobState, ListRequest,
    Reason, RetryPolicy, Timestamp,
};
use gristmill_engine::{Client, JobContext, Worker, WorkerReport};
use gristmill_memory::Memory;
use gristmill_testkit::{Fault, FaultyBackend};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const JOBS: u32 = 400;
const WORKERS: usize = 3;
/// Shorter than the hangs, so that leases are fenced, lost, rescued and regained.
const LEASE: Duration = Duration::from_secs(2);
const TROUBLE: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(1);

/// The store's clock moves with tokio's.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + self.0.elapsed()
    }
}

/// How often the handler of each job said that it succeeded.
type Successes = Arc<Mutex<HashMap<JobId, u32>>>;

struct Chaos {
    backend: Arc<FaultyBackend>,
    /// Of the workers: meets the faults.
    faulty: Client,
    /// Of the test: does not.
    sound: Client,
    successes: Successes,
}

impl Chaos {
    fn new() -> Self {
        let clock = Arc::new(TokioClock(Instant::now()));
        let memory = Memory::with_clock(clock.clone());
        let backend = Arc::new(FaultyBackend::new(Arc::new(memory.clone())));
        let faulty = Client::builder(backend.clone()).clock(clock.clone()).call_deadline(SECOND).build();
        Self { backend, faulty, sound: Client::with_clock(memory, clock), successes: Successes::default() }
    }

    async fn fill(&self) {
        for number in 0..JOBS {
            let kind = ["quick", "slow", "failing", "snoozing", "logging"][number as usize % 5];
            let retry = RetryPolicy::fixed(50 * MILLI);
            let mut options = JobOptions::new().retry(retry).max_attempts(1_000);
            // Some are there at once, the others come due for as long as the trouble lasts.
            if number % 2 == 0 {
                options = options.delay(TROUBLE * number / JOBS);
            }
            self.sound.enqueue_raw(kind, "{}", options).await.expect("the store answers");
        }
    }

    fn start_worker(&self) -> (gristmill_engine::WorkerHandle, JoinHandle<WorkerReport>) {
        let succeeded = self.successes.clone();
        let note = move |context: &JobContext| {
            *succeeded.lock().expect("no handler panics").entry(context.id()).or_default() += 1;
            Ok::<_, JobError>(())
        };
        let (quick, slow, failing, snoozing, logging) =
            (note.clone(), note.clone(), note.clone(), note.clone(), note);
        let worker = Worker::builder(self.faulty.clone())
            .queue("default", 20)
            .lease(LEASE)
            .grace(GRACE)
            .poll_interval(200 * MILLI)
            .handle_raw("quick", move |ctx: JobContext| std::future::ready(quick(&ctx)))
            .handle_raw("slow", move |ctx: JobContext| {
                let slow = slow.clone();
                async move {
                    tokio::time::sleep(300 * MILLI).await;
                    slow(&ctx)
                }
            })
            .handle_raw("failing", move |ctx: JobContext| {
                let first = ctx.attempt() == 1;
                std::future::ready(if first {
                    Err(JobError::retry_after(MILLI, "again"))
                } else {
                    failing(&ctx)
                })
            })
            .handle_raw("snoozing", move |ctx: JobContext| {
                let first = ctx.run() == 1;
                std::future::ready(if first { Err(JobError::snooze(10 * MILLI)) } else { snoozing(&ctx) })
            })
            .handle_raw("logging", move |ctx: JobContext| {
                let logging = logging.clone();
                async move {
                    ctx.log("a line");
                    // What keeps it from being stored is not the job's fault.
                    let _ = ctx.progress(50).await;
                    logging(&ctx)
                }
            })
            .build()
            .expect("the worker is valid");
        (worker.handle(), tokio::spawn(async { worker.run().await.expect("the worker starts") }))
    }

    /// Waits until every job has ended.
    async fn until_all_ended(&self, seed: u64) {
        let began = Instant::now();
        loop {
            let left = self
                .sound
                .list(ListRequest::new(JobFilter::new()).limit(1_000))
                .await
                .expect("the store answers")
                .items;
            assert_eq!(left.len(), JOBS as usize, "seed {seed}: none disappears");
            if left.iter().all(has_ended) {
                return;
            }
            let stuck: Vec<_> = left.iter().filter(|job| !has_ended(job)).take(3).collect();
            assert!(began.elapsed() < 60 * SECOND, "seed {seed}: {stuck:#?}");
            tokio::time::sleep(50 * MILLI).await;
        }
    }

    /// Waits until the store knows the workers that live, and no others.
    async fn until_the_dead_are_forgotten(&self, seed: u64) {
        let began = Instant::now();
        while self.sound.workers().await.expect("the store answers").len() > WORKERS {
            assert!(began.elapsed() < 3 * LEASE, "seed {seed}: dead workers stay");
            tokio::time::sleep(50 * MILLI).await;
        }
    }

    /// Every run of a job is numbered once, and exactly one of them ended it.
    async fn account(&self, seed: u64) {
        let jobs = self
            .sound
            .list(ListRequest::new(JobFilter::new()).limit(1_000))
            .await
            .expect("the store answers")
            .items;
        for job in jobs {
            let runs = self.sound.runs(job.id).await.expect("the store answers");
            let ends = runs.iter().filter(|run| run.state.is_terminal()).count();
            let numbers: Vec<u32> = runs.iter().map(|run| run.run).collect();
            assert_eq!(ends, 1, "seed {seed}: {runs:#?}");
            assert_eq!(numbers, (1..=job.run).collect::<Vec<_>>(), "seed {seed}");
            let succeeded = self.successes.lock().expect("no handler panics").contains_key(&job.id);
            assert!(
                succeeded || job.state == JobState::Discarded,
                "seed {seed}: completed without a success"
            );
        }
    }
}

/// Five workers in a row may die with the same job.
fn has_ended(job: &JobRecord) -> bool {
    let poison = job.reason.as_deref() == Some(Reason::Poison.as_str());
    job.state == JobState::Completed || (job.state == JobState::Discarded && poison)
}

/// What happens to about one call in eight: the last two hang until the next release, up to a second.
const FAULTS: [Fault; 6] = [
    Fault::Fail(BackendErrorKind::Unavailable),
    Fault::Fail(BackendErrorKind::Busy),
    Fault::LoseReply(BackendErrorKind::Unavailable),
    Fault::LoseReply(BackendErrorKind::TimedOut),
    Fault::HoldRequest,
    Fault::HoldReply,
];

async fn chaos(seed: u64, faults: &[Fault]) {
    // What the engine leaves to chance, too.
    fastrand::seed(seed);
    let t = Chaos::new();
    t.fill().await;
    t.backend.randomly(seed, 125, faults.to_vec());
    let mut workers: Vec<_> = (0..WORKERS).map(|_| t.start_worker()).collect();
    let began = Instant::now();
    let mut dice = fastrand::Rng::with_seed(seed);
    while began.elapsed() < TROUBLE {
        tokio::time::sleep(MILLI * dice.u32(100..2_500)).await;
        t.backend.release();
        let one = dice.usize(0..WORKERS);
        match dice.u32(0..4) {
            // A deploy.
            0 => {
                let (handle, task) = std::mem::replace(&mut workers[one], t.start_worker());
                let stopped = Instant::now();
                handle.stop();
                task.await.expect("the worker does not panic");
                assert!(stopped.elapsed() <= GRACE + SECOND, "seed {seed}: {:?}", stopped.elapsed());
            }
            // A crash.
            1 => {
                let (_, task) = std::mem::replace(&mut workers[one], t.start_worker());
                task.abort();
            }
            _ => {}
        }
    }
    t.backend.heal();
    t.until_all_ended(seed).await;
    t.until_the_dead_are_forgotten(seed).await;
    for (handle, task) in workers {
        handle.stop();
        let report = task.await.expect("the worker does not panic");
        assert!(report.is_clean(), "seed {seed}: {report:?}");
    }
    t.account(seed).await;
}

#[tokio::test(start_paused = true)]
async fn every_job_is_accounted_for_whatever_the_store_does() {
    for seed in 0..16 {
        chaos(seed, &FAULTS).await;
    }
}

/// The store forgets its workers, too.
#[tokio::test(start_paused = true)]
async fn every_job_is_accounted_for_when_leases_end_at_random() {
    let faults = [Fault::Fail(BackendErrorKind::WorkerGone), Fault::LoseReply(BackendErrorKind::Unavailable)];
    for seed in 100..108 {
        chaos(seed, &faults).await;
    }
}
