//! What the two errors hold: a kind, what happened, what to do about it, and why.

use std::error::Error;
use std::fmt;

use crate::Certainty;

/// The inside of an error whose kind is a `K`; boxed, so that a `Result` stays small.
pub(crate) struct Fault<K> {
    pub(crate) kind: K,
    pub(crate) certainty: Certainty,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

impl<K: fmt::Debug> Fault<K> {
    /// A fault that certainly changed nothing.
    pub(crate) fn new(kind: K, message: impl Into<String>) -> Self {
        let (certainty, message) = (Certainty::NotStored, message.into());
        Self { kind, certainty, message, hint: None, source: None }
    }

    /// The same fault, of another kind.
    pub(crate) fn of_kind<L>(self, kind: impl FnOnce(K) -> L) -> Fault<L> {
        let Self { kind: was, certainty, message, hint, source } = self;
        Fault { kind: kind(was), certainty, message, hint, source }
    }

    pub(crate) fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }

    /// Shows it under the name of the error it is the inside of.
    pub(crate) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("kind", &self.kind)
            .field("certainty", &self.certainty)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
