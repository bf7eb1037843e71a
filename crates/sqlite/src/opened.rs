//! Which file was opened: another one may have taken its place since.
//!
//! A file that was moved, deleted or replaced stays open: what is written to it is lost. And its log lies
//! beside the new file, where SQLite would take it for the log of that one, so the log of the old file is
//! removed before another process opens the new one. See <https://www.sqlite.org/howtocorrupt.html>, section
//! 2.4.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use gristmill_core::{BackendError, BackendErrorKind};

/// What tells one file of a machine from all others; `None` where there is no such thing.
type FileId = Option<(u64, u64)>;

/// A file that is open.
#[derive(Debug)]
pub(crate) struct Opened {
    path: PathBuf,
    file: FileId,
    log: OnceLock<FileId>,
}

impl Opened {
    /// The file at a path that has just been opened.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: id_of(path), log: OnceLock::new() }
    }

    /// Refuses to go on with a file that is no longer the one at its path. Cheap: one look at the folder.
    pub(crate) fn check(&self) -> Result<(), BackendError> {
        let now = id_of(&self.path);
        if now == self.file {
            if self.log.get().is_none()
                && let Some(log) = id_of(&self.beside("-wal"))
            {
                // The log stays the same file for as long as the database is open.
                let _ = self.log.set(Some(log));
            }
            return Ok(());
        }
        let path = self.path.display();
        let error = if now.is_some() {
            self.remove_old_log();
            BackendError::new(
                BackendErrorKind::Foreign,
                format!("another file took the place of `{path}` while this program used it"),
            )
        } else {
            BackendError::new(
                BackendErrorKind::Foreign,
                format!("`{path}` was moved or deleted while this program used it"),
            )
        };
        Err(error.with_hint("restart the program: it opens the file that is there then"))
    }

    /// The log that was written for the file of before is not the new one's.
    fn remove_old_log(&self) {
        let log = self.beside("-wal");
        if self.log.get().is_some_and(|old| old.is_some() && id_of(&log) == *old) {
            // A process that has them open keeps them. If they cannot be removed, the message stays true.
            let _ = std::fs::remove_file(&log);
            let _ = std::fs::remove_file(self.beside("-shm"));
        }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        name.into()
    }
}

#[cfg(unix)]
fn id_of(path: &Path) -> FileId {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
}

#[cfg(not(unix))]
fn id_of(_: &Path) -> FileId {
    // An open file can be neither moved nor deleted there.
    None
}
