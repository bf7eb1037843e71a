//! `latency`: one job now and then on an idle queue, from the enqueue call to the first line of the handler.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gristmill::Client;
use tokio::time::{MissedTickBehavior, interval};

use super::job::{Bench, Form};
use super::options::Options;
use super::report::Figures;
use super::server::Server;
use super::spread::Spread;
use super::store::places;
use super::worker::Workers;
use crate::failure::Result;

/// Jobs a second by default.
const RATE: u32 = 200;

/// The processor time contains the waking of an idle process.
pub(super) async fn run(
    client: &Client,
    producer: &Client,
    server: &Server,
    bench: &Arc<Bench>,
    options: &Options,
) -> Result<Figures> {
    let form = Form::of(options);
    let jobs = options.jobs();
    bench.account.expect(jobs);
    bench.started.iter().for_each(|started| started.expect(jobs));
    let mut pace = interval(Duration::from_secs(1) / options.rate.unwrap_or(RATE));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut workers = Workers::start(client, bench, options)?;
    let mut called = Vec::with_capacity(jobs as usize);
    let measured = server.start().await?;
    for number in 0..jobs {
        let job = form.job(number);
        pace.tick().await;
        called.push(bench.nanos());
        producer.enqueue(job).await?;
    }
    workers.wait(u64::from(jobs), |_| {}).await?;
    let measured = measured.stop().await?;
    workers.stop().await?;

    let waits = bench.started.iter().flat_map(|started| {
        (0..jobs).zip(&called).map(|(number, called)| {
            Duration::from_nanos(started.at(number).load(Ordering::Relaxed).saturating_sub(*called))
        })
    });
    let runs = bench.account.of(jobs);
    let stored = places(client).await?;
    let finished = if options.delete_on_finish { runs.ran } else { stored.completed };
    Ok(Figures {
        latency_ms: Spread::of(waits.collect()),
        client_cpu_us_per_job: Some(measured.client_cpu_us_per_job(u64::from(jobs))),
        server_cpu_us_per_job: measured.server_cpu_us_per_job(u64::from(jobs)),
        lost: u64::from(jobs).saturating_sub(finished.min(runs.ran)),
        duplicated: runs.repeated,
        ..Figures::default()
    })
}
