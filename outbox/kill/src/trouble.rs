//! What a client makes of an error in a transaction.

use gristmill_core::{BackendErrorKind, Certainty, Error, ErrorKind};

use crate::journal::Fact;

/// Why a transaction did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What the client knows.
    pub(crate) fact: Fact,
    /// In the words of the driver or of the adapter.
    pub(crate) words: String,
}

impl Trouble {
    pub(crate) fn fault(words: impl Into<String>) -> Self {
        Self { fact: Fact::Fault, words: words.into() }
    }
}

/// Of the adapter.
impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let fact = match (error.certainty(), error.kind()) {
            (Certainty::MaybeStored, _) => Fact::Uncertain,
            (_, ErrorKind::Backend(BackendErrorKind::Unavailable)) => Fact::Lost,
            (_, ErrorKind::Backend(BackendErrorKind::Busy)) => Fact::Refused,
            _ => Fact::Fault,
        };
        Self { fact, words: format!("the adapter: {error}") }
    }
}

/// Of a statement of the user's.
impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        let fact = match &error {
            sqlx::Error::Database(answer) => match answer.code().as_deref() {
                Some("40001" | "40P01") => Fact::Refused,
                Some(state) if state.starts_with("57P") || state.starts_with("08") => Fact::Lost,
                _ => Fact::Fault,
            },
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => Fact::Lost,
            _ => Fact::Fault,
        };
        Self { fact, words: format!("a statement: {error}") }
    }
}
