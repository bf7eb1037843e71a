//! Lines into the store: a thousand or 8 MiB a call, two calls in flight, answers in the order of the lines.
//!
//! A thread reads and checks; this task sends. Between them wait at most two batches, so memory is bounded
//! whatever the length of the stream.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use gristmill::backend::MAX_BATCH_BYTES;
use gristmill::{Certainty, Client, Enqueued, Error, ExistingBy, JobId, NewJob, Receipt};
use tokio::sync::mpsc;

use super::check::read;
use super::lines::Lines;
use super::source::interrupted;
use super::{Defaults, Stream};
use crate::failure::{Failure, Result};
use crate::stop::Stop;
use crate::wire::{LineError, LineResult};

/// Jobs a call.
const BATCH: usize = 1_000;
/// Calls in flight.
const IN_FLIGHT: usize = 2;
/// Tries of a call that may succeed later. The ids stay the same, so a job is never stored twice.
const TRIES: u32 = 6;

/// What became of a stream.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) created: u64,
    pub(crate) existing: u64,
    pub(crate) invalid: u64,
    /// Sent, and not answered: they may be stored.
    pub(crate) maybe: u64,
}

/// The end of a stream that did not come to its end.
pub(crate) struct Broken {
    pub(crate) sent: Sent,
    pub(crate) why: Failure,
}

/// Up to a thousand lines, or as many as make a call's worth of bytes.
#[derive(Default)]
struct Batch {
    /// Every line in order: a job, or why it is none.
    lines: Vec<(u64, Option<LineError>)>,
    jobs: Vec<NewJob>,
    bytes: usize,
}

