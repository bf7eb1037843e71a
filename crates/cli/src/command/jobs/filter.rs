//! Which jobs are meant: the flags every subcommand of `jobs` shares.

use clap::Args;
use gristmill::{JobFilter, JobState, Name, Timestamp, WorkerId};

/// Flags that are given must all hold; of one flag given several times any value does.
#[derive(Debug, Clone, Args)]
pub(super) struct Filter {
    /// Jobs in this state
    #[arg(long, help_heading = "Filter", value_name = "STATE")]
    state: Vec<JobState>,
    /// Jobs of this queue
    #[arg(long, help_heading = "Filter", value_name = "NAME")]
    queue: Vec<Name>,
    /// Jobs of this kind
    #[arg(long, help_heading = "Filter", value_name = "KIND")]
    kind: Vec<Name>,
    /// Jobs with this tag
    #[arg(long, help_heading = "Filter", value_name = "TAG")]
    tag: Vec<Name>,
    /// Jobs that this worker ran last
    #[arg(long, help_heading = "Filter", value_name = "ID")]
    worker: Option<WorkerId>,
    /// Jobs stored at or after this time, as in 2026-11-22T10:00:00Z
    #[arg(long, help_heading = "Filter", value_name = "TIME")]
    created_from: Option<Timestamp>,
    /// Jobs stored before this time
    #[arg(long, help_heading = "Filter", value_name = "TIME")]
    created_before: Option<Timestamp>,
}

impl Filter {
    /// The filter as the store takes it.
    pub(super) fn into_filter(self) -> JobFilter {
        let mut filter = JobFilter::new();
        filter.states = self.state;
        filter.queues = self.queue;
        filter.kinds = self.kind;
        filter.tags = self.tag;
        filter.worker = self.worker;
        filter.created_from = self.created_from;
        filter.created_before = self.created_before;
        filter
    }
}
