//! Latency: one job each 5 ms on an idle queue, from the enqueue call to the first line of the handler: a
//! commit by the producer's thread, a wake of the consumer's thread, a commit of the claim.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rusqlite::Connection;
use serde_json::json;

use super::file::File;
use super::store::{Claim, Insert, begin, finish_and_fetch};
use crate::account::Account;
use crate::job::NewJob;
use crate::options::Options;
use crate::report::{Figures, Outcome, Spread};
use crate::usage::Stopwatch;

const PACE: Duration = Duration::from_millis(5);
const COMMITS: u32 = 400;

/// A handler that has run: the number of its job and when it began.
type Start = (u32, Instant);

/// Measures a lone commit first, then the whole run; its processor time contains the waking of an idle
/// process.
pub(super) fn run(options: &Options) -> Result<Outcome> {
    let file = File::create(options)?;
    let mut producer = file.connect()?;
    let commit_ms = Spread::of(commits(&mut producer)?);

    let reader = file.connect()?;
    let capacity = options.jobs() as usize;
    let (wake, woken) = sync_channel(capacity);
    let (starts, started) = sync_channel(capacity);
    let batch = options.batch;
    let measured = Stopwatch::start()?;
    let consumer = thread::Builder::new().name("consumer".to_owned());
    let consumer = consumer.spawn(move || consume(reader, &woken, &starts, batch))?;
    let called = produce(&mut producer, wake, options);
    consumer.join().map_err(|_| anyhow!("the consumer panicked"))??;
    let called = called?;
    let measured = measured.stop()?;

    let account = Account::new(options.jobs());
    let mut waits = Vec::with_capacity(capacity);
    for (number, start) in started {
        account.saw(number);
        let called = called.get(number as usize).context("a job ran that was never enqueued")?;
        waits.push(start - *called);
    }
    let mut settings = file.settings(options);
    settings.insert("pace_ms".to_owned(), json!(PACE.as_millis()));
    let figures = Figures {
        latency_ms: Spread::of(waits),
        commit_ms,
        client_cpu_us_per_job: Some(measured.cpu_us_per_job(options.jobs())),
        ..Figures::default()
    };
    Ok(Outcome { variant: "two threads, two commits", settings, figures, account })
}

/// How long one row takes to be inserted and committed while nothing else is under way.
fn commits(connection: &mut Connection) -> Result<Vec<Duration>> {
    connection
        .execute_batch("CREATE TABLE commits (number INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT")?;
    let mut pace = Pace::new();
    let mut took = Vec::with_capacity(COMMITS as usize);
    for number in 0..COMMITS {
        pace.tick();
        let called = Instant::now();
        let tx = begin(connection)?;
        tx.prepare_cached("INSERT INTO commits VALUES (?1, ?1)")?.execute([number])?;
        tx.commit()?;
        took.push(called.elapsed());
    }
    Ok(took)
}

fn produce(connection: &mut Connection, wake: SyncSender<()>, options: &Options) -> Result<Vec<Instant>> {
    let mut pace = Pace::new();
    let mut called = Vec::with_capacity(options.jobs() as usize);
    for number in 0..options.jobs() {
        let job = NewJob::new(number, options.args_bytes)?;
        pace.tick();
        called.push(Instant::now());
        let tx = begin(connection)?;
        Insert::new(&tx)?.insert(&job)?;
        tx.commit()?;
        wake.send(()).context("the consumer has ended")?;
    }
    drop(wake);
    Ok(called)
}

fn consume(
    mut connection: Connection,
    woken: &Receiver<()>,
    starts: &SyncSender<Start>,
    batch: u32,
) -> Result<()> {
    for () in woken {
        let mut claim = finish_and_fetch(&mut connection, &Claim::default(), batch)?;
        while !claim.is_empty() {
            let start = Instant::now();
            let mut numbers = Vec::new();
            claim.run(|number| numbers.push(number))?;
            for number in numbers {
                starts.send((number, start)).context("the run has ended")?;
            }
            claim = finish_and_fetch(&mut connection, &claim, batch)?;
        }
    }
    Ok(())
}

/// One tick each [`PACE`].
#[derive(Debug)]
struct Pace {
    next: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// Waits for the next tick; a tick that was missed is not made up for.
    fn tick(&mut self) {
        let mut now = Instant::now();
        while let Some(rest) = self.next.checked_duration_since(now).filter(|rest| !rest.is_zero()) {
            // May wake early, hence the loop.
            thread::park_timeout(rest);
            now = Instant::now();
        }
        self.next = now + PACE;
    }
}
