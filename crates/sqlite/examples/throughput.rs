//! Measures the backend alone, without an engine: `throughput [full|normal|off] [jobs] [folder]`.
//!
//! Bulk enqueue, then a drain by two lanes that finish a batch of a thousand and fetch the next in one call,
//! then single enqueues by 256 callers at once. One line a figure; the folder must not lie in memory for them
//! to mean something.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gristmill_core::{
    Args, Backend, BackendError, Call, ClaimId, Clock, EnqueueRequest, FetchRequest, FinishItem,
    FinishRequest, IdSource, JobSpec, Name, NewJob, QueueWant, RegisterWorker, SystemClock, WorkerId,
};
use gristmill_sqlite::{Sqlite, Synchronous};
use gristmill_testkit::block_on;

const BATCH: usize = 1_000;
const LANES: u64 = 2;
const CALLERS: usize = 256;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let synchronous = match arguments.next().as_deref() {
        None | Some("full") => Synchronous::Full,
        Some("normal") => Synchronous::Normal,
        Some("off") => Synchronous::Off,
        Some(other) => return Err(format!("`{other}` is none of full, normal, off").into()),
    };
    let jobs: usize = arguments.next().map_or(Ok(200_000), |number| number.parse())?;
    let folder = tempfile::tempdir_in(arguments.next().unwrap_or_else(|| "/var/tmp".to_owned()))?;
    let open = |name| Sqlite::builder(folder.path().join(name)).synchronous(synchronous).open();

    let backend: Arc<dyn Backend> = Arc::new(open("drain.db")?);
    let started = Instant::now();
    enqueue(&*backend, jobs)?;
    tell("bulk enqueue", jobs, started.elapsed())?;
    let started = Instant::now();
    let done = drain(&backend)?;
    tell("drain", done, started.elapsed())?;
    drop(backend);

    let backend = open("single.db")?;
    let started = Instant::now();
    block_on(single(&backend, jobs))?;
    tell("single enqueue, 256 callers", jobs, started.elapsed())
}

fn tell(what: &str, jobs: usize, took: Duration) -> Result<(), Failure> {
    let per_second = u64::try_from(jobs)? * 1_000_000 / u64::try_from(took.as_micros())?.max(1);
    Ok(writeln!(std::io::stdout(), "{what}: {per_second} jobs/s ({jobs} in {took:.2?})")?)
}

fn job(ids: &IdSource, name: &Name, args: &Args) -> NewJob {
    NewJob::new(ids.next(SystemClock.now()), JobSpec::new(name.clone(), name.clone(), args.clone()))
}

fn args() -> Result<Args, Failure> {
    Ok(Args::encode(&serde_json::json!({ "text": "x".repeat(88) }))?)
}

fn enqueue(backend: &dyn Backend, jobs: usize) -> Result<(), Failure> {
    let (ids, name, args) = (IdSource::new(), Name::new("bench")?, args()?);
    for first in (0..jobs).step_by(BATCH) {
        let batch = (first..jobs.min(first + BATCH)).map(|_| job(&ids, &name, &args)).collect();
        block_on(backend.enqueue(Call::new(), EnqueueRequest::new(batch)))?;
    }
    Ok(())
}

fn drain(backend: &Arc<dyn Backend>) -> Result<usize, Failure> {
    let worker = WorkerId::random();
    let register = RegisterWorker::new(worker, "throughput", Duration::from_secs(30));
    block_on(backend.register_worker(Call::new(), register))?;
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let backend = Arc::clone(backend);
            std::thread::spawn(move || block_on(run_lane(&*backend, worker, lane)))
        })
        .collect();
    let mut done = 0;
    for lane in lanes {
        done += lane.join().map_err(|_| "a lane panicked")??;
    }
    Ok(done)
}

/// Every lane numbers its claims apart from the other's.
async fn run_lane(backend: &dyn Backend, worker: WorkerId, lane: u64) -> Result<usize, Failure> {
    let wants = vec![QueueWant::new(Name::new("bench")?, BATCH)];
    let mut claim = lane;
    let mut done = 0;
    let mut fetched =
        backend.fetch(Call::new(), FetchRequest::new(worker, ClaimId(claim), wants.clone())).await?;
    while !fetched.jobs.is_empty() {
        done += fetched.jobs.len();
        claim += LANES;
        let finish =
            FinishRequest::new(fetched.jobs.into_iter().map(|job| FinishItem::complete(job.lease)).collect());
        backend.finish(Call::new(), finish).await?;
        fetched =
            backend.fetch(Call::new(), FetchRequest::new(worker, ClaimId(claim), wants.clone())).await?;
    }
    Ok(done)
}

async fn single(backend: &Sqlite, jobs: usize) -> Result<(), Failure> {
    let (ids, name, args) = (IdSource::new(), Name::new("bench")?, args()?);
    let one = async || -> Result<(), BackendError> {
        backend.enqueue(Call::new(), EnqueueRequest::new(vec![job(&ids, &name, &args)])).await.map(drop)
    };
    let mut callers: FuturesUnordered<_> = (0..CALLERS.min(jobs)).map(|_| one()).collect();
    let mut begun = callers.len();
    while let Some(stored) = callers.next().await {
        stored?;
        if begun < jobs {
            begun += 1;
            callers.push(one());
        }
    }
    Ok(())
}
