//! How long a terminal job stays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::JobState;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a job is kept after its end, by state. Zero deletes it in the act that ends it.
///
/// Nothing disappears but by its declared retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Retention {
    /// Default 24 h.
    pub completed: Duration,
    /// Default 7 d.
    pub cancelled: Duration,
    /// Default 30 d.
    pub discarded: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { completed: DAY, cancelled: 7 * DAY, discarded: 30 * DAY }
    }
}

impl Retention {
    /// The same retention for every end.
    pub const fn all(duration: Duration) -> Self {
        Self { completed: duration, cancelled: duration, discarded: duration }
    }

    /// Keeps completed jobs this long.
    pub const fn with_completed(mut self, duration: Duration) -> Self {
        self.completed = duration;
        self
    }

    /// How long a job that ended in `state` stays; `None` for a state that is no end.
    pub const fn of(&self, state: JobState) -> Option<Duration> {
        match state {
            JobState::Completed => Some(self.completed),
            JobState::Cancelled => Some(self.cancelled),
            JobState::Discarded => Some(self.discarded),
            JobState::Suspended
            | JobState::Scheduled
            | JobState::Available
            | JobState::Running
            | JobState::Retryable => None,
        }
    }
}
