//! A panic is an outcome.

use std::any::Any;

use gristmill_core::{Ending, Outcome, RunError, dispose};

use super::backtrace::with_backtrace;
use super::route::Attempted;
use crate::panics::panic_message;

/// What a panic comes to that this thread has just caught: a failure that is recorded as `panic`. What the
/// panic carried may itself panic when it is dropped.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Attempted {
    let error = RunError::new(format!("the handler panicked: {}", panic_message(&*panic)));
    let error = with_backtrace(error, &*panic);
    dispose(panic);
    Attempted { outcome: Outcome::Failed { error, after: None }, ending: Ending::Panic }
}
