//! Why a job is where its end put it.

/// Why the store itself decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its attempts are used up.
    Exhausted,
    /// It crashed [`DISCARD_AFTER_CRASHES`](crate::DISCARD_AFTER_CRASHES) times in a row.
    Poison,
    /// No worker that met it has a handler for its kind.
    NoHandler,
    /// A cancel was asked for while it ran.
    CancelRequested,
    /// It would come back, and the store has no number left for a further run.
    LastRun,
}

impl Reason {
    /// The stable words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Poison => "poison",
            Self::NoHandler => "no handler",
            Self::CancelRequested => "cancel requested",
            Self::LastRun => "no further run fits the store",
        }
    }
}

/// Which reason is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The one that the worker sent with its finish, if it sent one.
    Sent,
    /// The store's own, before any that the worker sent.
    Store(Reason),
}

impl Why {
    /// The reason to store, given the one that the worker sent.
    pub fn text(self, sent: Option<&str>) -> Option<&str> {
        match self {
            Self::Sent => sent,
            Self::Store(reason) => Some(reason.as_str()),
        }
    }
}
