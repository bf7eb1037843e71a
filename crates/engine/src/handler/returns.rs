//! What a handler may return.

use std::any::TypeId;

use gristmill_core::{Outcome, Output, classify, dispose};
use serde::Serialize;

use super::BoxError;
use super::route::Attempted;

/// What a handler of a job with the output `Out` may return: nothing, a `Result` with any error, an
/// [`Outcome`], or an [`Attempted`] that also says how the run is recorded.
///
/// An error that is, or wraps, a [`JobError`](gristmill_core::JobError) says what becomes of the job; any
/// other one is a failure, tried again while attempts are left.
#[diagnostic::on_unimplemented(
    message = "a job handler cannot return `{Self}` for a job whose output is `{Out}`",
    label = "unsupported return type",
    note = "return `Result<{Out}, E>` where `E` is any error (anyhow, eyre, `Box<dyn Error + Send + Sync>`, thiserror enums, `JobError`), or `Outcome`, or `()` where the output is `()`"
)]
pub trait IntoOutcome<Out> {
    /// What the attempt came to.
    fn into_outcome(self) -> Attempted;
}

/// Stands for the output of a raw handler, which is whatever it returns.
#[derive(Debug, Clone, Copy)]
pub struct AnyOutput;

impl IntoOutcome<()> for () {
    fn into_outcome(self) -> Attempted {
        Outcome::Completed { output: None }.into()
    }
}

impl IntoOutcome<AnyOutput> for () {
    fn into_outcome(self) -> Attempted {
        Outcome::Completed { output: None }.into()
    }
}

impl<Out> IntoOutcome<Out> for Outcome {
    fn into_outcome(self) -> Attempted {
        self.into()
    }
}

impl<Out> IntoOutcome<Out> for Attempted {
    fn into_outcome(self) -> Attempted {
        self
    }
}

impl<T: Serialize + 'static, E: Into<BoxError>> IntoOutcome<T> for Result<T, E> {
    fn into_outcome(self) -> Attempted {
        from_result(self)
    }
}

impl<T: Serialize + 'static, E: Into<BoxError>> IntoOutcome<AnyOutput> for Result<T, E> {
    fn into_outcome(self) -> Attempted {
        from_result(self)
    }
}

fn from_result<T: Serialize + 'static, E: Into<BoxError>>(result: Result<T, E>) -> Attempted {
    match result {
        // Most jobs return nothing: no `null` is written for them.
        Ok(_) if TypeId::of::<T>() == TypeId::of::<()>() => Outcome::Completed { output: None }.into(),
        Ok(value) => {
            let output = Some(Output::encode(&value));
            dispose(value);
            Outcome::Completed { output }.into()
        }
        Err(error) => {
            let error = error.into();
            let attempted = failed(&*error);
            // What the error says stands, whatever its destructor does.
            dispose(error);
            attempted
        }
    }
}

/// What an error comes to.
pub(crate) fn failed(error: &(dyn std::error::Error + 'static)) -> Attempted {
    classify(error).into()
}
