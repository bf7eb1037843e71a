//! From PostgreSQL's errors to the seam's.

use std::error::Error as _;

use gristmill_core::{BackendError, BackendErrorKind};
use tokio_postgres::error::SqlState;

use crate::tls;

/// Why a step of an operation did not answer.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The answer is an error of the seam.
    Refused(BackendError),
    /// The server or the connection failed; the transaction is lost.
    Broken(tokio_postgres::Error),
    /// The deadline passed.
    Late,
    /// The store is another one than the process knows: its queues are not there. Nothing was changed.
    Exchanged,
}

/// What a step of an operation answers.
pub(crate) type Answer<T> = Result<T, Fail>;

impl From<BackendError> for Fail {
    fn from(error: BackendError) -> Self {
        Self::Refused(error)
    }
}

impl From<tokio_postgres::Error> for Fail {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Fail> for BackendError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Refused(error) => error,
            Fail::Broken(error) => of_postgres(error),
            Fail::Late => timed_out(),
            Fail::Exchanged => exchanged(),
        }
    }
}

impl Fail {
    /// Whether a row was there already that this statement wanted to insert.
    pub(crate) fn is_unique_violation(&self) -> bool {
        self.code() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether a value was NULL where none may be.
    pub(crate) fn is_null_violation(&self) -> bool {
        self.code() == Some(&SqlState::NOT_NULL_VIOLATION)
    }

    /// Whether the same, begun anew, may succeed: two transactions were in each other's way.
    pub(crate) fn is_collision(&self) -> bool {
        matches!(
            self.code(),
            Some(code) if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
        )
    }

    /// Whether another transaction has had a lock for longer than this one waits at a time.
    pub(crate) fn is_end_of_turn(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether the server takes no writes: after a failover it may be one that is no longer the primary.
    pub(crate) fn is_read_only(&self) -> bool {
        self.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// Whether the role may not do this.
    pub(crate) fn is_denied(&self) -> bool {
        self.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
    }

    /// Whether what was asked may have been done all the same: the server did not say otherwise.
    pub(crate) fn leaves_open(&self) -> bool {
        match self {
            Self::Broken(error) => error.code().is_none_or(|code| code.code().starts_with("57P")),
            Self::Late => true,
            Self::Refused(_) | Self::Exchanged => false,
        }
    }

    /// Whether the server answered, with an error.
    pub(crate) fn is_of_server(&self) -> bool {
        matches!(self, Self::Broken(error) if error.as_db_error().is_some())
    }

    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Broken(error) => error.code(),
            Self::Refused(_) | Self::Late | Self::Exchanged => None,
        }
    }
}

/// A stored value that cannot be what this library stored.
pub(crate) fn undecodable(what: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Undecodable, format!("a stored {what} does not decode"))
        .with_hint("upgrade to the version that wrote it")
}

/// The store was dropped, restored or replaced, and again while the call was repeated.
fn exchanged() -> BackendError {
    let message = "the store was exchanged while this program used it: queues that it knows are not there";
    BackendError::new(BackendErrorKind::Busy, message)
        .with_hint("repeat the call; restart the program if it fails again")
}

/// The deadline passed.
pub(crate) fn timed_out() -> BackendError {
    BackendError::new(BackendErrorKind::TimedOut, "the call's deadline passed before the server answered")
        .with_hint("look whether the server is overloaded, or a lock is held: `gristmill doctor`")
}

/// The server cannot be reached.
pub(crate) fn unavailable(message: impl Into<String>) -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, message)
        .with_hint("check that the server runs and takes connections from here")
}

/// Says what an error of the server or the connection means for a call.
pub(crate) fn of_postgres(error: tokio_postgres::Error) -> BackendError {
    if tls::is_distrust(&error) {
        return BackendError::new(BackendErrorKind::Unavailable, "the server's certificate does not hold")
            .with_hint("name the host as the certificate does, and its authority's file in `SSL_CERT_FILE`")
            .lasting()
            .with_source(error);
    }
    let Some(database) = error.as_db_error() else {
        let is_io = error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return if error.is_closed() || is_io {
            unavailable("the connection to the server was lost").with_source(error)
        } else {
            undecodable("value").with_source(error)
        };
    };
    let (kind, message, hint) = meaning(database.code());
    let is_lasting = matches!(database.code().code(), "28P01" | "28000" | "3D000");
    let converted = BackendError::new(kind, message).with_source(error);
    let converted = if is_lasting { converted.lasting() } else { converted };
    match hint {
        Some(hint) => converted.with_hint(hint),
        None => converted,
    }
}

fn meaning(code: &SqlState) -> (BackendErrorKind, &'static str, Option<&'static str>) {
    use BackendErrorKind as Kind;
    let schema = (
        Kind::SchemaOld,
        "the database has no schema of Gristmill, or an older one",
        Some("run `gristmill migrate`, or check the schema's name"),
    );
    match code.code() {
        "40001" | "40P01" | "55P03" => {
            (Kind::Busy, "others hold what the call needs", Some("the same call may succeed a moment later"))
        }
        "25P02" => (
            Kind::Refused,
            "the transaction is aborted: a statement before this one has failed in it",
            Some("roll it back, or back to a savepoint, and begin anew"),
        ),
        "57014" => (Kind::TimedOut, "the server cancelled the statement", None),
        "53100" => (Kind::Full, "the server's disk is full", Some("free some space; no job was lost")),
        "53200" => (Kind::Full, "the server's memory is full", None),
        "53300" => (
            Kind::Unavailable,
            "the server takes no more connections",
            Some("raise `max_connections`, or use fewer connections a process"),
        ),
        "25006" => (
            Kind::ReadOnly,
            "the database can only be read",
            Some("connect to the primary server, or end its read-only mode"),
        ),
        "42501" => (
            Kind::ReadOnly,
            "the role may not do this",
            Some("grant it the rights on the schema that `gristmill migrate sql` lists"),
        ),
        "28P01" | "28000" => (
            Kind::Unavailable,
            "the server refused the role or its password",
            Some("check both in the URL, and what `pg_hba.conf` lets in from here"),
        ),
        "3D000" => (
            Kind::Unavailable,
            "the server has no such database",
            Some("check its name in the URL, or make it with `createdb`"),
        ),
        "3F000" | "42P01" | "42703" | "42883" => schema,
        // What PgBouncer says to settings of a session, and a session to what was prepared in another.
        "08P01" | "26000" | "42P05" => (
            Kind::Refused,
            "a transaction pooler lies between here and the server",
            Some("add `pooler=transaction` to the URL, or connect to the server itself"),
        ),
        other if other.starts_with("57P") || other.starts_with("08") => (
            Kind::Unavailable,
            "the server ended the connection",
            Some("it is shutting down, starting or was hints to; calls are repeated"),
        ),
        _ => (Kind::Internal, "the server refused a statement of this library", None),
    }
}
