//! How an attempt ended, from the handler's words to what a store is told.

mod control;
mod decision;
mod ending;
mod run_error;

pub use control::{JobError, ResultExt, classify};
pub use decision::{Decision, Outcome};
pub use ending::Ending;
pub use run_error::RunError;
