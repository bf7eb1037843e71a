//! What is wrong with a job.

use std::time::Duration;

use super::args::MAX_ARGS_BYTES_HARD;
use super::spec::{JobSpec, MAX_TAGS};
use crate::{JobPatch, Metadata, RetryPolicy};

/// Stores count in milliseconds.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

/// Everything that is wrong with a job, at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job is not valid: {}", .0.join("; "))]
pub struct InvalidJob(Vec<String>);

impl InvalidJob {
    /// One line a fault.
    pub fn faults(&self) -> &[String] {
        &self.0
    }

    /// A job with one fault.
    pub fn new(fault: impl Into<String>) -> Self {
        Self(vec![fault.into()])
    }
}

impl JobSpec {
    /// Checks what [`JobOptions::prepare`](crate::JobOptions::prepare) checks and the types alone do not
    /// hold: for specs that were made otherwise.
    ///
    /// ```
    /// use gristmill_core::{Args, JobSpec, Name};
    ///
    /// let mut spec = JobSpec::new(Name::new("email.welcome")?, Name::new("mail")?, Args::from_stored("{"));
    /// spec.timeout = Some(std::time::Duration::ZERO);
    /// assert_eq!(spec.check().unwrap_err().faults().len(), 2);
    /// # Ok::<(), gristmill_core::InvalidName>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidJob`] lists every fault.
    pub fn check(&self) -> Result<(), InvalidJob> {
        let mut faults = Faults::default();
        faults.of_options(self.tags.len(), self.timeout, self.retry.as_deref(), &self.metadata);
        faults.take("args", self.args.check(MAX_ARGS_BYTES_HARD));
        if faults.is_empty() { Ok(()) } else { Err(faults.into()) }
    }
}

impl JobPatch {
    /// Checks what the types alone do not hold: that new args are JSON that each store can keep. The outbox
    /// checks a patch before it is sent.
    ///
    /// # Errors
    /// [`InvalidJob`] lists every fault.
    pub fn check(&self) -> Result<(), InvalidJob> {
        let mut faults = Faults::default();
        if let Some(args) = &self.args {
            faults.take("args", args.check(MAX_ARGS_BYTES_HARD));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.into()) }
    }
}

/// Faults as they are found.
#[derive(Default)]
pub(super) struct Faults(Vec<String>);

impl From<Faults> for InvalidJob {
    fn from(faults: Faults) -> Self {
        Self(faults.0)
    }
}

impl Faults {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take<T, E: std::fmt::Display>(&mut self, what: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{what}: {error}"))).ok()
    }

    /// A fault that names what it is about.
    pub(super) fn take_whole<T, E: std::fmt::Display>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(error.to_string())).ok()
    }

    pub(super) fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }

    pub(super) fn of_options(
        &mut self,
        tags: usize,
        timeout: Option<Duration>,
        retry: Option<&RetryPolicy>,
        metadata: &Metadata,
    ) {
        self.check(tags <= MAX_TAGS, || format!("{tags} tags are more than {MAX_TAGS}"));
        self.check(timeout.is_none_or(|timeout| timeout >= SHORTEST_TIMEOUT), || {
            format!("timeout is {:?}; the smallest is {SHORTEST_TIMEOUT:?}", timeout.unwrap_or_default())
        });
        if let Some(fault) = retry.and_then(RetryPolicy::fault) {
            self.0.push(format!("retry: {fault}"));
        }
        self.take_whole(metadata.check());
    }
}
