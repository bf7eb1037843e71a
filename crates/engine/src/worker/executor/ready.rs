//! A job that has not started.

use std::time::Duration;

use gristmill_core::{Decision, Ending, FetchedJob, FinishItem};

use crate::run_result::RunResult;

/// A fetched job that has not started, and the lane whose slot it holds.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) lane: usize,
    pub(crate) job: FetchedJob,
}

impl RunResult {
    /// A job that was not started.
    pub(crate) fn not_started(ready: Ready) -> Self {
        Self::unrun(ready, Decision::GiveBackAfter(Duration::ZERO), Ending::Released)
    }

    /// A job of a kind that this worker has no handler for. The store leases none of these, except where a
    /// claim cannot be changed at that moment; given back, the job is parked.
    pub(crate) fn no_handler(ready: Ready) -> Self {
        Self::unrun(ready, Decision::GiveBackAfter(Duration::ZERO), Ending::UnknownKind)
    }

    fn unrun(Ready { lane, job }: Ready, decision: Decision, ending: Ending) -> Self {
        let item = FinishItem::new(job.lease, decision, ending);
        Self::new(lane, item, job.spec, job.attempt)
    }
}
