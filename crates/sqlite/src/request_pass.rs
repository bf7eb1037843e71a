//! How far this process has come in its pass over the stored requests.
//!
//! ```text
//!  requests, by number      behind
//! ─────────┬───────────────────┬──────────────────────────────▶
//!          left: a row of      next rows, at most 100 a round; after the last one, from the start
//!          their job failed
//! ```
//!
//! A request that fails is tried again in the next pass, and so are later ones of its job, which keep their
//! order.

use std::collections::HashSet;

use gristmill_core::{JobId, Timestamp};
use gristmill_sql::{REQUEST_PAUSE, StoredRequest};

#[derive(Debug, Default)]
pub(crate) struct RequestPass {
    /// Number of the last request that was looked at.
    behind: i64,
    /// Jobs of which a request failed in this pass.
    left: HashSet<JobId>,
    /// When those are tried again. A commit of another process does not wake them before: two processes whose
    /// rounds fail would wake each other without end.
    retry: Option<Timestamp>,
}

impl RequestPass {
    pub(crate) fn behind(&self) -> i64 {
        self.behind
    }

    pub(crate) fn retry(&self) -> Option<Timestamp> {
        self.retry
    }

    pub(crate) fn begin_again(&mut self) {
        self.behind = 0;
        self.left.clear();
    }

    /// Whether the requests of a job wait for the next pass.
    pub(crate) fn is_left(&self, job: JobId) -> bool {
        self.left.contains(&job)
    }

    pub(crate) fn end_round(&mut self, rows: &[StoredRequest], is_full: bool, now: Timestamp) {
        self.retry = (!self.left.is_empty()).then(|| now + REQUEST_PAUSE);
        match rows.last().filter(|_| is_full) {
            Some(last) => self.behind = last.request,
            None => self.begin_again(),
        }
    }

    /// A request has failed alone: later ones of its job wait behind it.
    pub(crate) fn fail(&mut self, row: &StoredRequest) {
        self.left.insert(row.id);
    }
}
