//! The contract, case by case.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Backend, Capabilities, Capability};
use gristmill_sqlite::{Sqlite, Synchronous};
use gristmill_testkit::{Damage, Store, conformance};
use rusqlite::{Connection, ToSql};

const PROMISES: Capabilities =
    Capabilities::of(&[Capability::Durable, Capability::Shared, Capability::Notifications]);

fn main() -> ExitCode {
    conformance("sqlite", PROMISES, fresh)
}

fn fresh() -> Store {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jobs.db");
    let file = path.clone();
    Store::new(open(path.clone()))
        .with_reopen(move || open(path.clone()))
        .with_damage(move |what| damage(&file, what))
        .with_guard(folder)
}

/// Where a table has the job with an id.
const SEQ: &str = "WHERE seq = (SELECT seq FROM jobs WHERE id = ?1)";

/// Makes a row unreadable, as a program with a shell could.
fn damage(path: &Path, what: &Damage) {
    let connection = Connection::open(path).expect("the file opens");
    let update = |sql: &str, key: &dyn ToSql| {
        connection.execute(sql, [key]).expect("the row is changed");
    };
    match what {
        Damage::Kind(id) => update("UPDATE jobs SET kind = 'two words' WHERE id = ?1", id.as_bytes()),
        Damage::Args(id) => update("UPDATE jobs SET args = x'ff' WHERE id = ?1", id.as_bytes()),
        Damage::Options(id) => update(
            "UPDATE jobs SET has_options = 1, timeout_ms = -1, retry = '{', retention = '[]', tags = '{',
                metadata = CAST(x'ff' AS TEXT) WHERE id = ?1",
            id.as_bytes(),
        ),
        Damage::MaxAttempts(id) => update("UPDATE jobs SET max_attempts = -1 WHERE id = ?1", id.as_bytes()),
        Damage::Run(id) => update(&format!("UPDATE ready SET run = -7 {SEQ}"), id.as_bytes()),
        Damage::LastRun(id) => {
            update(&format!("UPDATE ready SET run = (1 << 22) - 2 {SEQ}"), id.as_bytes());
        }
        Damage::Priority(id) => {
            update(&format!("UPDATE ready SET priority = 99 {SEQ}"), id.as_bytes());
            update("UPDATE jobs SET priority = 99 WHERE id = ?1", id.as_bytes());
        }
        Damage::Counts(id) => {
            let most = i64::MAX;
            update(&format!("UPDATE ready SET attempt = {most}, crashes = {most} {SEQ}"), id.as_bytes());
        }
        Damage::State(id) => {
            update(&format!("UPDATE waiting SET state = 99 {SEQ}"), id.as_bytes());
            update(&format!("UPDATE ended SET state = 99 {SEQ}"), id.as_bytes());
        }
        Damage::Ending(id) => update(
            "UPDATE runs SET ending = 77, state = 77, ended_by = 9
                WHERE run_key >> 22 = (SELECT seq FROM jobs WHERE id = ?1)",
            id.as_bytes(),
        ),
        Damage::Queue(name) => update("UPDATE queues SET name = 'two words' WHERE name = ?1", &name.as_str()),
        Damage::Worker(worker) => {
            let id = worker.as_u128().to_be_bytes();
            update("UPDATE workers SET queues = '{', kinds = 'x' WHERE worker = ?1", &id);
        }
    }
}

fn open(path: PathBuf) -> Arc<dyn Backend> {
    // Durability is proved by tests of their own; without it the cases take seconds, not minutes.
    let options = Sqlite::builder(path).synchronous(Synchronous::Off).busy_timeout(Duration::from_secs(1));
    Arc::new(options.open().expect("a fresh file opens"))
}
