//! Jobs that are fetched before there is a slot for them.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gristmill_core::{Backend as _, Call, JobError, JobFilter, JobOptions, JobState, ListRequest};
use gristmill_engine::{JobContext, WorkerBuilder};
use gristmill_testkit::{Fault, Operation};

use crate::fixture::{Fixture, MILLI, SECOND, eventually, run};

/// How long a fetch takes at most.
const FETCH: Duration = Duration::from_millis(20);
/// After so many jobs a handler does not end any more.
const ENDLESS: u64 = u64::MAX;

/// What the handlers of a kind do, counted.
#[derive(Debug, Default)]
struct Count {
    started: AtomicU64,
    now: AtomicU64,
    most: AtomicU64,
}

impl Count {
    fn started(&self) -> u64 {
        self.started.load(Ordering::SeqCst)
    }

    fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }
}

/// A handler that takes this long, and for ever once `quick` jobs have started.
fn handler(
    builder: WorkerBuilder<()>,
    kind: &str,
    time: Duration,
    quick: u64,
) -> (WorkerBuilder<()>, Arc<Count>) {
    let count = Arc::new(Count::default());
    let counted = count.clone();
    let builder = builder.handle_raw(kind, move |_: JobContext| {
        let count = counted.clone();
        async move {
            count.most.fetch_max(count.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if count.started.fetch_add(1, Ordering::SeqCst) >= quick {
                future::pending::<()>().await;
            }
            tokio::time::sleep(time).await;
            count.now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, JobError>(())
        }
    });
    (builder, count)
}

/// From now on every fetch takes a while.
fn slow_fetches(t: &Fixture) {
    t.backend.script(Operation::Fetch, std::iter::repeat_n(Fault::HoldReply, 100_000));
    let backend = t.backend.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(FETCH).await;
            backend.release();
        }
    });
}

async fn enqueue(t: &Fixture, queue: &str, kind: &str, count: usize) {
    for _ in 0..count {
        t.enqueue_with(kind, JobOptions::new().queue(queue.to_owned())).await;
    }
}

/// How many jobs are available.
async fn available(t: &Fixture) -> usize {
    let jobs = t.client.stats().await.expect("the store answers");
    let count: u64 = jobs.queues.iter().map(|queue| queue.count(JobState::Available).value).sum();
    usize::try_from(count).expect("a small number")
}

#[tokio::test(start_paused = true)]
async fn no_more_handlers_run_than_there_are_slots_though_more_jobs_are_in_hand() {
    let t = Fixture::new();
    enqueue(&t, "default", "k", 1_000).await;
    slow_fetches(&t);
    let (builder, count) = handler(t.worker().drain(), "k", 5 * MILLI, ENDLESS);
    let worker = run(builder);
    eventually(|| worker.handle.stats().fetched > count.started() + 5).await;
    assert!(worker.handle.in_hand() > 10);
    assert_eq!(worker.report().await.stats.completed, 1_000);
    assert_eq!((count.started(), count.most()), (1_000, 10));
}

#[tokio::test(start_paused = true)]
async fn lanes_keep_their_limits_and_the_worker_its_own() {
    let t = Fixture::new();
    enqueue(&t, "default", "k", 400).await;
    enqueue(&t, "other", "o", 400).await;
    slow_fetches(&t);
    let builder = t.worker().queue("other", 4).slots(12).drain();
    let (builder, first) = handler(builder, "k", 5 * MILLI, ENDLESS);
    let (builder, other) = handler(builder, "o", 3 * MILLI, ENDLESS);
    let worker = run(builder);
    let mut both = 0;
    eventually(|| {
        both = both.max(first.now.load(Ordering::SeqCst) + other.now.load(Ordering::SeqCst));
        worker.handle.in_hand() > 12 && first.started() > 100 && other.started() > 100
    })
    .await;
    assert_eq!(worker.report().await.stats.completed, 800);
    assert!(both <= 12 && first.most() <= 10 && other.most() <= 4, "{both} {first:?} {other:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_what_waits_for_a_slot_with_its_attempt() {
    let t = Fixture::new();
    enqueue(&t, "default", "k", 1_000).await;
    slow_fetches(&t);
    let (builder, count) = handler(t.worker().grace(Duration::ZERO), "k", 5 * MILLI, 200);
    let worker = run(builder);
    eventually(|| count.started() >= 210 && worker.handle.stats().fetched > count.started()).await;
    let report = worker.stop().await;
    let left = usize::try_from(1_000 - report.stats.completed).unwrap();
    assert!(report.is_clean() && report.stats.released > 10, "{report:?}");
    assert_eq!((count.started(), available(&t).await), (210, left));
    let mut filter = JobFilter::new();
    filter.states = vec![JobState::Available];
    let jobs = t.client.list(ListRequest::new(filter)).await.unwrap().items;
    assert!(!jobs.is_empty() && jobs.iter().all(|job| job.attempt == 0));
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_vain_is_given_back_for_others() {
    let t = Fixture::new();
    enqueue(&t, "default", "k", 1_000).await;
    slow_fetches(&t);
    let (builder, count) = handler(t.worker().grace(Duration::ZERO), "k", 5 * MILLI, 200);
    let worker = run(builder);
    eventually(|| count.started() >= 210 && worker.handle.in_hand() == 10).await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!((worker.handle.in_hand(), count.started()), (10, 210));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slot_is_dropped_with_the_workers_lease() {
    let t = Fixture::new();
    enqueue(&t, "default", "k", 1_000).await;
    slow_fetches(&t);
    let (builder, count) = handler(t.worker().drain(), "k", 5 * MILLI, ENDLESS);
    let worker = run(builder);
    eventually(|| worker.handle.stats().fetched > count.started() + 5).await;
    let before = t.client.workers().await.unwrap()[0].id;
    t.backend.retire_worker(Call::new(), before).await.unwrap();
    let stats = worker.report().await.stats;
    assert_eq!((stats.completed, stats.incarnations_lost), (1_000, 1));
}

#[tokio::test(start_paused = true)]
async fn of_slow_jobs_none_is_leased_before_it_has_a_slot() {
    let t = Fixture::new();
    enqueue(&t, "default", "k", 200).await;
    slow_fetches(&t);
    let (builder, count) = handler(t.worker().drain(), "k", SECOND, ENDLESS);
    let worker = run(builder);
    eventually(|| {
        assert!(worker.handle.in_hand() <= 10);
        count.started() == 200
    })
    .await;
    worker.report().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_fetch_leaves_before_the_first_is_answered_only_where_queues_are_deep() {
    let t = Fixture::abreast();
    enqueue(&t, "default", "k", 2_000).await;
    t.backend.script(Operation::Fetch, [Fault::HoldReply]);
    let builder = t.worker().fetch_batch(4);
    let (builder, count) = handler(builder, "k", 200 * MILLI, ENDLESS);
    let worker = run(builder);
    // Nothing is known of the queue yet: the first answer is waited for.
    tokio::time::sleep(50 * MILLI).await;
    assert_eq!(t.backend.calls(Operation::Fetch), 1);
    t.backend.script(Operation::Fetch, [Fault::HoldReply, Fault::HoldReply, Fault::HoldReply]);
    t.backend.release();
    // Now it is known to be deep: two are in flight, and no third.
    eventually(|| t.backend.calls(Operation::Fetch) == 3).await;
    tokio::time::sleep(50 * MILLI).await;
    assert_eq!((t.backend.calls(Operation::Fetch), count.started()), (3, 4));
    assert!(worker.handle.in_hand() <= 10);
    t.backend.heal();
    worker.stop().await;
}
