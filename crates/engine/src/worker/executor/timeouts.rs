//! How long attempts may take.

use std::time::Duration;

use gristmill_core::JobSpec;

use crate::worker::options::WorkerOptions;

/// After a timeout a cooperative handler gets a tenth of it more to come to its end, at most this.
const LONGEST_COOPERATION: Duration = Duration::from_secs(1);

/// The timeouts of a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    by_default: Option<Duration>,
    cancel_grace: Option<Duration>,
}

impl Timeouts {
    pub(crate) fn new(options: &WorkerOptions) -> Self {
        Self { by_default: options.timeout, cancel_grace: options.cancel_grace }
    }

    /// The timeout of an attempt of this job.
    pub(crate) fn of(&self, job: &JobSpec) -> Option<Duration> {
        job.timeout.or(self.by_default)
    }

    /// How long an async handler may go on after a timeout of this length.
    pub(crate) fn cooperation(&self, timeout: Duration) -> Duration {
        self.cancel_grace.unwrap_or((timeout / 10).min(LONGEST_COOPERATION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_timeout_a_handler_has_a_tenth_of_it_and_a_second_at_most() {
        let mut options = WorkerOptions::default();
        let cooperation = |options: &WorkerOptions, seconds| {
            Timeouts::new(options).cooperation(Duration::from_secs(seconds))
        };
        assert_eq!(cooperation(&options, 2), Duration::from_millis(200));
        assert_eq!(cooperation(&options, 60), Duration::from_secs(1));
        options.cancel_grace = Some(Duration::from_secs(3));
        assert_eq!(cooperation(&options, 2), Duration::from_secs(3));
    }
}
