//! From SQLite's errors to the seam's.

use gristmill_core::{BackendError, BackendErrorKind};
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why an operation of a group did not answer.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The answer is an error, and what the operation has changed is to be undone; unless the error says that
    /// it may be stored.
    Refused(BackendError),
    /// The transaction is not to be committed.
    Broken(rusqlite::Error),
}

/// What an operation inside a transaction answers.
pub(crate) type Answer<T> = Result<T, Fail>;

impl From<BackendError> for Fail {
    fn from(error: BackendError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Fail> for BackendError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Refused(error) => error,
            Fail::Broken(error) => of_sqlite(&error),
        }
    }
}

/// A stored value that cannot be what this library stored.
pub(crate) fn undecodable(what: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Undecodable, format!("a stored {what} does not decode"))
        .with_hint("check the file with `PRAGMA integrity_check`, or upgrade to the version that wrote it")
}

/// The call would write, and the file was opened for reading.
pub(crate) fn opened_for_reading() -> BackendError {
    BackendError::new(BackendErrorKind::ReadOnly, "the file was opened for reading only")
}

/// The backend was closed, or its writer has ended.
pub(crate) fn closed() -> BackendError {
    BackendError::new(BackendErrorKind::Closed, "the database was closed")
}

/// The deadline passed before the call was begun.
pub(crate) fn timed_out() -> BackendError {
    BackendError::new(BackendErrorKind::TimedOut, "the call's deadline passed before it was begun")
        .with_hint("the writer is overloaded or another process holds the file")
}

/// Whether another connection is in the way, so that the same may succeed a moment later.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Says what SQLite's error means for a call. A reference, since one error may answer a whole group.
pub(crate) fn of_sqlite(error: &rusqlite::Error) -> BackendError {
    let (kind, message, hint) = match error {
        rusqlite::Error::SqliteFailure(failure, text) => of_failure(*failure, text.as_deref()),
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => {
            return undecodable("value").with_source(copy(error));
        }
        _ => (BackendErrorKind::Internal, "SQLite refused a statement of this library", None),
    };
    let converted = BackendError::new(kind, message).with_source(copy(error));
    // The path or its permissions are wrong.
    let is_lasting = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied
        )
    );
    let converted = if is_lasting { converted.lasting() } else { converted };
    match hint {
        Some(hint) => converted.with_hint(hint),
        None => converted,
    }
}

fn of_failure(
    failure: ffi::Error,
    text: Option<&str>,
) -> (BackendErrorKind, &'static str, Option<&'static str>) {
    use BackendErrorKind as Kind;
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (
            Kind::Busy,
            "another process holds the database",
            Some("look for a program that keeps a transaction open, or raise the busy timeout"),
        ),
        ErrorCode::DiskFull => (Kind::Full, "the disk is full", Some("free some space; no job was lost")),
        ErrorCode::OutOfMemory => (Kind::Full, "the memory is full", None),
        ErrorCode::TooBig => (Kind::Full, "a value is larger than SQLite takes", None),
        ErrorCode::ReadOnly => (
            Kind::ReadOnly,
            "the database can only be read",
            Some("check that this user may write the file and its folder"),
        ),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            (Kind::Unavailable, "access to the database is denied", Some("check the file's permissions"))
        }
        ErrorCode::CannotOpen => (
            Kind::Unavailable,
            "the database file cannot be opened",
            Some("check that its folder exists and that this user may read and write there"),
        ),
        ErrorCode::NotADatabase => (
            Kind::Foreign,
            "the file is not an SQLite database",
            Some("name another file; this one was not changed"),
        ),
        ErrorCode::DatabaseCorrupt => (
            Kind::Foreign,
            "the database file is damaged",
            Some("restore a backup, or save what is left with the `.recover` command of the sqlite3 shell"),
        ),
        ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed => {
            (Kind::Unavailable, "the disk failed", Some("check the disk and its file system"))
        }
        _ if text.is_some_and(|text| text.starts_with("no such table")) => {
            (Kind::SchemaOld, "the database has no schema", Some("run the migration"))
        }
        _ => (Kind::Internal, "SQLite refused a statement of this library", None),
    }
}

/// The same error again, as far as it tells something: SQLite's error cannot be cloned.
fn copy(error: &rusqlite::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        rusqlite::Error::SqliteFailure(failure, text) => {
            rusqlite::Error::SqliteFailure(*failure, text.clone()).into()
        }
        // Its own text holds the whole statement, header and all; what is wrong with it stands before.
        rusqlite::Error::SqlInputError { error, msg, .. } => {
            rusqlite::Error::SqliteFailure(*error, Some(msg.clone())).into()
        }
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::of_sqlite;

    #[test]
    fn an_error_tells_what_is_wrong_and_not_the_whole_statement() {
        let connection = rusqlite::Connection::open_in_memory().expect("it opens");
        let error = connection.prepare("-- a header\nSELECT missing").expect_err("there is no such column");
        let told = of_sqlite(&error).source().expect("SQLite's error").to_string();
        assert_eq!(told, "no such column: missing");
    }
}
