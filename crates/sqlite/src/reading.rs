//! A file that is opened for reading only.
//!
//! In WAL mode a reader needs the log `FILE-wal` and its index `FILE-shm`, too. They are there as long as a
//! program has the file open; where none has, SQLite makes them, which takes the right to write. A user
//! without it reads such a file as it is (`immutable`), and each read looks after itself: when a log has
//! appeared meanwhile, or the file has changed, what was read is not answered, and the next read opens the
//! file anew.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gristmill_core::{BackendError, BackendErrorKind};
use rusqlite::Connection;

use crate::error::of_sqlite;
use crate::{connection, filesystem};

/// A file without a log. A reader relies on no process writing to it meanwhile.
#[derive(Debug)]
pub(crate) struct Quiet {
    file: PathBuf,
    log: PathBuf,
    stamp: Option<Stamp>,
}

/// The length of a file and when it was last written: a writer that came and went has left its log in the
/// file.
type Stamp = (u64, Option<SystemTime>);

impl Quiet {
    /// Of a file that is about to be opened.
    fn new(path: &Path) -> Self {
        Self { file: path.to_owned(), log: filesystem::log(path), stamp: stamp(path) }
    }

    /// Whether the file has had no writer since it was opened.
    pub(crate) fn check(&self) -> Result<(), BackendError> {
        if !self.log.exists() && stamp(&self.file) == self.stamp {
            return Ok(());
        }
        let message = "another program wrote the file while it was read";
        Err(BackendError::new(BackendErrorKind::Busy, message).with_hint("try again"))
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    // Not its header: closing the file would drop the locks of this process's connections to it.
    std::fs::metadata(path).ok().map(|file| (file.len(), file.modified().ok()))
}

/// A connection for reading; where it reads a file that has no log, what to look at after each read.
pub(crate) fn open(path: &Path, busy_timeout: Duration) -> Result<(Connection, Option<Quiet>), BackendError> {
    if !path.exists() {
        let message = format!("there is no database file at `{}`", path.display());
        return Err(BackendError::new(BackendErrorKind::Unavailable, message));
    }
    let quiet = Quiet::new(path);
    let opened = if filesystem::is_writable(path) {
        connection::open_tidy_reader(path, busy_timeout).map(|connection| (connection, None))
    } else if quiet.log.exists() {
        connection::open_reader(path, busy_timeout).map(|connection| (connection, None))
    } else {
        connection::open_immutable(path).map(|connection| (connection, Some(quiet)))
    };
    opened.map_err(|error| of_sqlite(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_log_is_read_as_it_is_until_one_appears() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("two words?%.db");
        let make = |sql: &str| Connection::open(&path)?.execute_batch(sql);
        make("PRAGMA journal_mode = WAL; CREATE TABLE meta (value); INSERT INTO meta VALUES (7)")
            .expect("made");
        let quiet = Quiet::new(&path);
        let reader = connection::open_immutable(&path).expect("it opens");
        let value: i64 = reader.query_row("SELECT value FROM meta", [], |row| row.get(0)).expect("a value");
        assert_eq!(value, 7);
        assert!(quiet.check().is_ok());
        let writer = Connection::open(&path).expect("it opens");
        writer.execute_batch("INSERT INTO meta VALUES (8)").expect("it writes");
        assert_eq!(quiet.check().expect_err("there is a log").kind(), BackendErrorKind::Busy);
        drop(writer);
        assert!(!quiet.log.exists());
        assert_eq!(quiet.check().expect_err("the file has changed").kind(), BackendErrorKind::Busy);
        assert!(Quiet::new(&path).check().is_ok());
    }
}
