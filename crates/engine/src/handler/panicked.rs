//! A panic is an outcome.

use std::any::Any;

use gristmill_core::{Ending, Outcome, RunError};

use super::route::Attempted;

/// What a caught panic comes to: a failure that is recorded as `panic`.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Attempted {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    let error = RunError::new(format!("the handler panicked: {words}"));
    Attempted { outcome: Outcome::Failed { error, after: None }, ending: Ending::Panic }
}
