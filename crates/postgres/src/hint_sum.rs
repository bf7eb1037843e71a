//! Sums up the hints of an operation, to be sent once it is stored.

use gristmill_core::{JobId, JobState, Name, Timestamp};
use uuid::Uuid;

/// A place in the order in which a queue is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) priority: i16,
    pub(crate) run_at_ms: i64,
    pub(crate) id: Uuid,
}

/// Hints, summed up: of each queue and priority the first job that became available, of all instants the
/// earliest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HintSum {
    pub(crate) available: Vec<(i32, Position)>,
    /// Queues in which jobs were parked.
    pub(crate) parked: Vec<i32>,
    pub(crate) due: Option<Timestamp>,
    pub(crate) cancels: Vec<JobId>,
    pub(crate) changed: Vec<Name>,
    pub(crate) ended: Vec<JobId>,
}

impl HintSum {
    /// A job of the queue became available.
    pub(crate) fn available(&mut self, queue: i32, position: Position) {
        // Most operations concern one queue, and hardly one more than a few.
        let same =
            |(known, first): &&mut (i32, Position)| *known == queue && first.priority == position.priority;
        match self.available.iter_mut().find(same) {
            Some((_, first)) => *first = (*first).min(position),
            None => self.available.push((queue, position)),
        }
    }

    /// A job of the queue was parked: other workers may have a handler for it.
    pub(crate) fn parked(&mut self, queue: i32) {
        if !self.parked.contains(&queue) {
            self.parked.push(queue);
        }
    }

    /// A job was put to wait until then.
    pub(crate) fn due(&mut self, due: Timestamp) {
        self.due = Some(self.due.map_or(due, |earliest| earliest.min(due)));
    }

    /// A cancel was asked for while the job runs.
    pub(crate) fn cancel_requested(&mut self, id: JobId) {
        self.cancels.push(id);
    }

    /// The queue was paused or resumed.
    pub(crate) fn queue_changed(&mut self, queue: Name) {
        self.changed.push(queue);
    }

    /// The job ended. Only worth a word when [`wants_ends`](crate::handle::Inner::wants_ends).
    pub(crate) fn ended(&mut self, id: JobId) {
        self.ended.push(id);
    }

    /// A job came into a state. `position` is where it stands, with the instant it is due.
    pub(crate) fn moved(&mut self, state: JobState, queue: i32, position: Position) {
        match state {
            JobState::Available => self.available(queue, position),
            JobState::Scheduled | JobState::Retryable => {
                self.due(Timestamp::from_millis(position.run_at_ms));
            }
            JobState::Suspended
            | JobState::Running
            | JobState::Completed
            | JobState::Cancelled
            | JobState::Discarded => {}
        }
    }

    /// Adds the hints of another operation.
    pub(crate) fn merge(&mut self, other: Self) {
        for (queue, position) in other.available {
            self.available(queue, position);
        }
        other.parked.into_iter().for_each(|queue| self.parked(queue));
        if let Some(due) = other.due {
            self.due(due);
        }
        self.cancels.extend(other.cancels);
        self.changed.extend(other.changed);
        self.ended.extend(other.ended);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.available.is_empty()
            && self.parked.is_empty()
            && self.due.is_none()
            && self.cancels.is_empty()
            && self.changed.is_empty()
            && self.ended.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(run_at_ms: i64) -> Position {
        Position { priority: 0, run_at_ms, id: Uuid::from_u128(7) }
    }

    #[test]
    fn of_each_lane_the_first_job_is_told_and_the_earliest_instant() {
        let mut hints = HintSum::default();
        for (queue, run_at_ms) in [(1, 9), (2, 4), (1, 3), (2, 6)] {
            hints.available(queue, position(run_at_ms));
            hints.due(Timestamp::from_millis(run_at_ms));
        }
        let mut other = HintSum::default();
        other.available(1, position(2));
        let urgent = Position { priority: -1, ..position(8) };
        other.available(1, urgent);
        hints.merge(other);

        assert_eq!(hints.available, [(1, position(2)), (2, position(4)), (1, urgent)]);
        assert_eq!(hints.due, Some(Timestamp::from_millis(3)));
    }
}
