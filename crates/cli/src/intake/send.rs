//! Lines into the store: a thousand or 8 MiB a call, two calls in flight, answers in the order of the lines.
//!
//! A thread reads and checks; this task sends. Between them wait at most two batches, so memory is bounded whatever the
//! length of the stream.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use gristmill::backend::MAX_BATCH_BYTES;
use gristmill::{Client, Enqueued, Error, ExistingBy, JobId, NewJob, Receipt};
use tokio::sync::mpsc;

use super::check::{Checked, read};
use super::lines::Lines;
use super::source::interrupted;
use super::{Defaults, Source};
use crate::failure::{Failure, Result};
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
}

/// Up to a thousand lines, or as many as make a call's worth of bytes.
#[derive(Default)]
struct Batch {
    /// Every line in order: a job, or why it is none.
    lines: Vec<(u64, Option<LineError>)>,
    jobs: Vec<NewJob>,
    bytes: usize,
}

/// Sends a stream: one that was checked, or one whose invalid lines are left out. Every answer goes to `answered`.
pub(crate) async fn send(
    input: std::result::Result<Checked, Source>,
    client: &Client,
    defaults: Defaults,
    mut answered: impl FnMut(&LineResult<'_>),
) -> Result<Sent> {
    let input = match input {
        Ok(checked) => checked.again.reopen()?,
        Err(source) => source.open()?,
    };
    let (batches, mut read_batches) = mpsc::channel(IN_FLIGHT);
    let minting = client.clone();
    // Ends with the stream, or when the receiver is gone; a read of a pipe that gives nothing ends with the process.
    let reader =
        tokio::task::spawn_blocking(move || read_all(Lines::new(input), &minting, &defaults, &batches));
    let mut sent = Sent::default();
    let mut calls = FuturesOrdered::new();
    let mut more = true;
    while more || !calls.is_empty() {
        tokio::select! {
            batch = read_batches.recv(), if more && calls.len() < IN_FLIGHT => match batch {
                Some(batch) => calls.push_back(call(client, batch)),
                None => more = false,
            },
            Some(done) = calls.next(), if !calls.is_empty() => {
                let (lines, receipts) = done.map_err(|error| unsent(error, sent))?;
                tell(&lines, receipts, &mut sent, &mut answered)?;
            }
        }
    }
    reader.await.map_err(|error| Failure::failed(format!("the reader of the stream ended: {error}")))??;
    Ok(sent)
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
        if batch.lines.len() >= BATCH || batch.bytes >= MAX_BATCH_BYTES {
            if batches.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
        }
    }
    if !batch.lines.is_empty() {
        // A receiver that is gone has its own error to tell.
        let _ = batches.blocking_send(batch);
    }
    Ok(())
}

type Answered = (Vec<(u64, Option<LineError>)>, Vec<Receipt>);

/// Sends a batch until it is answered, or cannot be.
async fn call(client: &Client, batch: Batch) -> std::result::Result<Answered, Error> {
    let mut receipts = Vec::with_capacity(batch.jobs.len());
    let mut jobs = batch.jobs;
    let mut pause = Duration::from_millis(250);
    for tries_left in (0..TRIES).rev() {
        match client.enqueue_prepared(jobs).await {
            Ok(answers) => {
                receipts.extend(answers);
                return Ok((batch.lines, receipts));
            }
            Err(partly) if partly.error.is_retryable() && tries_left > 0 => {
                if tries_left == TRIES - 1 {
                    tracing::warn!(error = %partly.error, "the enqueue is tried again");
                }
                receipts.extend(partly.receipts);
                jobs = partly.rest;
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(partly) => return Err(partly.error),
        }
    }
    unreachable!("the last try returns")
}

fn tell(
    lines: &[(u64, Option<LineError>)],
    receipts: Vec<Receipt>,
    sent: &mut Sent,
    answered: &mut impl FnMut(&LineResult<'_>),
) -> Result<()> {
    let mut receipts = receipts.into_iter();
    for (line, invalid) in lines {
        let (result, id, error) = match invalid {
            Some(error) => ("invalid", None, Some(error.0.clone())),
            None => told(receipts.next())?,
        };
        match result {
            "invalid" => sent.invalid += 1,
            "existing" => sent.existing += 1,
            _ => sent.created += 1,
        }
        answered(&LineResult { line: *line, result, id, error: error.as_deref() });
    }
    Ok(())
}

type Told = (&'static str, Option<JobId>, Option<String>);

fn told(receipt: Option<Receipt>) -> Result<Told> {
    let receipt = receipt.ok_or_else(|| Failure::failed("the store did not answer every job"))?;
    Ok(match result_of(&receipt) {
        Ok(result) => (result, Some(receipt.id), None),
        Err(why) => ("invalid", None, Some(why)),
    })
}

/// The word for what became of a job.
fn result_of(receipt: &Receipt) -> std::result::Result<&'static str, String> {
    match &receipt.enqueued {
        // Ids are minted here: only an earlier try of this very call can have stored it.
        Enqueued::Created | Enqueued::Existing { by: ExistingBy::Id, .. } => Ok("created"),
        Enqueued::Existing { .. } => Ok("existing"),
        Enqueued::Replaced { .. } => Ok("replaced"),
        Enqueued::Refused { why } => Err(why.clone()),
        _ => Err("the store gave an answer this version does not know".to_owned()),
    }
}

/// Those that were answered are stored. Of the calls in flight nobody knows.
fn unsent(error: Error, sent: Sent) -> Failure {
    let stored = sent.created + sent.existing;
    let failure = Failure::from(error);
    if stored == 0 {
        return failure;
    }
    let rest = format!(
        "the first {stored} jobs of the stream are stored, up to {} after them may be; \
         a unique_key on each line makes it safe to send the stream again",
        IN_FLIGHT * BATCH
    );
    let hint = match failure.remedy() {
        Some(remedy) => format!("{remedy}; {rest}"),
        None => rest,
    };
    failure.hint(hint)
}