/// Sends a stream; invalid lines are left out. Every answer goes to `answered`.
///
/// After the first call that fails, and after a stop, nothing more is sent; the calls in flight are waited
/// for, so that as little as possible stays unknown.
pub(crate) async fn send(
    input: Stream,
    client: &Client,
    defaults: Defaults,
    stop: &Stop,
    mut answered: impl FnMut(&LineResult<'_>),
) -> std::result::Result<Sent, Broken> {
    let mut sent = Sent::default();
    let (batches, mut read_batches) = mpsc::channel(IN_FLIGHT);
    let minting = client.clone();
    // Ends with the stream, or when the receiver is gone; a read of a pipe that gives nothing ends with the
    // process.
    let reader =
        tokio::task::spawn_blocking(move || read_all(Lines::new(input), &minting, &defaults, &batches));
    let mut calls = FuturesOrdered::new();
    let mut in_flight = 0;
    let mut broken = None;
    let mut more = true;
    while more || !calls.is_empty() {
        tokio::select! {
            batch = read_batches.recv(), if more && calls.len() < IN_FLIGHT => match batch {
                Some(batch) => {
                    in_flight += batch.jobs.len() as u64;
                    calls.push_back(call(client, batch));
                }
                None => more = false,
            },
            Some(done) = calls.next(), if !calls.is_empty() => {
                in_flight -= done.jobs;
                if let Some(error) = tell(done, &mut sent, &mut answered) {
                    more = false;
                    broken.get_or_insert(error);
                }
            }
            () = stop.gently.cancelled(), if more => {
                more = false;
                broken.get_or_insert(Failure::failed("stopped before the end of the stream"));
            }
            () = stop.at_once.cancelled() => {
                sent.maybe += in_flight;
                return Err(Broken { sent, why: Failure::failed("stopped at once") });
            }
        }
    }
    let why = match broken {
        Some(why) => Some(why),
        None => match reader.await {
            Ok(read) => read.err(),
            Err(error) => Some(Failure::failed(format!("the reader of the stream ended: {error}"))),
        },
    };
    why.map_or(Ok(sent), |why| Err(Broken { sent, why }))
}

fn read_all(
    mut lines: Lines<Box<dyn std::io::BufRead + Send>>,
    client: &Client,
    defaults: &Defaults,
    batches: &mpsc::Sender<Batch>,
) -> Result<()> {
    let mut batch = Batch::default();
    while let Some((number, line)) = lines.next().map_err(|error| interrupted(&error))? {
        match read(line).and_then(|line| defaults.job(client, line)) {
            Ok(job) => {
                batch.lines.push((number, None));
                batch.bytes += job.bytes();
                batch.jobs.push(job);
            }
            Err(error) => batch.lines.push((number, Some(error))),
        }
        let is_full = batch.lines.len() >= BATCH || batch.bytes >= MAX_BATCH_BYTES;
        if is_full && batches.blocking_send(std::mem::take(&mut batch)).is_err() {
            return Ok(());
        }
    }
    if !batch.lines.is_empty() {
        // A receiver that is gone has its own error to tell.
        let _ = batches.blocking_send(batch);
    }
    Ok(())
}

/// What became of a batch.
struct Answered {
    lines: Vec<(u64, Option<LineError>)>,
    /// How many of the lines are jobs.
    jobs: u64,
    receipts: Vec<Receipt>,
    /// Why the jobs behind the receipts have no answer.
    error: Option<Error>,
    /// A try of theirs may have stored them.
    maybe: bool,
}

/// Sends a batch until it is answered, or cannot be.
async fn call(client: &Client, batch: Batch) -> Answered {
    let mut answered = Answered {
        jobs: batch.jobs.len() as u64,
        receipts: Vec::with_capacity(batch.jobs.len()),
        lines: batch.lines,
        error: None,
        maybe: false,
    };
    let mut jobs = batch.jobs;
    let mut pause = Duration::from_millis(250);
    for tries_left in (0..TRIES).rev() {
        let partly = match client.enqueue_prepared(jobs).await {
            Ok(receipts) => {
                answered.receipts.extend(receipts);
                return answered;
            }
            Err(partly) => partly,
        };
        answered.receipts.extend(partly.receipts);
        answered.maybe |= partly.error.certainty() == Certainty::MaybeStored;
        jobs = partly.rest;
        if tries_left == 0 || !partly.error.is_retryable() {
            answered.error = Some(partly.error);
            return answered;
        }
        if tries_left == TRIES - 1 {
            tracing::warn!(error = %partly.error.chain(), hint = partly.error.hint(), "the enqueue is tried again");
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    answered
}

/// Counts and passes on the answers to a batch. Says what went wrong.
fn tell(done: Answered, sent: &mut Sent, answered: &mut impl FnMut(&LineResult<'_>)) -> Option<Failure> {
    let mut receipts = done.receipts.into_iter();
    let mut unanswered = 0;
    for (line, invalid) in &done.lines {
        let (result, id, error) = if let Some(error) = invalid {
            ("invalid", None, Some(error.0.clone()))
        } else if let Some(receipt) = receipts.next() {
            told(&receipt)
        } else {
            unanswered += 1;
            continue;
        };
        match result {
            "invalid" => sent.invalid += 1,
            "existing" => sent.existing += 1,
            _ => sent.created += 1,
        }
        answered(&LineResult { line: *line, result, id, error: error.as_deref() });
    }
    if unanswered > 0 && (done.maybe || done.error.is_none()) {
        sent.maybe += unanswered;
    }
    match done.error {
        Some(error) => Some(error.into()),
        None => (unanswered > 0).then(|| Failure::failed("the store did not answer every job")),
    }
}

type Told = (&'static str, Option<JobId>, Option<String>);

fn told(receipt: &Receipt) -> Told {
    match result_of(receipt) {
        Ok(result) => (result, Some(receipt.id), None),
        Err(why) => ("invalid", None, Some(why)),
    }
}

/// The word for what became of a job.
fn result_of(receipt: &Receipt) -> std::result::Result<&'static str, String> {
    match &receipt.enqueued {
        // Ids are minted here: only an earlier try of this very call can have stored it.
        Enqueued::Created | Enqueued::Existing { by: ExistingBy::Id, .. } => Ok("created"),
        Enqueued::Existing { by: ExistingBy::UniqueKey, .. } => Ok("existing"),
        Enqueued::Replaced { .. } => Ok("replaced"),
        Enqueued::Refused { why } => Err(why.clone()),
    }
}
