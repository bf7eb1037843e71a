//! A backend with a tracing span around every call.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use gristmill_core::{
    Backend, BackendError, BackendTx, BoxFuture, Call, FinishItem, Finished, Lease, Operation, Reply, Wrapper,
};

use crate::span::SafeSpan;

/// Wraps a backend: every call becomes a span `backend_call` at level DEBUG, target `gristmill::backend`,
/// with the backend's name and the operation, and ends with an event that says how long it took and, where it
/// failed, how.
///
/// Args, outputs and metadata are never among the fields. Without a subscriber to that target a call costs
/// one load more and no allocation.
///
/// ```
/// use std::sync::Arc;
/// use gristmill_engine::{Client, Instrumented};
/// use gristmill_memory::Memory;
///
/// let client = Client::new(Instrumented::new(Arc::new(Memory::new())));
/// assert_eq!(client.backend().name(), "memory");
/// ```
#[derive(Debug)]
pub struct Instrumented(Arc<dyn Backend>);

impl Instrumented {
    /// The same backend, observed.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Self(inner)
    }
}

fn observe<'a, T: Send + 'a>(
    backend: &'static str,
    operation: Operation,
    reply: Reply<'a, T>,
) -> Reply<'a, T> {
    let span = SafeSpan::new(
        || tracing::debug_span!(target: "gristmill::backend", "backend_call", backend, operation = operation.as_str()),
    );
    if span.is_disabled() {
        return reply;
    }
    let observed = async move {
        let began = Instant::now();
        let answer = reply.await;
        let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        match &answer {
            Ok(_) => {
                gristmill_core::log!(debug, name: "backend_answered", target: "gristmill::backend", took_us);
            }
            Err(error) => gristmill_core::log!(
                debug,
                name: "backend_failed", target: "gristmill::backend",
                took_us, kind = ?error.kind(), certainty = ?error.certainty(), error = %format_args!("{error:#}")
            ),
        }
        answer
    };
    Box::pin(span.around(observed))
}

/// A transaction whose end is observed, too.
#[derive(Debug)]
struct InstrumentedTx {
    backend: &'static str,
    inner: Box<dyn BackendTx>,
}

impl BackendTx for InstrumentedTx {
    fn driver(&self) -> &(dyn Any + Send + Sync) {
        self.inner.driver()
    }

    fn driver_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self.inner.driver_mut()
    }

    fn finish(
        self: Box<Self>,
        call: Call,
        item: FinishItem,
    ) -> BoxFuture<'static, Result<Finished, BackendError>> {
        observe(self.backend, Operation::FinishTx, self.inner.finish(call, item))
    }

    fn roll_back(self: Box<Self>, call: Call) -> BoxFuture<'static, Result<(), BackendError>> {
        observe(self.backend, Operation::RollBackTx, self.inner.roll_back(call))
    }
}

impl Wrapper for Instrumented {
    fn inner(&self) -> &dyn Backend {
        &*self.0
    }

    fn around<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        act: impl FnOnce() -> Reply<'a, T> + Send + 'a,
    ) -> Reply<'a, T> {
        observe(self.0.name(), operation, act())
    }

    fn begin(&self, call: Call, lease: Lease) -> Reply<'_, Box<dyn BackendTx>> {
        let backend = self.0.name();
        let begun = observe(backend, Operation::Begin, self.0.begin(call, lease));
        Box::pin(async move {
            let inner = begun.await?;
            Ok(Box::new(InstrumentedTx { backend, inner }) as Box<dyn BackendTx>)
        })
    }
}
