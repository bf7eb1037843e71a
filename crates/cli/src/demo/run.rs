//! The demo from its first file to its table.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gristmill::{Client, EventKind, JobExt as _, JobId, JobState, Worker, format_duration};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::files::Files;
use super::jobs;
use super::report::Account;
use crate::connect::{Absent, Url};
use crate::failure::{Failure, Result};
use crate::output::{Output, escape, say};
use crate::progress::Progress;
use crate::stop::Stop;

/// Jobs at once. Most are small files: many at once share each commit.
const SLOTS: usize = 128;
/// Jobs a call.
const BATCH: usize = 1_000;
/// How often each of the small kinds is enqueued.
const FEW: usize = 3;

/// Runs the demo on the files below `folder`; `keep` leaves the store behind.
pub(crate) async fn run(folder: &Path, keep: bool) -> Result<()> {
    let folder = folder
        .canonicalize()
        .map_err(|error| Failure::not_found(format!("cannot look into {}: {error}", folder.display())))?;
    let stop = Stop::listen()?;
    let home = tempfile::Builder::new()
        .prefix("gristmill-demo-")
        .tempdir()
        .map_err(|error| Failure::io("cannot make a temporary folder", &error))?;
    let file = home.path().join("jobs.db");
    // A crash of the machine may end a demo; that makes each commit cheaper.
    let url = Url::parse(&format!("sqlite:{}?synchronous=normal", file.display()), None)?;
    say(format_args!(
        "the store is {}{}",
        file.display(),
        if keep { "" } else { ", removed at the end (--keep keeps it)" }
    ));
    let client = Client::new(url.open(Absent::Create).await?);

    let enqueuing = Instant::now();
    let Given { ids, duplicates } = enqueue(&client, folder.clone(), home.path().to_owned(), &stop).await?;
    let enqueuing = enqueuing.elapsed();
    let bytes = jobs::Bytes::default();
    let running = Instant::now();
    work(&client, ids.len() as u64, bytes.clone(), &stop).await?;
    let running = running.elapsed();

    let account = Account::of(&client, ids.iter().copied().collect::<HashSet<_>>()).await?;
    let mut output = Output::stdout();
    output.line(account.table());
    account.show_reasons(&mut output);
    output.line("");
    show_totals(&account, ids.len(), duplicates, &mut output);
    show_speed(&account, ids.len(), enqueuing, running, bytes.load(Ordering::Relaxed), &mut output);
    show_next(&home, keep, &account, &mut output);
    output.finish()?;
    drop(client);
    if keep {
        let _ = home.keep();
    }
    match account.is_complete() {
        true => Ok(()),
        false if stop.gently.is_cancelled() => Err(Failure::failed("stopped before every job had ended")),
        false => Err(Failure::failed("not every job is accounted for")),
    }
}

/// What the store was given.
struct Given {
    ids: Vec<JobId>,
    duplicates: usize,
}

async fn enqueue(client: &Client, folder: PathBuf, own: PathBuf, stop: &Stop) -> Result<Given> {
    let files = Files::below(&folder, &own)
        .map_err(|error| Failure::not_found(format!("cannot look into {}: {error}", folder.display())))?;
    let (found, mut batches) = mpsc::channel(2);
    let walk = tokio::task::spawn_blocking(move || {
        let mut files = files.peekable();
        while files.peek().is_some() {
            let batch: Vec<jobs::Checksum> =
                files.by_ref().take(BATCH).map(|path| jobs::Checksum { path }).collect();
            // The receiver is gone after an enqueue that failed.
            if found.blocking_send(batch).is_err() {
                break;
            }
        }
    });
    let mut given = Given { ids: Vec::new(), duplicates: 0 };
    let mut progress = Progress::new("enqueued", None);
    while let Some(batch) = batches.recv().await {
        if stop.gently.is_cancelled() {
            return Err(Failure::failed("stopped while the jobs were enqueued"));
        }
        let texts = batch.into_iter().map(lossy);
        let receipts =
            client.enqueue_many::<jobs::Checksum, _>(texts).await.map_err(|partly| partly.error)?;
        given.ids.extend(receipts.iter().map(|receipt| receipt.id));
        progress.set(given.ids.len() as u64);
    }
    walk.await.map_err(|error| Failure::failed(format!("the walk ended: {error}")))?;
    enqueue_others(client, &mut given).await?;
    Ok(given)
}

/// JSON holds text only.
fn lossy(job: jobs::Checksum) -> jobs::Checksum {
    match job.path.to_str() {
        Some(_) => job,
        None => jobs::Checksum { path: job.path.to_string_lossy().into_owned().into() },
    }
}

