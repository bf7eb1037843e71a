//! The database file: where it lies and how it is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::options::{Options, Sync};

const CACHE_KIB: u32 = 64 * 1024;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const SCHEMA: &str = include_str!("schema.sql");

/// An empty queue in a file of its own, removed when this is dropped.
#[derive(Debug)]
pub(super) struct File {
    folder: TempDir,
    sync: Sync,
}

impl File {
    /// Makes the file and its tables.
    pub(super) fn create(options: &Options) -> Result<Self> {
        let parent = options.dir.clone().unwrap_or_else(disk_folder);
        let folder =
            tempfile::Builder::new().prefix("gristmill-floors-").tempdir_in(&parent).with_context(|| {
                format!("folder `{}` cannot be written; make it or name another with --dir", parent.display())
            })?;
        let file = Self { folder, sync: options.sync };
        file.connect()?.execute_batch(SCHEMA).context("the tables cannot be made")?;
        Ok(file)
    }

    /// Opens another connection.
    pub(super) fn connect(&self) -> Result<Connection> {
        let path = self.folder.path().join("floor.db");
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", self.sync.name())?;
            connection.pragma_update(None, "cache_size", format!("-{CACHE_KIB}"))?;
            Ok(connection)
        };
        open()
            .with_context(|| format!("`{}` cannot be opened; name another folder with --dir", path.display()))
    }

    /// The settings every mode shares.
    pub(super) fn settings(&self, options: &Options) -> Map<String, Value> {
        Map::from_iter([
            ("journal_mode".to_owned(), json!("wal")),
            ("synchronous".to_owned(), json!(self.sync.name())),
            ("cache_kib".to_owned(), json!(CACHE_KIB)),
            ("batch".to_owned(), json!(options.batch)),
            ("sqlite".to_owned(), json!(rusqlite::version())),
            ("on_tmpfs".to_owned(), json!(is_tmpfs(self.folder.path()))),
        ])
    }
}

/// The folder for temporary files, or `/var/tmp` where that is kept in memory and would make commits free.
fn disk_folder() -> PathBuf {
    let folder = std::env::temp_dir();
    let disk = PathBuf::from("/var/tmp");
    if is_tmpfs(&folder) && disk.is_dir() { disk } else { folder }
}

/// Whether files there never reach a disk; false where the system cannot tell.
#[cfg(target_os = "linux")]
fn is_tmpfs(folder: &Path) -> bool {
    use nix::sys::statfs::{TMPFS_MAGIC, statfs};
    statfs(folder).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

/// Whether files there never reach a disk; false where the system cannot tell.
#[cfg(not(target_os = "linux"))]
fn is_tmpfs(_folder: &Path) -> bool {
    false
}
