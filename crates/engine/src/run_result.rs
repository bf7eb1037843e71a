//! What a run came to, on its way to the store; core has not decided its end yet.

use std::sync::Arc;

use gristmill_core::{Decision, Ending, FinishItem, JobSpec};

/// What a run came to, with what its log line and its event need.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) lane: usize,
    pub(crate) item: FinishItem,
    pub(crate) spec: Arc<JobSpec>,
    pub(crate) attempt: u16,
    /// How much of it is left to be stored.
    pub(crate) kept: Kept,
    /// How often it failed alone.
    pub(crate) tries: u32,
}

/// How much of a result is left to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kept {
    /// What the attempt came to, in full.
    #[default]
    All,
    ShortWords,
    NoOutput,
    NoWords,
    NoEffects,
    /// The least: nothing is left to leave out.
    Least,
}

impl RunResult {
    /// Creates the result of a run; nothing of it is left out yet.
    pub(crate) fn new(lane: usize, item: FinishItem, spec: Arc<JobSpec>, attempt: u16) -> Self {
        Self { lane, item, spec, attempt, kept: Kept::All, tries: 0 }
    }

    /// Whether it only gives the lease back.
    pub(crate) fn is_give_back(&self) -> bool {
        matches!(self.item.decision, Decision::GiveBackAfter(_)) && self.item.ending == Ending::Released
    }
}
