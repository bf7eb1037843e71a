//! The store as a worker calls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gristmill_core::{Backend, BackendError, Call, Reply, Timestamp};

use super::options::WorkerOptions;
use crate::Client;
use crate::call::answer;

/// The default poll interval where hints arrive.
const HINTED_POLL: Duration = Duration::from_secs(5);
/// The default poll interval where they do not.
const UNHINTED_POLL: Duration = Duration::from_secs(1);

/// A handle on the store. Cloning is cheap; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    client: Client,
    deadline: Duration,
    poll_interval: Option<Duration>,
    outage: Arc<AtomicBool>,
}

impl Store {
    pub(crate) fn new(client: Client, options: &WorkerOptions) -> Self {
        let WorkerOptions { call_deadline: deadline, poll_interval, .. } = *options;
        Self { client, deadline, poll_interval, outage: Arc::default() }
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        self.client.backend()
    }

    /// The deadline of a call.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// A call within the deadline.
    pub(crate) fn call(&self) -> Call {
        Call::new().within(self.deadline)
    }

    /// Calls the backend and waits for the reply, at most a little longer than the deadline.
    ///
    /// # Cancel safety
    /// Like a lost reply: the call may have taken effect.
    pub(crate) async fn ask<'a, T>(
        &'a self,
        operation: &'static str,
        start: impl FnOnce(&'a dyn Backend, Call) -> Reply<'a, T>,
    ) -> Result<T, BackendError> {
        self.ask_within(self.deadline, operation, start).await
    }

    /// As [`Self::ask`], with a deadline of its own.
    pub(crate) async fn ask_within<'a, T>(
        &'a self,
        deadline: Duration,
        operation: &'static str,
        start: impl FnOnce(&'a dyn Backend, Call) -> Reply<'a, T>,
    ) -> Result<T, BackendError> {
        let reply = start(&**self.backend(), Call::new().within(deadline));
        answer(deadline, operation, reply).await
    }

    /// How often to look for what no hint reports.
    pub(crate) fn poll_interval(&self) -> Duration {
        let by_default = if self.hears_hints() { HINTED_POLL } else { UNHINTED_POLL };
        self.poll_interval.unwrap_or(by_default)
    }

    /// Whether hints arrive at present.
    pub(crate) fn hears_hints(&self) -> bool {
        self.backend().hears_hints()
    }

    /// The present instant by this machine's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.client.now()
    }

    /// The present instant by the store's clock, as far as the worker knows it.
    pub(crate) fn store_now(&self) -> Timestamp {
        self.now().offset_millis(self.backend().id_context().clock_offset_ms)
    }

    /// The store could not be reached: the rescuer waits one lease before it takes other workers for dead.
    pub(crate) fn was_out(&self) {
        self.outage.store(true, Ordering::SeqCst);
    }

    /// The store can be reached again.
    pub(crate) fn is_back(&self) {
        self.outage.store(false, Ordering::SeqCst);
    }

    /// Whether there was an outage that is not over.
    pub(crate) fn is_out(&self) -> bool {
        self.outage.load(Ordering::SeqCst)
    }
}
