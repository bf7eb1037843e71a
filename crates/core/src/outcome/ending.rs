//! What is stored of a run, finer than its outcome.

use std::fmt;
use std::str::FromStr;

/// How a run ended, as its timeline shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The handler succeeded.
    Completed,
    /// The handler returned an error.
    Failed,
    /// The attempt outlived its timeout.
    Timeout,
    /// The handler panicked.
    Panic,
    /// The args did not decode.
    Undecodable,
    /// The handler asked to run later.
    Snoozed,
    /// The job was cancelled, by its handler or by an operator.
    Cancelled,
    /// The handler gave the job up.
    Discarded,
    /// The lease was given back unrun or at shutdown.
    Released,
    /// A limit or a breaker deferred the job.
    Limited,
    /// The worker has no handler for the kind.
    UnknownKind,
    /// The lease expired.
    Crashed,
}

impl Ending {
    /// All endings; the place of each is the number a store may keep, and never changes.
    pub const ALL: &'static [Self] = &[
        Self::Completed,
        Self::Failed,
        Self::Timeout,
        Self::Panic,
        Self::Undecodable,
        Self::Snoozed,
        Self::Cancelled,
        Self::Discarded,
        Self::Released,
        Self::Limited,
        Self::UnknownKind,
        Self::Crashed,
    ];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
            Self::Undecodable => "undecodable",
            Self::Snoozed => "snoozed",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
            Self::Released => "released",
            Self::Limited => "limited",
            Self::UnknownKind => "unknown_kind",
            Self::Crashed => "crashed",
        }
    }

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|ending| *ending == self).expect("every ending is in the list")
    }

    /// The ending with this number.
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Ending {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|ending| ending.as_str() == text);
        found.ok_or_else(|| crate::Error::invalid(format!("`{}` is not an ending", text.escape_debug())))
    }
}
