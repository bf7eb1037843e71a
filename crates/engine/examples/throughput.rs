//! How many jobs a second a worker runs when the handler does nothing: the engine's own cost.
//!
//! `cargo run --release -p gristmill-engine --example throughput -- [jobs] [slots]`
//!
//! Prints the rate of a bare loop that spawns one tokio task a job and decodes the same JSON, then the
//! worker's on the memory backend, and their ratio.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

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

/// What a run cost.
struct Cost {
    per_second: f64,
    cpu_us_per_job: f64,
}

/// Wall time, and the processor time of the process: on a shared machine the second is the steadier.
struct Stopwatch(Instant, f64);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now(), cpu_seconds())
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers to read")]
    fn stop(self, jobs: u64) -> Cost {
        let jobs = jobs as f64;
        let cpu = cpu_seconds() - self.1;
        Cost { per_second: jobs / self.0.elapsed().as_secs_f64(), cpu_us_per_job: cpu * 1e6 / jobs }
    }
}

/// Linux counts hundredths of a second in `/proc/self/stat`, proc(5); elsewhere this is 0.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// One task a job, nothing else.
async fn bare(jobs: u64) -> Cost {
    let inputs: Vec<Vec<u8>> =
        (0..jobs).map(|id| serde_json::to_vec(&order(id)).expect("it is JSON")).collect();
    let done = Arc::new(AtomicU64::new(0));
    let began = Stopwatch::start();
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
    began.stop(jobs)
}

async fn worker(jobs: u64, slots: usize) -> Result<Cost, gristmill_core::Error> {
    let client = Client::new(Memory::new());
    for first in (0..jobs).step_by(1_000) {
        let batch: Vec<Order> = (first..jobs.min(first + 1_000)).map(order).collect();
        client.enqueue_many(batch).await?;
    }
    let worker = Worker::builder(client).queue("default", slots).handle(handle).drain().build()?;
    let began = Stopwatch::start();
    let report = worker.run().await?;
    assert_eq!(report.stats.completed, jobs, "every job is completed once: {report:?}");
    Ok(began.stop(jobs))
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
        println!(
            "bare {:.0}/s {:.2} us  worker {:.0}/s {:.2} us  ratio {:.2}",
            bare.per_second,
            bare.cpu_us_per_job,
            worker.per_second,
            worker.cpu_us_per_job,
            worker.per_second / bare.per_second
        );
    }
    Ok(())
}
