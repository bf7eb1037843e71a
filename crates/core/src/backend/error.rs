//! The error of a backend.

use std::fmt;

use super::capability::Capability;
use crate::fault::Fault;

/// What sort of error a backend met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The store cannot be reached.
    Unavailable,
    /// The call's deadline passed.
    TimedOut,
    /// Others hold what the call needs.
    Busy,
    /// The disk or memory is full, or a bound of the store is reached.
    Full,
    /// The store may only be read.
    ReadOnly,
    /// The store is not one of Gristmill's, or is damaged.
    Foreign,
    /// The store has no schema, or one that is not migrated to this program's version yet.
    SchemaOld,
    /// The store's schema excludes this program, which is too old for it.
    SchemaNew,
    /// The backend does not promise this capability.
    Unsupported(Capability),
    /// The worker is unknown or its lease expired: it has to start again with a new incarnation.
    WorkerGone,
    /// The backend was closed.
    Closed,
    /// What was asked breaks a bound of this backend.
    Refused,
    /// A stored row does not decode.
    Undecodable,
    /// The backend itself is at fault.
    Internal,
}

impl BackendErrorKind {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::TimedOut | Self::Busy | Self::Full)
    }
}

/// Whether a call that failed has left something behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It certainly changed nothing.
    NotStored,
    /// It may have taken effect; a repeat with the same ids is safe.
    MaybeStored,
}

/// Why a backend's call failed. Control flow is not among it: a duplicate or a lost lease is a value of the
/// reply.
pub struct BackendError(Box<Fault<BackendErrorKind>>);

impl BackendError {
    /// An error that certainly changed nothing. `message` names the thing, in one clause.
    pub fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Fault::new(kind, message)))
    }

    /// The capability is absent.
    pub fn unsupported(backend: &str, capability: Capability) -> Self {
        Self::new(
            BackendErrorKind::Unsupported(capability),
            format!("the {backend} backend does not promise `{capability}`"),
        )
    }

    /// The worker has to start again.
    pub fn worker_gone(worker: crate::WorkerId) -> Self {
        Self::new(
            BackendErrorKind::WorkerGone,
            format!("worker {worker} is unknown or its lease has expired"),
        )
    }

    /// The same error, of a call that may have taken effect.
    pub fn maybe_stored(mut self) -> Self {
        self.0.certainty = Certainty::MaybeStored;
        self
    }

    /// The same error with the remedy.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same error, of a cause that only a change of the configuration or of the store ends, such as a
    /// wrong password.
    pub fn lasting(mut self) -> Self {
        self.0.lasting = true;
        self
    }

    /// The same error with its cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What sort of error it is.
    pub fn kind(&self) -> BackendErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Whether its cause does not end by itself. A worker that runs repeats its calls all the same.
    pub fn is_lasting(&self) -> bool {
        self.0.lasting
    }

    /// Whether it may have taken effect.
    pub fn certainty(&self) -> Certainty {
        self.0.certainty
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

    pub(crate) fn into_fault(self) -> Fault<BackendErrorKind> {
        *self.0
    }
}

impl fmt::Debug for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("BackendError", f)
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display(f)
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
