//! How an attempt ended: from what the handler returns to the decision that the store applies.

mod control;
mod decision;
mod ending;
mod run_error;

pub use control::{JobError, ResultExt, classify};
pub use decision::{Decision, Outcome};
pub use ending::Ending;
pub use run_error::RunError;
