//! What a fetch takes, and what it leaves to the next one.

use std::sync::Arc;

use gristmill_core::JobSpec;
use gristmill_sql::ArgsBlocks;

use crate::claim::Member;

/// What one fetch has taken so far: each job's spec, and its member of the claim.
pub(crate) struct Batch {
    pub(crate) jobs: Vec<Arc<JobSpec>>,
    pub(crate) members: Vec<Member>,
    /// The places of those that do not decode, in ascending order, and what of each.
    pub(crate) bad: Vec<(usize, String)>,
    /// How many jobs the present want has been given.
    pub(crate) given: usize,
}

/// What a fetch leaves to the next one.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    pub(crate) args: ArgsBlocks,
    /// How many jobs the latest batch had: mostly the next one has as many.
    pub(crate) latest: usize,
}

impl Batches {
    pub(crate) fn begin(&self) -> Batch {
        let room = self.latest;
        Batch { jobs: Vec::with_capacity(room), members: Vec::with_capacity(room), bad: Vec::new(), given: 0 }
    }
}
