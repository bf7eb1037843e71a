//! What follows when a run or a job ends: the pure decision every backend applies.
//!
//! ```text
//!  finish ─────────── End::of_finish ────┐
//!  renew, retire ──── End::of_give_back ─┤
//!  rescue ─────────── End::of_crash ─────┼──▶ End ──▶ taken apart by each store, without `..`
//!  cancel, delete ─── operate ───────────┤
//!  prune ──────────── End::of_expiry ────┘
//! ```

mod by;
mod job;
mod reason;
mod run;

use crate::{Ending, JobState, Retention, Timestamp, Verb};

pub use by::EndedBy;
pub use reason::{Reason, Why};
pub use run::{DISCARD_AFTER_CRASHES, RunFacts};

/// All that follows when a run or a job ends: one value for every way to end.
///
/// A backend takes it apart by a `let End { … } = end` that names each member, never with `..`. A consequence
/// that is added here then does not compile until each store applies it.
///
/// It owns nothing: texts and outputs stay where they are, so that a store borrows or moves them as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// How the run that ends is recorded; `None` for a job that is not running.
    pub run: Option<RunEnd>,
    /// The state the job is in from now on; of a job that is removed as it is, its last one.
    pub state: JobState,
    /// Whether the job stays, and until when.
    pub stay: Stay,
    /// Attempts spent from now on.
    pub attempt: u16,
    /// Crashes in a row from now on.
    pub crashes: u16,
    /// Why, for the run's record and the job.
    pub reason: Why,
    /// The output that the worker sent is stored with the run. Where it is not set, there is none.
    pub keeps_output: bool,
    /// The unique key of the job is free.
    pub frees_key: bool,
    /// The event that is left with the job.
    pub event: Option<Verb>,
    /// Listeners that watch ends get [`Hint::Ended`](crate::Hint::Ended).
    pub hints_end: bool,
}

/// How a run that ends is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEnd {
    /// What the timeline shows.
    pub ending: Ending,
    /// Who ended it, which decides the answer to a later finish of it.
    pub by: EndedBy,
}

/// Whether a job stays, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// Its run ended, and it comes back: it is due then, in the place of its state.
    Due(Timestamp),
    /// It is parked: due at no time, it waits at its place in the line for a worker that has a handler for
    /// its kind.
    Parked,
    /// It has ended and keeps the time it was last due. A prune removes it when its retention passes.
    Kept {
        /// When that is.
        until: Timestamp,
    },
    /// It is removed in the same act, with all that is kept of it.
    Erased,
}

impl Stay {
    /// The stay of a job that ends now in a terminal state.
    fn after(state: JobState, retention: Option<&Retention>, now: Timestamp) -> Self {
        let kept = retention.copied().unwrap_or_default().of(state).unwrap_or_default();
        if kept.is_zero() { Self::Erased } else { Self::Kept { until: now + kept } }
    }
}
