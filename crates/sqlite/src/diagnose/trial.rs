//! A job is stored, run and ended in a transaction that is rolled back, and the log is merged as far as
//! readers let it.
//!
//! On a connection of its own: one for reading cannot try what writes, and the writer's keeps what it knows.

use std::path::Path;
use std::time::Duration;

use gristmill_core::{
    Args, BackendError, BackendErrorKind, ClaimId, Diagnosis, EnqueueRequest, FetchRequest, FinishItem,
    FinishRequest, Finished, IdSource, JobSpec, Name, NewJob, QueueWant, RegisterWorker, Timestamp, WorkerId,
};
use rusqlite::{Connection, TransactionBehavior};

use crate::connection::{self, Synchronous};
use crate::error::{Answer, Fail, is_busy, of_sqlite};
use crate::group::Group;
use crate::memory::{Memory, Settings};
use crate::migrate::Neighbours;
use crate::{enqueue, fetch, filesystem, finish, lease};

/// How long the trial waits for another program that writes.
const PATIENCE: Duration = Duration::from_millis(500);
/// The lease of a worker that is never seen.
const LEASE: Duration = Duration::from_secs(60);
/// A larger log that cannot be merged is reported as trouble.
const LOG_BYTES: u64 = 64 * 1024 * 1024;
/// One whose state is not known.
const UNKNOWN_LOG_BYTES: u64 = 1024 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;
const PROBE: &str = "gristmill-probe";

/// Tries both, where the file may be written.
pub(super) fn findings(path: &Path, now: Timestamp) -> Vec<Diagnosis> {
    if !filesystem::is_writable(path) {
        let reason = "not tried: this user may not write the file or its folder";
        return vec![log(path, None), Diagnosis::fine("trial", reason)];
    }
    let mut connection = match connection::open(path, PATIENCE) {
        Ok(connection) => connection,
        Err(error) => return vec![log(path, None), failed(Fail::Broken(error))],
    };
    let trial = match job(&mut connection, now) {
        Ok(()) => Diagnosis::fine("trial", "tried and rolled back: a job is stored, fetched and ended"),
        Err(Fail::Broken(error)) if is_busy(&error) => {
            Diagnosis::fine("trial", "not tried: another program writes to the file")
        }
        Err(fail) => failed(fail),
    };
    vec![log(path, unmerged(&connection).ok()), trial]
}

fn failed(fail: Fail) -> Diagnosis {
    let cause = match &fail {
        Fail::Broken(error) => format!(": {error}"),
        Fail::Refused(_) => String::new(),
    };
    let error = match fail {
        Fail::Broken(error) => of_sqlite(&error),
        Fail::Refused(error) => error,
    };
    let remedy =
        error.hint().unwrap_or("look at the file with the sqlite3 shell, or restore a backup").to_owned();
    Diagnosis::trouble("trial", format!("a job cannot be stored and run: {}{cause}", error.message()), remedy)
}

/// A job from its enqueue to its end. The transaction is rolled back when it is dropped.
fn job(connection: &mut Connection, now: Timestamp) -> Answer<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let settings = Settings {
        durability: Synchronous::Off.durability(),
        busy_timeout: Duration::ZERO,
        watch_ends: false,
        neighbours: Neighbours::Welcome,
    };
    let mut memory = Memory::default();
    let mut group = Group::new(&transaction, &mut memory, settings);
    let queue = name(&format!("{PROBE}-{:016x}", fastrand::u64(..)))?;
    let args = Args::from_json("{}").map_err(|_| odd("args cannot be made"))?;
    let job = NewJob::new(IdSource::new().next(now), JobSpec::new(name(PROBE)?, queue.clone(), args));
    let worker = WorkerId::random();
    enqueue::enqueue(&mut group, &EnqueueRequest::new(vec![job]), now)?;
    lease::register_worker(&mut group, &RegisterWorker::new(worker, PROBE, LEASE), now)?;
    let wants = vec![QueueWant::new(queue, 1)];
    let fetched = fetch::fetch(&mut group, &FetchRequest::new(worker, ClaimId(1), wants), now)?;
    if fetched.jobs.len() != 1 {
        return Err(odd("a job that was stored is not fetched").into());
    }
    let items = fetched.jobs.into_iter().map(|job| FinishItem::complete(job.lease)).collect();
    let ended = finish::finish(&mut group, &FinishRequest::new(items), now)?;
    if ended.items.iter().any(|item| !matches!(item, Finished::Accepted { .. })) {
        return Err(odd("the end of a run is not accepted").into());
    }
    Ok(group.flush()?)
}

fn name(text: &str) -> Result<Name, BackendError> {
    Name::new(text).map_err(|_| odd("a name cannot be made"))
}

fn odd(message: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Internal, message)
        .with_hint("look for triggers that were added to the tables")
}

/// Bytes of the log that cannot be merged into the file now, since a reader needs the file as it is.
fn unmerged(connection: &Connection) -> rusqlite::Result<u64> {
    let page_size: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages: i64 = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
    })?;
    Ok(u64::try_from(pages * page_size).unwrap_or(0))
}

fn log(path: &Path, unmerged: Option<u64>) -> Diagnosis {
    // Its size is read without opening it.
    let bytes = std::fs::metadata(filesystem::log(path)).map_or(0, |file| file.len());
    let finding = format!("{} MiB", bytes / MIB);
    let held = match unmerged {
        Some(held) => bytes > LOG_BYTES && held > bytes / 2,
        None => bytes > UNKNOWN_LOG_BYTES,
    };
    if held {
        let finding =
            format!("{finding}, and it grows: a reader holds an old snapshot, so it cannot be merged");
        let remedy = "end the program that keeps a read transaction open, such as a sqlite3 shell or a backup: \
            `fuser` on the file names the programs that have it open";
        Diagnosis::trouble("write-ahead log", finding, remedy)
    } else {
        Diagnosis::fine("write-ahead log", finding)
    }
}
