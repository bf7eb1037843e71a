//! The error of the public API.

use std::fmt;

use crate::fault::Fault;
use crate::{BackendError, BackendErrorKind, Certainty, InvalidJob};

/// Why a call of the client or the worker did not do what was asked.
///
/// Control flow is not among it: a duplicate, an empty fetch, a lost lease and a graceful stop are values.
pub struct Error(Box<Fault<ErrorKind>>);

/// What sort of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked is not valid; nothing was sent.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// It was refused: the state it is in, or a guard, forbids it.
    Refused,
    /// It did not end in time.
    TimedOut,
    /// The client or worker is closed.
    Closed,
    /// The store answered with an error of this kind.
    Backend(BackendErrorKind),
    /// Gristmill itself is at fault.
    Internal,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Fault::new(kind, message)))
    }

    /// What was asked is not valid.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// The same error with the remedy, which a program shows on a `hint:` line.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same error with its cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What sort of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, without the remedy. `Display` adds it, and `{:#}` adds the sources as well.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What happened and why: the message and its sources, joined by `: `, without the remedy.
    pub fn chain(&self) -> String {
        self.0.chain()
    }

    /// The remedy, where one is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Backend(kind) => kind.is_retryable(),
            ErrorKind::TimedOut => true,
            _ => false,
        }
    }

    /// Whether what was asked certainly was not stored, or may have been.
    pub fn certainty(&self) -> Certainty {
        self.0.certainty
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("Error", f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        Self(Box::new(error.into_fault().of_kind(ErrorKind::Backend)))
    }
}

impl From<InvalidJob> for Error {
    fn from(error: InvalidJob) -> Self {
        Self::invalid(error.to_string())
    }
}

macro_rules! invalid_from {
    ($($type:ty),*) => {
        $(impl From<$type> for Error {
            fn from(error: $type) -> Self {
                Self::invalid(error.to_string())
            }
        })*
    };
}

invalid_from!(
    crate::InvalidName,
    crate::InvalidArgs,
    crate::InvalidJobId,
    crate::InvalidPriority,
    crate::InvalidUniqueKey,
    crate::InvalidMetadata,
    crate::InvalidDuration,
    crate::UnknownState
);
