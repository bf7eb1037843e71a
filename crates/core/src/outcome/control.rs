//! Control flow a handler's error carries.
//!
//! The marker hangs in the error's `source()` chain, so it survives anyhow, thiserror enums, `Box<dyn Error>`
//! and whatever else wraps an error and keeps its source.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::{Outcome, RunError};

/// An error that says what shall become of the job. Returned directly, or wrapped in any other error.
///
/// ```
/// use gristmill_core::{JobError, Outcome, classify};
///
/// let wrapped = std::io::Error::other(JobError::cancel("no such user"));
/// assert!(matches!(classify(&wrapped), Outcome::Cancelled { .. }));
/// ```
#[derive(Debug)]
pub struct JobError {
    message: String,
    marker: Marker,
}

#[derive(Debug, Clone, Copy)]
enum Marker {
    RetryAfter(Duration),
    Snooze(Duration),
    Cancel,
    Discard,
}

impl JobError {
    fn new(marker: Marker, message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), marker }
    }

    /// The attempt failed; the next one comes after `delay` instead of the policy's.
    pub fn retry_after(delay: Duration, message: impl fmt::Display) -> Self {
        Self::new(Marker::RetryAfter(delay), message)
    }

    /// Run again after `delay`; costs no attempt.
    pub fn snooze(delay: Duration) -> Self {
        Self::new(Marker::Snooze(delay), "snoozed")
    }

    /// Stop on purpose: the job ends `cancelled`.
    pub fn cancel(message: impl fmt::Display) -> Self {
        Self::new(Marker::Cancel, message)
    }

    /// Give up: the job ends `discarded`, whatever attempts are left.
    pub fn discard(message: impl fmt::Display) -> Self {
        Self::new(Marker::Discard, message)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for JobError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.marker)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RetryAfter(delay) => write!(f, "retry after {delay:?}"),
            Self::Snooze(delay) => write!(f, "snooze for {delay:?}"),
            Self::Cancel => f.write_str("cancel the job"),
            Self::Discard => f.write_str("discard the job"),
        }
    }
}

impl StdError for Marker {}

/// Says on any `Result` what an error shall mean for the job.
///
/// ```
/// use gristmill_core::{JobError, ResultExt};
/// fn parse(text: &str) -> Result<u32, JobError> {
///     text.parse().or_discard()
/// }
/// assert!(parse("x").is_err());
/// ```
pub trait ResultExt<T> {
    /// An error cancels the job.
    ///
    /// # Errors
    /// The same error, marked.
    fn or_cancel(self) -> Result<T, JobError>;
    /// An error discards the job.
    ///
    /// # Errors
    /// The same error, marked.
    fn or_discard(self) -> Result<T, JobError>;
    /// An error fails the attempt; the next one comes after `delay`.
    ///
    /// # Errors
    /// The same error, marked.
    fn or_retry_after(self, delay: Duration) -> Result<T, JobError>;
}

impl<T, E: fmt::Display> ResultExt<T> for Result<T, E> {
    fn or_cancel(self) -> Result<T, JobError> {
        self.map_err(JobError::cancel)
    }

    fn or_discard(self) -> Result<T, JobError> {
        self.map_err(JobError::discard)
    }

    fn or_retry_after(self, delay: Duration) -> Result<T, JobError> {
        self.map_err(|error| JobError::retry_after(delay, error))
    }
}

/// The outcome an error stands for: what a [`JobError`] anywhere in its chain says, else a plain failure. The
/// message is the whole chain, each part once.
pub fn classify(error: &(dyn StdError + 'static)) -> Outcome {
    let mut message = error.to_string();
    let mut next = Some(error);
    while let Some(part) = next {
        if let Some(marker) = part.downcast_ref::<Marker>() {
            return marked(*marker, message);
        }
        // A wrapper such as `std::io::Error` shows its inner error's text and hands out that one's source.
        next = part.source().or_else(|| inner_of_io(part));
        if let Some(source) = next.filter(|source| !source.is::<Marker>()) {
            let text = source.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
        }
    }
    Outcome::Failed { error: RunError::new(message), after: None }
}

fn inner_of_io<'a>(part: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let inner = part.downcast_ref::<std::io::Error>()?.get_ref()?;
    Some(inner)
}

fn marked(marker: Marker, message: String) -> Outcome {
    match marker {
        Marker::RetryAfter(delay) => Outcome::Failed { error: RunError::new(message), after: Some(delay) },
        Marker::Snooze(after) => Outcome::Snoozed { after },
        Marker::Cancel => Outcome::Cancelled { reason: message },
        Marker::Discard => Outcome::Discarded { reason: message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Wrapped {
        #[error("upstream")]
        Upstream(#[from] JobError),
    }

    #[test]
    fn control_survives_wrapping() {
        let error = Wrapped::from(JobError::retry_after(Duration::from_secs(5), "429"));
        let Outcome::Failed { error, after } = classify(&error) else { panic!("it is a failure") };
        assert_eq!((error.message.as_str(), after), ("upstream: 429", Some(Duration::from_secs(5))));
    }

    /// One source design took any wrapped cancellation for its own shutdown and retried at once for ever.
    #[test]
    fn a_foreign_error_is_a_plain_failure() {
        let error = std::io::Error::other("operation was cancelled");
        assert!(matches!(classify(&error), Outcome::Failed { after: None, .. }));
    }
}
