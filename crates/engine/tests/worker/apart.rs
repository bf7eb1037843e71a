//! The lease of a job is renewed for as long as its code runs, whatever that code does to the runtime.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use gristmill_core::{Finished, Job, JobError, JobState};
use gristmill_engine::{Client, JobContext, Worker, WorkerBuilder};
use gristmill_memory::Memory;
use gristmill_testkit::{Fault, Operation};

use crate::fixture::{Fixture, MILLI, SECOND, run};

/// The shortest a worker may have.
const LEASE: Duration = SECOND;

/// Blocks the thread it is called on.
fn block(time: Duration) {
    let (_open, nothing) = mpsc::channel::<()>();
    let _ = nothing.recv_timeout(time);
}

/// A worker of another process: on a runtime of its own.
fn elsewhere(builder: WorkerBuilder<()>) -> (gristmill_engine::WorkerHandle, std::thread::JoinHandle<()>) {
    let worker = builder.build().expect("it is valid");
    let handle = worker.handle();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(worker.run()).expect("it starts");
    });
    (handle, thread)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_block_every_thread_keep_their_leases() {
    let client = Client::new(Memory::new());
    let runs = Arc::new(AtomicU32::new(0));
    let handler = |runs: Arc<AtomicU32>| {
        move |_: JobContext| {
            let runs = runs.clone();
            async move {
                runs.fetch_add(1, Ordering::SeqCst);
                block(LEASE + LEASE / 2);
                Ok::<_, JobError>(())
            }
        }
    };
    let builder = || Worker::builder(client.clone()).queue("default", 4).lease(LEASE);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(client.enqueue_raw("k", "{}", gristmill_core::JobOptions::new()).await.unwrap().id);
    }
    let worker = run(builder().handle_raw("k", handler(runs.clone())));
    while runs.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let (other, thread) = elsewhere(builder().handle_raw("k", handler(runs.clone())));
    for id in ids {
        while client.job(id).await.unwrap().unwrap().state != JobState::Completed {
            tokio::time::sleep(10 * MILLI).await;
        }
    }
    other.stop();
    worker.stop().await;
    thread.join().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 4, "each job runs once");
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Block {}

impl Job for Block {
    const KIND: &'static str = "block";
    type Output = ();
}

/// Also behind the worker that started it; and its end is stored.
#[tokio::test]
async fn a_blocking_handler_keeps_its_lease_until_it_returns() {
    let client = Client::new(Memory::new());
    let id = client.enqueue(Block {}).await.unwrap().id;
    let runs = Arc::new(AtomicU32::new(0));
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let builder = || {
        let (runs, held) = (runs.clone(), held.clone());
        Worker::builder(client.clone())
            .queue("default", 4)
            .lease(LEASE)
            .grace(Duration::ZERO)
            .handle_blocking(move |_: Block| {
                runs.fetch_add(1, Ordering::SeqCst);
                held.lock().unwrap().recv().map_err(std::io::Error::other)
            })
    };
    let first = run(builder());
    while runs.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(MILLI).await;
    }
    assert_eq!(first.stop().await.left_running, 1);
    let second = run(builder());
    tokio::time::sleep(LEASE + LEASE / 2).await;
    let job = client.job(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.run, runs.load(Ordering::SeqCst)), (JobState::Running, 1, 1));
    release.send(()).unwrap();
    while client.job(id).await.unwrap().unwrap().state != JobState::Completed {
        tokio::time::sleep(10 * MILLI).await;
    }
    // The first worker retires once its last handler has returned.
    while client.workers().await.unwrap().len() > 1 {
        tokio::time::sleep(10 * MILLI).await;
    }
    second.stop().await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

/// Not even the end of the runtime takes the lease from code that runs on.
#[test]
fn a_blocking_handler_keeps_its_lease_behind_its_runtime() {
    let client = Client::new(Memory::new());
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let (started, has_started) = mpsc::channel::<()>();
    let builder =
        Worker::builder(client.clone()).queue("default", 1).lease(LEASE).handle_blocking(move |_: Block| {
            started.send(()).unwrap();
            held.lock().unwrap().recv().map_err(std::io::Error::other)
        });
    let first = tokio::runtime::Runtime::new().unwrap();
    let id = first.block_on(client.enqueue(Block {})).unwrap().id;
    let worker = builder.build().unwrap();
    first.spawn(worker.run());
    has_started.recv().unwrap();
    first.shutdown_background();
    let second = tokio::runtime::Runtime::new().unwrap();
    let rescued = second.block_on(async {
        tokio::time::sleep(LEASE + LEASE / 2).await;
        client.backend().rescue(gristmill_core::Call::new(), 10).await.unwrap().jobs.len()
    });
    assert_eq!(rescued, 0, "the lease holds while the code runs");
    release.send(()).unwrap();
    second.block_on(async {
        while client.backend().rescue(gristmill_core::Call::new(), 10).await.unwrap().jobs.is_empty() {
            tokio::time::sleep(20 * MILLI).await;
        }
        assert_eq!(client.job(id).await.unwrap().unwrap().state, JobState::Available);
    });
}

/// The heartbeat of jobs fetched by hand waits for no other call of the client.
#[tokio::test(start_paused = true)]
async fn a_lease_by_hand_outlives_maintenance_that_hangs() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let client = Client::builder(t.backend.clone()).call_deadline(60 * SECOND).build();
    let leased = client.fetch("default", 1).await.unwrap().remove(0);
    for operation in [Operation::Promote, Operation::Rescue, Operation::Prune] {
        t.backend.script(operation, [Fault::HoldRequest; 10]);
    }
    tokio::time::sleep(120 * SECOND).await;
    assert!(!leased.context().is_cancelled(), "the lease is believed in");
    assert_eq!(t.job(id).await.state, JobState::Running);
    leased.complete(&()).await.unwrap();
    assert_eq!(t.job(id).await.state, JobState::Completed);
}

/// Every heartbeat comes within a third of the lease, however long a call of maintenance may take.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_by_hand_is_never_older_than_a_third_of_its_lease() {
    let t = Fixture::new();
    t.enqueue("k").await;
    let client = Client::builder(t.backend.clone()).call_deadline(30 * SECOND).build();
    let leased = client.fetch("default", 1).await.unwrap().remove(0);
    t.backend.script(Operation::Prune, [Fault::HoldRequest; 10]);
    for second in 0..120 {
        tokio::time::sleep(SECOND).await;
        let worker = t.client.workers().await.unwrap().remove(0);
        let age = t.client.ping().await.unwrap().now.since(worker.heartbeat_at);
        assert!(age <= 10 * SECOND, "{age:?} after {second} s");
    }
    assert_eq!(leased.complete(&()).await.unwrap(), Finished::Accepted { state: JobState::Completed });
}
