//! Args that do not decode never reach the user's code.

use gristmill_core::{Ending, Job, Outcome, RunError};

use super::route::Attempted;
use crate::JobContext;

/// What becomes of a job whose args do not decode into the handler's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Undecodable {
    /// It is discarded: what does not decode today will not decode tomorrow.
    #[default]
    Discard,
    /// The attempt counts as failed; for fleets in which another version of the program may know the form.
    Retry,
}

/// Decodes straight from the stored bytes.
pub(super) fn decode<J: Job>(context: &JobContext, policy: Undecodable) -> Result<J, Attempted> {
    context.args().decode().map_err(|error| {
        let message = format!("args do not decode as {}: {error}", std::any::type_name::<J>());
        let outcome = match policy {
            Undecodable::Discard => Outcome::Discarded { reason: message },
            Undecodable::Retry => Outcome::Failed { error: RunError::new(message), after: None },
        };
        Attempted { outcome, ending: Ending::Undecodable }
    })
}
