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
//! order. One that keeps failing for a reason of its own is set aside.

use std::collections::{BTreeMap, HashSet};

use gristmill_core::{JobId, Timestamp};
use gristmill_sql::{FailedRequest, REQUEST_PAUSE, RequestFailures, StoredRequest};

#[derive(Debug, Default)]
pub(crate) struct RequestPass {
    /// Number of the last request that was looked at.
    behind: i64,
    /// Jobs of which a request failed in this pass.
    left: HashSet<JobId>,
    /// When those are tried again. A commit of another process does not wake them before: two processes whose
    /// rounds fail would wake each other without end.
    retry: Option<Timestamp>,
    /// Requests that fail, by number.
    failures: BTreeMap<i64, RequestFailures>,
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

    /// These are the next requests, and others follow if `is_full`.
    pub(crate) fn begin_round(&mut self, rows: &[StoredRequest], is_full: bool) {
        let last = rows.last().filter(|_| is_full).map_or(i64::MAX, |row| row.request);
        let behind = self.behind;
        let is_there = |request| rows.binary_search_by_key(&request, |row| row.request).is_ok();
        self.failures.retain(|request, _| *request <= behind || *request > last || is_there(*request));
    }

    pub(crate) fn end_round(&mut self, rows: &[StoredRequest], is_full: bool, now: Timestamp) {
        self.retry = (!self.left.is_empty()).then(|| now + REQUEST_PAUSE);
        match rows.last().filter(|_| is_full) {
            Some(last) => self.behind = last.request,
            None => self.begin_again(),
        }
    }

    /// A request has failed alone. Unless it is to be set aside, its job is left.
    pub(crate) fn fail(&mut self, row: &StoredRequest, is_its_own: bool, now: Timestamp) -> FailedRequest {
        let failed = if is_its_own {
            self.failures.entry(row.request).or_insert_with(|| RequestFailures::new(now)).note(now)
        } else {
            FailedRequest::First
        };
        if matches!(failed, FailedRequest::ForLong(_)) {
            return failed;
        }
        self.left.insert(row.id);
        failed
    }
}