/// The jobs that show what else can happen.
async fn enqueue_others(client: &Client, given: &mut Given) -> Result<()> {
    macro_rules! few {
        ($($job:ident),+) => {
            $(for receipt in client.enqueue_many([jobs::$job {}; FEW]).await.map_err(|partly| partly.error)? {
                if receipt.is_new() { given.ids.push(receipt.id) } else { given.duplicates += 1 }
            })+
        };
    }
    few!(Flaky, Snoozing, Panicking, Hopeless, Cancelled, Later, Unique);
    // This one would run in an hour; the operator cancels it before.
    let receipt = client.enqueue(jobs::Cancelled {}.delay(Duration::from_secs(3_600))).await?;
    client.cancel(receipt.id).await?;
    given.ids.push(receipt.id);
    Ok(())
}

async fn work(client: &Client, total: u64, bytes: jobs::Bytes, stop: &Stop) -> Result<()> {
    hush_the_panic_on_purpose();
    let ended = Arc::new(AtomicU64::new(1));
    let counter = ended.clone();
    let worker = Worker::builder(client.clone())
        .state(bytes)
        .queue("default", SLOTS)
        .grace(Duration::from_secs(2))
        .poll_interval(Duration::from_millis(100))
        .drain()
        .handle_blocking(jobs::checksum)
        .handle(jobs::flaky)
        .handle(jobs::snoozing)
        .handle(jobs::panicking)
        .handle(jobs::hopeless)
        .handle(jobs::cancelled)
        .handle(jobs::later)
        .handle(jobs::unique)
        .on_event(move |event| {
            if matches!(event.kind, EventKind::Completed | EventKind::Cancelled | EventKind::Discarded) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        })
        .build()?;
    let mut progress = Progress::new("finished", Some(total));
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut running = std::pin::pin!(worker.run_until(stop.gently.cancelled()));
    loop {
        tokio::select! {
            report = &mut running => return report.map(drop).map_err(Failure::from),
            () = stop.at_once.cancelled() => return Err(Failure::failed("stopped at once")),
            _ = ticks.tick() => progress.set(ended.load(Ordering::Relaxed)),
        }
    }
}

/// A panic is an outcome: what it says stands in the job's history.
fn hush_the_panic_on_purpose() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload().downcast_ref::<String>().map(String::as_str);
        if words != Some(jobs::PANIC) {
            usual(panic);
        }
    }));
}

fn show_totals(account: &Account, given: usize, duplicates: usize, output: &mut Output) {
    output.line(format_args!(
        "{given} jobs enqueued = {} completed + {} cancelled + {} discarded{}; {duplicates} duplicates were not stored.",
        account.count(JobState::Completed),
        account.count(JobState::Cancelled),
        account.count(JobState::Discarded),
        match (account.unended(), account.missing) {
            (0, 0) => String::new(),
            (unended, missing) => format!(" + {unended} not ended + {missing} missing"),
        },
    ));
}

fn show_speed(
    account: &Account,
    jobs: usize,
    enqueuing: Duration,
    running: Duration,
    bytes: u64,
    output: &mut Output,
) {
    let number = |jobs: u64| u32::try_from(jobs).map_or(f64::INFINITY, f64::from);
    let megabytes = bytes / 1_000_000;
    output.line(format_args!(
        "Enqueued {:.0} a second, ran {:.0} a second ({} in all, {megabytes} MB read).",
        number(jobs as u64) / enqueuing.as_secs_f64(),
        number(account.ended()) / running.as_secs_f64(),
        format_duration(enqueuing + running),
    ));
    if let Some((median, most)) = account.waits() {
        output.line(format_args!(
            "From due to started: p50 {}, p99 {}.",
            format_duration(median),
            format_duration(most)
        ));
    }
}

fn show_next(home: &TempDir, keep: bool, account: &Account, output: &mut Output) {
    output.line("\nGo on with:");
    if keep {
        let url = format!("sqlite:{}", home.path().join("jobs.db").display());
        let url = escape(&url);
        output.line(format_args!("  gristmill jobs list --db {url} --state discarded"));
        if let Some(example) = account.example() {
            output.line(format_args!("  gristmill jobs show --db {url} {example}"));
        }
    } else {
        output.line(
            "  gristmill demo --keep                    leaves the store for `jobs list` and `jobs show`",
        );
    }
    output.line("  gristmill enqueue hello '{\"name\":\"you\"}'");
    output.line("  gristmill work --exec hello=cat --drain");
}
