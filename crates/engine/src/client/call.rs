//! Every call of the backend has a deadline.

use std::time::Duration;

use gristmill_core::{Backend, BackendError, BackendErrorKind, Call, Error, RecordRequest, Recorded, Reply};

use super::Client;

/// The backend may answer with its own error a little after the deadline: it knows best what was stored.
const SLACK: Duration = Duration::from_millis(100);

/// Whether a call that is given up may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Writes,
}

impl Client {
    /// Calls the backend and waits for the answer, at most for the deadline.
    ///
    /// # Cancel safety
    /// Like a lost reply: a write may have taken effect.
    pub(super) async fn call<'a, T>(
        &'a self,
        operation: &'static str,
        effect: Effect,
        start: impl FnOnce(&'a dyn Backend, Call) -> Reply<'a, T>,
    ) -> Result<T, Error> {
        let deadline = self.0.call_deadline;
        let reply = start(&*self.0.backend, Call::new().within(deadline));
        match tokio::time::timeout(deadline + SLACK, reply).await {
            Ok(answer) => answer.map_err(Error::from),
            Err(_) => {
                let message = format!("`{operation}` was not answered within {deadline:?}");
                let error = BackendError::new(BackendErrorKind::TimedOut, message);
                Err(if effect == Effect::Writes { error.maybe_stored() } else { error }.into())
            }
        }
    }

    pub(crate) async fn record(&self, request: RecordRequest) -> Result<Recorded, Error> {
        self.call("record", Effect::Writes, |backend, call| backend.record(call, request)).await
    }
}
