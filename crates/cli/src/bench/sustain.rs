//! `sustain`: in and out together, for some seconds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gristmill::Client;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::account::Places;
use super::job::{Bench, Form};
use super::options::Options;
use super::produce::bulk;
use super::report::Figures;
use super::server::Server;
use super::spread::Spread;
use super::store::places;
use super::usage::float;
use super::worker::Workers;
use crate::failure::Result;
use crate::progress::Progress;

/// How often the series has a figure.
const STEP: Duration = Duration::from_secs(5);
/// Batches that wait at most: enough that no worker idles, few enough that latency is not that of a backlog.
const AHEAD: u64 = 4;
/// Of so many jobs one is timed.
const SAMPLED: u32 = 64;

/// Enqueues a batch whenever few wait, or the rate allows one; then lets the rest run to its end.
pub(super) async fn run(
    client: &Client,
    server: &Server,
    bench: &Arc<Bench>,
    options: &Options,
) -> Result<(u64, Figures)> {
    let form = Form::of(options);
    let called: Places<std::sync::atomic::AtomicU64> = Places::default();
    let batch = batch_of(options);
    let mut pace = interval(pace_of(options, batch));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut workers = Workers::start(client, bench, options)?;
    let mut progress = Progress::new("finished", None);
    let mut series = Series::default();
    let length = Duration::from_secs(u64::from(options.seconds));
    let measured = server.start().await?;
    let started = Instant::now();
    let mut enqueued: u32 = 0;
    while started.elapsed() < length {
        let completed = workers.completed();
        series.note(started.elapsed(), completed);
        progress.set(completed);
        let ahead = u64::from(enqueued).saturating_sub(completed);
        if options.rate.is_some() || ahead > AHEAD * u64::from(options.batch) {
            pace.tick().await;
        }
        if options.rate.is_none() && ahead > AHEAD * u64::from(options.batch) {
            continue;
        }
        let Some(end) = enqueued.checked_add(batch) else { break };
        for number in (enqueued..end).filter(|number| number % SAMPLED == 0) {
            called.at(number).store(bench.nanos(), Ordering::Relaxed);
        }
        bulk(client, &form, enqueued..end, batch).await?;
        enqueued = end;
    }
    let completed = workers.completed();
    let measured = measured.stop().await?;
    workers.wait(u64::from(enqueued), |_| {}).await?;
    workers.stop().await?;

    let runs = bench.account.of(enqueued);
    let stored = places(client).await?;
    let finished = if options.delete_on_finish { runs.ran } else { stored.completed };
    let waits = bench.started.iter().flat_map(|started| {
        (0..enqueued).step_by(SAMPLED as usize).map(|number| {
            let called = called.at(number).load(Ordering::Relaxed);
            Duration::from_nanos(started.at(number).load(Ordering::Relaxed).saturating_sub(called))
        })
    });
    let figures = Figures {
        sustained_per_s: Some(measured.per_second(completed)),
        last_to_first: series.last_to_first(),
        series_per_s: Some(series.rates),
        latency_ms: Spread::of(waits.collect()),
        client_cpu_us_per_job: Some(measured.client_cpu_us_per_job(completed)),
        server_cpu_us_per_job: measured.server_cpu_us_per_job(completed),
        lost: u64::from(enqueued).saturating_sub(finished.min(runs.ran)),
        duplicated: runs.repeated,
        ..Figures::default()
    };
    Ok((u64::from(enqueued), figures))
}

/// At a rate a batch holds what is due in ten milliseconds.
fn batch_of(options: &Options) -> u32 {
    options.rate.map_or(options.batch, |rate| (rate / 100).clamp(1, options.batch))
}

fn pace_of(options: &Options, batch: u32) -> Duration {
    match options.rate {
        Some(rate) => Duration::from_secs(1) * batch / rate,
        None => Duration::from_micros(200),
    }
}

/// Rates of whole steps.
#[derive(Debug, Default)]
struct Series {
    rates: Vec<f64>,
    at: Duration,
    completed: u64,
}

impl Series {
    fn note(&mut self, at: Duration, completed: u64) {
        let passed = at.saturating_sub(self.at);
        if passed >= STEP {
            self.rates.push(float(completed - self.completed) / passed.as_secs_f64());
            self.at = at;
            self.completed = completed;
        }
    }

    /// What the last third of the steps is to the first third: near one where a rate is flat.
    fn last_to_first(&self) -> Option<f64> {
        let third = self.rates.len() / 3;
        let (first, last) = (self.rates.get(..third)?, self.rates.get(self.rates.len() - third..)?);
        (third > 0).then(|| last.iter().sum::<f64>() / first.iter().sum::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_third_is_held_against_the_first() {
        let of = |rates: &[f64]| Series { rates: rates.to_vec(), ..Series::default() }.last_to_first();
        assert_eq!(of(&[4.0, 9.0]), None);
        assert_eq!(of(&[4.0, 9.0, 2.0]), Some(0.5));
        assert_eq!(of(&[4.0, 4.0, 9.0, 9.0, 9.0, 2.0, 6.0]), Some(1.0));
    }
}
