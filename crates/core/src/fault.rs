//! What the two errors hold: a kind, what happened, what to do about it, and why.

use std::error::Error;
use std::fmt;

use crate::{Certainty, contain};

/// The inside of an error whose kind is a `K`; boxed, so that a `Result` stays small.
pub(crate) struct Fault<K> {
    pub(crate) kind: K,
    pub(crate) certainty: Certainty,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Waiting does not cure it.
    pub(crate) lasting: bool,
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

impl<K: fmt::Debug> Fault<K> {
    /// A fault that certainly changed nothing.
    pub(crate) fn new(kind: K, message: impl Into<String>) -> Self {
        let (certainty, message) = (Certainty::NotStored, message.into());
        Self { kind, certainty, message, hint: None, lasting: false, source: None }
    }

    /// The same fault, of another kind.
    pub(crate) fn of_kind<L>(self, kind: impl FnOnce(K) -> L) -> Fault<L> {
        let Self { kind: was, certainty, message, hint, lasting, source } = self;
        Fault { kind: kind(was), certainty, message, hint, lasting, source }
    }

    pub(crate) fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }

    /// The message, in the alternate form (`{:#}`) with its sources, and the remedy where one is known.
    pub(crate) fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            f.write_str(&self.chain())?;
        } else {
            f.write_str(&self.message)?;
        }
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }

    /// The message and its sources, joined by `: `, each once. A source that cannot be written is left out.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.source();
        while let Some(source) = next {
            if let Some(words) = contain(|| source.to_string())
                && !text.contains(&words)
            {
                text.push_str(": ");
                text.push_str(&words);
            }
            next = contain(|| source.source()).flatten();
        }
        text
    }

    /// Shows it under the name of the error it is the inside of.
    pub(crate) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("kind", &self.kind)
            .field("certainty", &self.certainty)
            .field("message", &self.message)
            .field("hint", &self.hint)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
