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
use super::report::{Figures, Interval};
use super::server::Server;
use super::spread::Spread;
use super::store::places;
use super::usage::float;
use super::worker::Workers;
use crate::failure::Result;
use crate::progress::Progress;

/// How often the series has a figure.
const STEP: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
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
    let (started, epoch) = (Instant::now(), bench.nanos());
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
    let waits: Vec<(Duration, Duration)> = bench
        .started
        .iter()
        .flat_map(|started| {
            (0..enqueued).step_by(SAMPLED as usize).map(|number| {
                let called = called.at(number).load(Ordering::Relaxed);
                let wait = started.at(number).load(Ordering::Relaxed).saturating_sub(called);
                (Duration::from_nanos(called.saturating_sub(epoch)), Duration::from_nanos(wait))
            })
        })
        .collect();
    let intervals = intervals(&waits, length);
    let figures = Figures {
        sustained_per_s: Some(measured.per_second(completed)),
        last_to_first: series.last_to_first(),
        series_per_s: Some(series.rates),
        latency_ms: Spread::of(waits.iter().map(|(_, wait)| *wait).collect()),
        wait_last_to_first: last_to_first(&intervals),
        waits_ms: Some(intervals),
        client_cpu_us_per_job: Some(measured.client_cpu_us_per_job(completed)),
        server_cpu_us_per_job: measured.server_cpu_us_per_job(completed),
        lost: u64::from(enqueued).saturating_sub(finished.min(runs.ran)),
        duplicated: runs.repeated,
        ..Figures::default()
    };
    Ok((u64::from(enqueued), figures))
}

/// The waits of the jobs of each interval: of minutes, or of quarters of a run that has no four of them.
fn intervals(waits: &[(Duration, Duration)], length: Duration) -> Vec<Interval> {
    let step = MINUTE.min(length / 4).max(Duration::from_secs(1));
    let count = (length.as_secs_f64() / step.as_secs_f64()).floor().max(1.0);
    let mut intervals = Vec::new();
    let mut from = Duration::ZERO;
    while f64::from(u32::try_from(intervals.len()).unwrap_or(u32::MAX)) < count {
        let to = from + step;
        let within = waits.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, wait)| *wait);
        let Some(wait) = Spread::of(within.collect()) else { break };
        intervals.push(Interval { from_s: from.as_secs_f64(), to_s: to.as_secs_f64(), wait });
        from = to;
    }
    intervals
}

/// What the 99th percentile of the last interval is to that of the first.
fn last_to_first(intervals: &[Interval]) -> Option<f64> {
    let (first, last) = (intervals.first()?, intervals.last()?);
    (intervals.len() > 1).then(|| last.wait.p99 / first.wait.p99)
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
    fn waits_are_told_by_minutes_or_quarters() {
        let at = |seconds, wait| (Duration::from_secs(seconds), Duration::from_millis(wait));
        let of =
            |length| intervals(&[at(0, 2), at(19, 4), at(59, 3), at(61, 6)], Duration::from_secs(length));
        let told = of(300);
        assert_eq!((told.len(), told[0].wait.max, told[1].wait.max), (2, 4.0, 6.0));
        assert_eq!(last_to_first(&told), Some(1.5));
        assert_eq!(of(80).iter().map(|interval| interval.to_s).collect::<Vec<_>>(), [20.0]);
        assert_eq!(last_to_first(&of(4)), None);
    }

    #[test]
    fn the_last_third_is_held_against_the_first() {
        let of = |rates: &[f64]| Series { rates: rates.to_vec(), ..Series::default() }.last_to_first();
        assert_eq!(of(&[4.0, 9.0]), None);
        assert_eq!(of(&[4.0, 9.0, 2.0]), Some(0.5));
        assert_eq!(of(&[4.0, 4.0, 9.0, 9.0, 9.0, 2.0, 6.0]), Some(1.0));
    }
}
