//! The eight states, and the one table of legal moves.

use std::fmt;
use std::str::FromStr;

/// Where a job is in its life. Every match over it is exhaustive on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    /// Held until something else releases it.
    Suspended,
    /// Its next run lies in the future, for another reason than a failure.
    Scheduled,
    /// May be fetched now.
    Available,
    /// Leased to a worker.
    Running,
    /// An attempt failed; the next one is due at `run_at`.
    Retryable,
    /// Succeeded.
    Completed,
    /// Stopped on purpose.
    Cancelled,
    /// Will not be tried again: the dead-letter set.
    Discarded,
}

/// A text that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a state; the states are suspended, scheduled, available, running, retryable, completed, cancelled, discarded", .0.escape_debug())]
pub struct UnknownState(String);

impl JobState {
    /// All states, in the order of a job's life.
    pub const ALL: &'static [Self] = &[
        Self::Suspended,
        Self::Scheduled,
        Self::Available,
        Self::Running,
        Self::Retryable,
        Self::Completed,
        Self::Cancelled,
        Self::Discarded,
    ];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Scheduled => "scheduled",
            Self::Available => "available",
            Self::Running => "running",
            Self::Retryable => "retryable",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
        }
    }

    /// Its place in [`Self::ALL`], the number a store may keep; it never changes.
    pub const fn index(self) -> usize {
        match self {
            Self::Suspended => 0,
            Self::Scheduled => 1,
            Self::Available => 2,
            Self::Running => 3,
            Self::Retryable => 4,
            Self::Completed => 5,
            Self::Cancelled => 6,
            Self::Discarded => 7,
        }
    }

    /// The state with this number.
    pub const fn from_index(index: usize) -> Option<Self> {
        if index < Self::ALL.len() { Some(Self::ALL[index]) } else { None }
    }

    /// Whether the job has ended. Only an operator's retry leaves a terminal state.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Discarded)
    }

    /// Whether the job waits for a time or a release: it is not in the fetch path.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Suspended | Self::Scheduled | Self::Retryable)
    }

    /// The states a job in this state may move to next: the table of legal moves.
    pub const fn next(self) -> &'static [Self] {
        match self {
            // Release or promotion; a new time; cancel.
            Self::Suspended | Self::Scheduled | Self::Retryable => {
                &[Self::Available, Self::Scheduled, Self::Cancelled]
            }
            // Fetch; a new time; cancel.
            Self::Available => &[Self::Running, Self::Scheduled, Self::Cancelled],
            // Give back or first crash; snooze; failure; the three ends.
            Self::Running => &[
                Self::Available,
                Self::Scheduled,
                Self::Retryable,
                Self::Completed,
                Self::Cancelled,
                Self::Discarded,
            ],
            // Retry by hand.
            Self::Completed | Self::Cancelled | Self::Discarded => &[Self::Available],
        }
    }

    /// Whether the table allows the move.
    pub fn can_become(self, next: Self) -> bool {
        self.next().contains(&next)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .iter()
            .copied()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.chars().take(64).collect()))
    }
}

impl serde::Serialize for JobState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_retry_by_hand_leaves_a_terminal_state() {
        for state in JobState::ALL.iter().copied().filter(|state| state.is_terminal()) {
            assert_eq!(state.next(), [JobState::Available]);
        }
    }

    #[test]
    fn only_available_jobs_start_running() {
        for state in JobState::ALL.iter().copied() {
            assert_eq!(state.can_become(JobState::Running), state == JobState::Available, "{state}");
        }
    }

    #[test]
    fn names_and_numbers_are_read_back() {
        for state in JobState::ALL.iter().copied() {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(JobState::from_index(state.index()), Some(state));
        }
        assert!("pending".parse::<JobState>().is_err());
    }
}
