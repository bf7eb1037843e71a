//! What the store itself costs a job, through the seam: enqueue, fetch, finish, a thousand at once.

use std::time::{Duration, Instant};

use gristmill_core::{
    Args, Backend, Call, ClaimId, EnqueueRequest, FetchRequest, FinishItem, FinishRequest, IdSource, JobSpec,
    Name, NewJob, QueueWant, RegisterWorker, Timestamp, WorkerId,
};
use gristmill_testkit::block_on;

const BATCH: usize = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs: usize = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let store = gristmill_memory::Memory::new();
    let (ids, kind, queue) = (IdSource::new(), Name::new("noop")?, Name::new("default")?);
    let args = Args::encode(&serde_json::json!({ "user_id": 7, "text": "x".repeat(80) }))?;

    let started = Instant::now();
    for _ in 0..jobs / BATCH {
        let now = Timestamp::from(std::time::UNIX_EPOCH);
        let new = |_| NewJob::new(ids.next(now), JobSpec::new(kind.clone(), queue.clone(), args.clone()));
        block_on(store.enqueue(Call::new(), EnqueueRequest::new((0..BATCH).map(new).collect())))?;
    }
    let enqueued = started.elapsed();

    let worker = WorkerId::random();
    block_on(
        store.register_worker(Call::new(), RegisterWorker::new(worker, "example", Duration::from_secs(60))),
    )?;
    let (mut fetching, mut finishing) = (Duration::ZERO, Duration::ZERO);
    for claim in 0_u64.. {
        let want = QueueWant::new(queue.clone(), BATCH);
        let started = Instant::now();
        let fetched =
            block_on(store.fetch(Call::new(), FetchRequest::new(worker, ClaimId(claim), vec![want])))?;
        fetching += started.elapsed();
        if fetched.jobs.is_empty() {
            break;
        }
        let items = fetched.jobs.into_iter().map(|job| FinishItem::complete(job.lease)).collect();
        let started = Instant::now();
        block_on(store.finish(Call::new(), FinishRequest::new(items)))?;
        finishing += started.elapsed();
    }
    for (what, time) in [("enqueue", enqueued), ("fetch", fetching), ("finish", finishing)] {
        eprintln!("{what}: {} ns a job", time.as_nanos() / jobs as u128);
    }
    Ok(())
}
