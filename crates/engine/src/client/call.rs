//! Every call of the backend has a deadline.

use std::time::Duration;

use gristmill_core::{Backend, BackendTx, Call, Error, Lease, RecordRequest, Recorded, Reply};

use super::Client;
use crate::call::answer;

impl Client {
    /// Calls the backend and waits for the answer, at most for the deadline.
    ///
    /// # Cancel safety
    /// Like a lost reply: a write may have taken effect.
    pub(super) async fn call<'a, T>(
        &'a self,
        operation: &'static str,
        start: impl FnOnce(&'a dyn Backend, Call) -> Reply<'a, T>,
    ) -> Result<T, Error> {
        self.call_for(Duration::ZERO, operation, start).await
    }

    /// The same, with so much more time for what the call carries.
    pub(super) async fn call_for<'a, T>(
        &'a self,
        more: Duration,
        operation: &'static str,
        start: impl FnOnce(&'a dyn Backend, Call) -> Reply<'a, T>,
    ) -> Result<T, Error> {
        let deadline = self.0.call_deadline.saturating_add(more);
        let reply = start(&*self.0.backend, Call::new().within(deadline));
        answer(deadline, operation, reply).await.map_err(Error::from)
    }

    pub(crate) async fn record(&self, request: RecordRequest) -> Result<Recorded, Error> {
        self.call("record", |backend, call| backend.record(call, request)).await
    }

    pub(crate) async fn begin(&self, lease: Lease) -> Result<Box<dyn BackendTx>, Error> {
        self.call("begin", |backend, call| backend.begin(call, lease)).await
    }
}
