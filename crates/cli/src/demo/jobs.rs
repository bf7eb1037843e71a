//! The jobs of the demo and their handlers, as a user would write them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gristmill::{Attempt, Job, JobContext, JobError, JobOptions, RetryPolicy, State};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What the panicking handler says; the demo keeps this, and only this, from the terminal.
pub(super) const PANIC: &str = "this handler panics on purpose";

/// Bytes that were read in all.
pub(super) type Bytes = Arc<AtomicU64>;

/// One file's checksum.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Checksum {
    /// A path is not always text; one that is not is shown with `\u{fffd}` and not found again, which its job
    /// says.
    pub(super) path: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sum {
    sha256: String,
    bytes: u64,
}

impl Job for Checksum {
    const KIND: &'static str = "checksum";
    type Output = Sum;
}

/// Blocks a thread, as work on files does.
#[expect(clippy::needless_pass_by_value, reason = "a handler owns its arguments")]
pub(super) fn checksum(
    job: Checksum,
    State(read): State<Bytes>,
    context: JobContext,
) -> Result<Sum, JobError> {
    let path = job.path.as_path();
    let discard = |why: &dyn std::fmt::Display| JobError::discard(format!("{}: {why}", path.display()));
    let metadata = fs::symlink_metadata(path).map_err(|error| discard(&error))?;
    if metadata.is_dir() {
        let why = fs::read_dir(path).err().map_or_else(|| "a folder".to_owned(), |error| error.to_string());
        return Err(discard(&why));
    }
    // Opening a pipe would wait for its other end.
    if !metadata.is_file() {
        return Err(discard(&"neither a file nor a folder"));
    }
    let (sha256, bytes) = digest(path, &context).map_err(|error| discard(&error))?;
    read.fetch_add(bytes, Ordering::Relaxed);
    Ok(Sum { sha256, bytes })
}

fn digest(path: &Path, context: &JobContext) -> std::io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 || context.is_cancelled() {
            break;
        }
        hasher.update(&buffer[..length]);
        bytes += length as u64;
    }
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok((text, bytes))
}

/// Jobs without input, each with a way to end of its own.
macro_rules! empty_jobs {
    ($($(#[$doc:meta])* $job:ident $kind:literal $options:expr;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, Serialize, Deserialize)]
            pub(super) struct $job {}

            impl Job for $job {
                const KIND: &'static str = $kind;
                type Output = ();

                fn options() -> JobOptions {
                    $options
                }
            }
        )+
    };
}

fn quick() -> JobOptions {
    JobOptions::new().retry(RetryPolicy::fixed(Duration::from_millis(100)))
}

empty_jobs! {
    /// Fails twice, then succeeds.
    Flaky "flaky" quick();
    /// Asks once to run later.
    Snoozing "snoozing" quick();
    /// Panics until its attempts are used up.
    Panicking "panicking" quick().max_attempts(2);
    /// Fails until its attempts are used up.
    Hopeless "hopeless" quick().max_attempts(3);
    /// Is cancelled: some by their handler, one by the operator.
    Cancelled "cancelled" quick();
    /// Runs half a second later.
    Later "later" quick().delay(Duration::from_millis(500));
    /// Is enqueued twice and stored once.
    Unique "unique" quick().unique_key("only one");
}

pub(super) async fn flaky(_: Flaky, Attempt(attempt): Attempt) -> Result<(), String> {
    if attempt <= 2 { Err(format!("attempt {attempt} fails, the third succeeds")) } else { Ok(()) }
}

pub(super) async fn snoozing(_: Snoozing, context: JobContext) -> Result<(), JobError> {
    if context.run() == 1 { Err(JobError::snooze(Duration::from_millis(300))) } else { Ok(()) }
}

pub(super) async fn panicking(_: Panicking) {
    panic!("{PANIC}");
}

pub(super) async fn hopeless(_: Hopeless) -> Result<(), String> {
    Err("this job cannot succeed".to_owned())
}

pub(super) async fn cancelled(_: Cancelled) -> Result<(), JobError> {
    Err(JobError::cancel("there is nothing left to do"))
}

pub(super) async fn later(_: Later) {}

pub(super) async fn unique(_: Unique) {}
