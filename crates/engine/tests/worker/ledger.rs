//! The memory backend with transactions: what a handler writes is a line of a ledger.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill_core::{
    Backend, BackendError, BackendErrorKind, BackendTx, BoxFuture, Call, Capabilities, Capability,
    FinishItem, FinishReply, FinishRequest, Finished, Lease, Reply, Wrapper,
};

/// What was committed.
pub(crate) type Lines = Arc<Mutex<Vec<String>>>;

/// What a store objects to in the ends of a call.
pub(crate) type Objection = dyn Fn(&[FinishItem]) -> Option<BackendErrorKind> + Send + Sync;
/// How long a store takes for them.
pub(crate) type Slowness = dyn Fn(&[FinishItem]) -> Duration + Send + Sync;

/// A store with a ledger beside it.
pub(crate) struct Ledger {
    inner: Arc<dyn Backend>,
    lines: Lines,
    abreast: usize,
    bears: usize,
    objects: Arc<Objection>,
    takes: Box<Slowness>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ledger").field(&self.inner).finish()
    }
}

/// The lines of one transaction: the driver's type.
#[derive(Debug, Default)]
pub(crate) struct Draft(Vec<String>);

impl Draft {
    pub(crate) fn write(&mut self, line: impl Into<String>) {
        self.0.push(line.into());
    }
}

fn objection(kind: BackendErrorKind) -> BackendError {
    BackendError::new(kind, "the ledger objects").with_source("its disk is full")
}

impl Ledger {
    pub(crate) fn new(inner: Arc<dyn Backend>, lines: Lines) -> Self {
        let (objects, takes) =
            (Arc::new(|_: &[FinishItem]| None), Box::new(|_: &[FinishItem]| Duration::ZERO));
        Self { inner, lines, abreast: 1, bears: usize::MAX, objects, takes }
    }

    /// The same, as a store that gains by this many fetches side by side.
    pub(crate) fn abreast(self, abreast: usize) -> Self {
        Self { abreast, ..self }
    }

    /// The same, as a store that does not end more runs than this within the time a call has.
    pub(crate) fn bearing(self, bears: usize) -> Self {
        Self { bears, ..self }
    }

    /// The same, as a store that refuses ends by what they hold.
    pub(crate) fn objecting(self, objects: Arc<Objection>) -> Self {
        Self { objects, ..self }
    }

    /// The same, as a store that takes its time.
    pub(crate) fn slow(self, takes: Box<Slowness>) -> Self {
        Self { takes, ..self }
    }
}

struct LedgerTx {
    inner: Arc<dyn Backend>,
    lines: Lines,
    objects: Arc<Objection>,
    draft: Draft,
}

impl std::fmt::Debug for LedgerTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LedgerTx").field(&self.draft).finish()
    }
}

impl BackendTx for LedgerTx {
    fn driver(&self) -> &(dyn Any + Send + Sync) {
        &self.draft
    }

    fn driver_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        &mut self.draft
    }

    fn finish(
        self: Box<Self>,
        call: Call,
        item: FinishItem,
    ) -> BoxFuture<'static, Result<Finished, BackendError>> {
        Box::pin(async move {
            if let Some(kind) = (self.objects)(std::slice::from_ref(&item)) {
                return Err(objection(kind));
            }
            let finished = self.inner.finish(call, FinishRequest::new(vec![item])).await?.items[0];
            if matches!(finished, Finished::Accepted { .. }) {
                self.lines.lock().expect("no test panics while it holds it").extend(self.draft.0);
            }
            Ok(finished)
        })
    }

    fn roll_back(self: Box<Self>, _: Call) -> BoxFuture<'static, Result<(), BackendError>> {
        Box::pin(async { Ok(()) })
    }
}

impl Wrapper for Ledger {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn name(&self) -> &'static str {
        "ledger"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Notifications, Capability::Transactions])
    }

    fn fetches_abreast(&self) -> usize {
        self.abreast
    }

    fn begin(&self, _: Call, _: Lease) -> Reply<'_, Box<dyn BackendTx>> {
        let (inner, lines, objects) = (self.inner.clone(), self.lines.clone(), self.objects.clone());
        Box::pin(async {
            let transaction = LedgerTx { inner, lines, objects, draft: Draft::default() };
            Ok(Box::new(transaction) as Box<_>)
        })
    }

    fn finish(&self, call: Call, request: FinishRequest) -> Reply<'_, FinishReply> {
        if request.items.len() > self.bears {
            let error = BackendError::new(BackendErrorKind::TimedOut, "the deadline passed");
            return Box::pin(async { Err(error) });
        }
        if let Some(kind) = (self.objects)(&request.items) {
            let error = objection(kind).maybe_stored();
            return Box::pin(async { Err(error) });
        }
        let pause = (self.takes)(&request.items);
        Box::pin(async move {
            tokio::time::sleep(pause).await;
            self.inner.finish(call, request).await
        })
    }
}
