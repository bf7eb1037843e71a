//! Random histories against the reference model.

use std::process::ExitCode;
use std::time::Duration;

use gristmill_sqlite::{Sqlite, Synchronous};
use gristmill_testkit::{Store, model_histories};

const HISTORIES: u32 = 2_000;
const MAX_STEPS: usize = 60;

fn main() -> ExitCode {
    model_histories("sqlite", HISTORIES, MAX_STEPS, fresh)
}

fn fresh() -> Store {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Sqlite::builder(folder.path().join("jobs.db"))
        .synchronous(Synchronous::Off)
        .busy_timeout(Duration::from_secs(1));
    let backend: std::sync::Arc<dyn gristmill_core::Backend> =
        std::sync::Arc::new(options.open().expect("a fresh file opens"));
    Store::new(backend).with_guard(folder)
}
