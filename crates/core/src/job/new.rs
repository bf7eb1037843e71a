//! A job on its way into a store.

use std::time::Duration;

use crate::{JobId, JobSpec, JobState, Timestamp};

/// When a job may run. Durations are added to the store's own clock. Exhaustive on purpose: a backend that
/// does not know one would hold the job for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// At once.
    #[default]
    Now,
    /// This long after it is stored.
    After(Duration),
    /// Not before this instant of the store's clock; the past means at once.
    At(Timestamp),
    /// Not before something releases it.
    Suspended,
}

impl When {
    /// The state and due time of a job stored at `now`.
    pub fn resolve(self, now: Timestamp) -> (JobState, Timestamp) {
        let due = match self {
            Self::Now => now,
            Self::After(delay) => now + delay,
            Self::At(at) => at,
            Self::Suspended => return (JobState::Suspended, now),
        };
        if due > now { (JobState::Scheduled, due) } else { (JobState::Available, due) }
    }
}

/// A job on its way into a store. Its id is minted by the producer, so that a repeat after a lost reply is
/// recognised.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NewJob {
    /// Its id; see [`IdSource`](crate::IdSource).
    pub id: JobId,
    /// When it may run.
    pub when: When,
    /// What it is.
    pub spec: JobSpec,
}

impl NewJob {
    /// A job that may run at once.
    pub fn new(id: JobId, spec: JobSpec) -> Self {
        Self { id, when: When::Now, spec }
    }

    /// The same job at another time.
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }
}
