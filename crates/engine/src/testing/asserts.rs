//! Assertions about what was enqueued.

use std::fmt::Write as _;

use gristmill_core::{Args, Job, JobFilter, JobRecord, ListRequest, Name};
use serde_json::Value;

use super::TestQueue;

impl TestQueue {
    /// Every job of a kind that the store holds, oldest first; at most 1,000.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn jobs_of<J: Job>(&self) -> Result<Vec<JobRecord>, gristmill_core::Error> {
        let filter = JobFilter::new().kind(Name::new(J::KIND)?);
        let request = ListRequest::new(filter).limit(ListRequest::MAX_LIMIT);
        let mut jobs = self.client().list(request).await?.items;
        jobs.reverse();
        Ok(jobs)
    }

    /// Whether a job of this kind with these args is in the store, in whatever state; if not, what is there in its
    /// place. For [`assert_enqueued!`](crate::assert_enqueued) and [`refute_enqueued!`](crate::refute_enqueued).
    ///
    /// # Cancel safety
    /// Changes nothing.
    #[doc(hidden)]
    pub async fn find_enqueued<J: Job>(&self, job: &J) -> Result<(), String> {
        let wanted = Args::encode(job).map_err(|error| error.to_string())?;
        let value = |args: &Args| args.decode::<Value>().unwrap_or_default();
        let jobs = self.jobs_of::<J>().await.map_err(|error| error.to_string())?;
        if jobs.iter().any(|stored| value(&stored.spec.args) == value(&wanted)) {
            return Ok(());
        }
        let mut message = format!("no job `{}` with args {} is enqueued", J::KIND, value(&wanted));
        for stored in jobs.iter().take(10) {
            // Writing to a `String` cannot fail.
            let _ = write!(message, "\n  there is: {} ({})", value(&stored.spec.args), stored.state);
        }
        Err(message)
    }
}

/// Asserts that a job with these args was enqueued, in whatever state it is now. Awaits: for async tests.
///
/// ```text
/// assert_enqueued!(queue, Welcome { user_id: 7 });
/// ```
#[macro_export]
macro_rules! assert_enqueued {
    ($queue:expr, $job:expr $(,)?) => {
        if let ::core::result::Result::Err(message) = $queue.find_enqueued(&$job).await {
            ::core::panic!("{message}");
        }
    };
}

/// Asserts that no job with these args was enqueued. Awaits: for async tests.
///
/// ```text
/// refute_enqueued!(queue, Welcome { user_id: 7 });
/// ```
#[macro_export]
macro_rules! refute_enqueued {
    ($queue:expr, $job:expr $(,)?) => {
        if $queue.find_enqueued(&$job).await.is_ok() {
            ::core::panic!("a job that must not be enqueued is: {}", ::core::stringify!($job));
        }
    };
}
