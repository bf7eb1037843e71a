//! How many jobs a second a worker runs when the handler does nothing: the engine's own cost.
//!
//! `cargo run --release -p gristmill-engine --example throughput -- [jobs] [slots]`
//!
//! Prints the rate of a bare loop that spawns one tokio task a job and decodes the same JSON, then the worker's on the
//! memory backend, and their ratio.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gristmill_core::{Job, JobOptions};
use gristmill_engine::{Client, Worker};
use gristmill_memory::Memory;
use serde::{Deserialize, Serialize};

/// About 100 bytes of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    number: u64,
    customer: String,
    amount_cents: i64,
    express: bool,
    note: String,
}

impl Job for Order {
    const KIND: &'static str = "order";
    type Output = ();

    fn options() -> JobOptions {
        JobOptions::new()
    }
}

fn order(number: u64) -> Order {
    Order {
        number,
        customer: "a customer's name".to_owned(),
        amount_cents: 12_345,
        express: true,
        note: "ring the bell".to_owned(),
    }
}

async fn handle(job: Order) -> Result<(), std::io::Error> {
    std::hint::black_box(&job);
    Ok(())
}

fn per_second(jobs: u64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate to read")]
    let jobs = jobs as f64;
    jobs / took.as_secs_f64()
}

/// One task a job, nothing else.
async fn bare(jobs: u64) -> f64 {
    let inputs: Vec<Vec<u8>> =
        (0..jobs).map(|id| serde_json::to_vec(&order(id)).expect("it is JSON")).collect();
    let done = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let spawner = {
        let done = done.clone();
        tokio::spawn(async move {
            let mut tasks = Vec::with_capacity(1_000);
            let mut inputs = inputs.into_iter();
            loop {
                for json in inputs.by_ref().take(1_000) {
                    let done = done.clone();
                    tasks.push(tokio::spawn(async move {
                        let job: Order = serde_json::from_slice(&json).expect("it decodes");
                        handle(job).await.expect("it never fails");
                        done.fetch_add(1, Ordering::Relaxed);
                    }));
                }
                if tasks.is_empty() {
                    break;
                }
                for task in tasks.drain(..) {
                    task.await.expect("it never panics");
                }
            }
        })
    };
    spawner.await.expect("it never panics");
    assert_eq!(done.load(Ordering::Relaxed), jobs, "every job ran");
    per_second(jobs, began.elapsed())
}

async fn worker(jobs: u64, slots: usize) -> Result<f64, gristmill_core::Error> {
    let client = Client::new(Memory::new());
    for first in (0..jobs).step_by(1_000) {
        let batch: Vec<Order> = (first..jobs.min(first + 1_000)).map(order).collect();
        client.enqueue_many(batch).await?;
    }
    let worker = Worker::builder(client).queue("default", slots).handle(handle).drain().build()?;
    let began = Instant::now();
    let report = worker.run().await?;
    assert_eq!(report.stats.completed, jobs, "every job is completed once: {report:?}");
    Ok(per_second(jobs, began.elapsed()))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let jobs = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let slots = arguments.next().map_or(Ok(4_000), |text| text.parse())?;
    for _ in 0..3 {
        let bare = bare(jobs).await;
        let worker = worker(jobs, slots).await?;
        println!("bare {bare:.0}/s  worker {worker:.0}/s  ratio {:.2}", worker / bare);
    }
    Ok(())
}
