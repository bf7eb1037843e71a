//! A handler as a type of its own.

use std::future::Future;

use gristmill_core::Job;

use super::BoxError;
use crate::JobContext;

/// A handler that is a type with members of its own instead of a function with extractors.
///
/// ```
/// use gristmill_core::{Job, JobError};
/// use gristmill_engine::{Handler, JobContext};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Resize { width: u32 }
/// # impl Job for Resize { const KIND: &'static str = "resize"; type Output = (); }
///
/// struct Resizer { largest: u32 }
///
/// impl Handler for Resizer {
///     type Job = Resize;
///     type Error = JobError;
///
///     async fn handle(&self, job: Resize, _: JobContext) -> Result<(), JobError> {
///         if job.width > self.largest { Err(JobError::cancel("too wide")) } else { Ok(()) }
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// What it runs.
    type Job: Job;
    /// Its error: anything that boxes.
    type Error: Into<BoxError>;

    /// Runs one attempt.
    fn handle(
        &self,
        job: Self::Job,
        context: JobContext,
    ) -> impl Future<Output = Result<<Self::Job as Job>::Output, Self::Error>> + Send;
}
