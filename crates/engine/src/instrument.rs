//! A backend with a tracing span around every call.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_core::{
    AuditReply, Backend, BackendError, BackendTx, BoxFuture, Call, Capabilities, Count, Cursor, Diagnosis,
    EnqueueReply, EnqueueRequest, FetchReply, FetchRequest, FinishItem, FinishReply, FinishRequest, Finished,
    IdContext, JobEvent, JobFilter, JobId, JobPatch, JobRecord, Lease, ListRequest, Listener, Maintained,
    MigrateMode, MigrationReport, Name, Page, PauseRequest, Ping, QueueRecord, RecordRequest, Recorded,
    RegisterWorker, RenewReply, RenewRequest, Reply, RescueReply, RunRecord, StatsReply, StatsRequest,
    Subscription, VerbReply, VerbRequest, WorkerId, WorkerRecord,
};

use crate::span::SafeSpan;

/// Wraps a backend: every call becomes a span `backend_call` at level DEBUG, target `gristmill::backend`, with the
/// backend's name and the operation, and ends with an event that says how long it took and, where it failed, how.
///
/// Args, outputs and metadata are never among the fields. Where nobody listens to that target a call costs one load
/// more and no allocation.
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
    operation: &'static str,
    reply: Reply<'a, T>,
) -> Reply<'a, T> {
    let span = SafeSpan::new(
        || tracing::debug_span!(target: "gristmill::backend", "backend_call", backend, operation),
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

/// A transaction whose end is observed as the operations `finish_tx` and `roll_back_tx`.
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
        observe(self.backend, "finish_tx", self.inner.finish(call, item))
    }

    fn roll_back(self: Box<Self>, call: Call) -> BoxFuture<'static, Result<(), BackendError>> {
        observe(self.backend, "roll_back_tx", self.inner.roll_back(call))
    }
}

macro_rules! observed {
    ($($operation:ident($($arg:ident: $type:ty),*) -> $reply:ty;)*) => {
        $(fn $operation(&self, call: Call $(, $arg: $type)*) -> Reply<'_, $reply> {
            observe(self.0.name(), stringify!($operation), self.0.$operation(call $(, $arg)*))
        })*
    };
}

impl Backend for Instrumented {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn id_context(&self) -> IdContext {
        self.0.id_context()
    }

    fn shortest_lease(&self) -> Duration {
        self.0.shortest_lease()
    }

    fn fetches_abreast(&self) -> usize {
        self.0.fetches_abreast()
    }

    fn hears_hints(&self) -> bool {
        self.0.hears_hints()
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
        self.0.subscribe(listener)
    }

    fn begin(&self, call: Call, lease: Lease) -> Reply<'_, Box<dyn BackendTx>> {
        let backend = self.0.name();
        let begun = observe(backend, "begin", self.0.begin(call, lease));
        Box::pin(async move {
            let inner = begun.await?;
            Ok(Box::new(InstrumentedTx { backend, inner }) as Box<dyn BackendTx>)
        })
    }

    observed! {
        ping() -> Ping;
        diagnose() -> Vec<Diagnosis>;
        migrate(mode: MigrateMode) -> MigrationReport;
        enqueue(request: EnqueueRequest) -> EnqueueReply;
        fetch(request: FetchRequest) -> FetchReply;
        renew(request: RenewRequest) -> RenewReply;
        finish(request: FinishRequest) -> FinishReply;
        record(request: RecordRequest) -> Recorded;
        register_worker(request: RegisterWorker) -> ();
        retire_worker(worker: WorkerId) -> ();
        cancel(request: VerbRequest) -> VerbReply;
        retry(request: VerbRequest) -> VerbReply;
        delete(request: VerbRequest) -> VerbReply;
        update(request: VerbRequest, patch: JobPatch) -> VerbReply;
        release_hold(request: VerbRequest) -> VerbReply;
        promote(limit: usize) -> Maintained;
        rescue(limit: usize) -> RescueReply;
        prune(limit: usize) -> Maintained;
        audit(cursor: Option<Cursor>, limit: usize) -> AuditReply;
        get(ids: Vec<JobId>) -> Vec<Option<JobRecord>>;
        list(request: ListRequest) -> Page<JobRecord>;
        list_runs(id: JobId, limit: usize) -> Vec<RunRecord>;
        list_events(id: JobId) -> Vec<JobEvent>;
        checkpoint(id: JobId) -> Option<bytes::Bytes>;
        list_queues() -> Vec<QueueRecord>;
        list_workers() -> Vec<WorkerRecord>;
        count(filter: JobFilter, cap: Option<u64>) -> Count;
        stats(request: StatsRequest) -> StatsReply;
        pause(request: PauseRequest) -> ();
        resume(queue: Name) -> ();
    }
}
