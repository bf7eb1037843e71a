//! Lists of jobs as a transaction sees them.

use gristmill_core::{JobState, Name};

use crate::job::OutboxJob;

/// The most jobs of one list.
const MOST: usize = 100;

/// Which jobs a list shows: the newest ones, of all queues, kinds and states unless one is set.
///
/// ```
/// use gristmill_core::{JobState, Name};
/// use gristmill_outbox::OutboxFilter;
///
/// let filter = OutboxFilter::new().queue(Name::new("mail")?).state(JobState::Available).limit(10);
/// # let _ = filter;
/// # Ok::<(), gristmill_core::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxFilter {
    /// Only jobs of this queue.
    pub queue: Option<Name>,
    /// Only jobs of this kind.
    pub kind: Option<Name>,
    /// Only jobs in this state.
    pub state: Option<JobState>,
    /// At most this many jobs, from 1 to 100; 100 by default. Other numbers count as the nearest of these.
    pub limit: usize,
}

impl Default for OutboxFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl OutboxFilter {
    /// Creates a filter for the newest 100 jobs.
    pub fn new() -> Self {
        Self { queue: None, kind: None, state: None, limit: MOST }
    }

    /// Only jobs of this queue.
    #[must_use]
    pub fn queue(mut self, queue: Name) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Only jobs of this kind.
    #[must_use]
    pub fn kind(mut self, kind: Name) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Only jobs in this state.
    #[must_use]
    pub fn state(mut self, state: JobState) -> Self {
        self.state = Some(state);
        self
    }

    /// At most this many jobs, from 1 to 100.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn most(&self) -> usize {
        self.limit.clamp(1, MOST)
    }
}

/// Jobs as a transaction sees them, the newest first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutboxPage {
    /// The jobs that match.
    pub jobs: Vec<OutboxJob>,
    /// Further jobs match among the newest 10,000 of the store. Older jobs are not looked at.
    pub more: bool,
}
