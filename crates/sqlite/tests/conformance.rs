//! The contract, case by case.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Backend, Capabilities, Capability};
use gristmill_sqlite::{Sqlite, Synchronous};
use gristmill_testkit::{Store, conformance};

const PROMISES: Capabilities =
    Capabilities::of(&[Capability::Durable, Capability::Shared, Capability::Notifications]);

fn main() -> ExitCode {
    conformance("sqlite", PROMISES, fresh)
}

fn fresh() -> Store {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jobs.db");
    Store::new(open(path.clone())).with_reopen(move || open(path.clone())).with_guard(folder)
}

fn open(path: PathBuf) -> Arc<dyn Backend> {
    // Durability is proved by tests of their own; without it the cases take seconds, not minutes.
    let options = Sqlite::builder(path).synchronous(Synchronous::Off).busy_timeout(Duration::from_secs(1));
    Arc::new(options.open().expect("a fresh file opens"))
}
