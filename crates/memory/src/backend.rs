//! `impl Backend`: one short method an operation, each under the one lock.

use std::sync::{Arc, Mutex, PoisonError};

use gristmill_core::{
    AuditReply, Backend, BackendError, Call, Capabilities, Capability, Change, Clock, Committed, Count,
    Cursor, Diagnosis, Durability, EnqueueReply, EnqueueRequest, FetchReply, FetchRequest, FinishReply,
    FinishRequest, IdContext, JobEvent, JobFilter, JobId, JobPatch, JobRecord, ListRequest, Listener,
    Listeners, Maintained, MigrateMode, MigrationReport, Name, Page, PauseRequest, Ping, QueueRecord,
    RecordRequest, Recorded, RegisterPage, RegisterQuery, RegisterWorker, RenewReply, RenewRequest, Reply,
    RescueReply, RunRecord, StatsReply, StatsRequest, Subscription, SystemClock, Timestamp, VerbReply,
    VerbRequest, WorkerId, WorkerRecord,
};

use crate::store::Store;

/// A store of jobs in this process's memory. Cloning is cheap; clones share the jobs.
///
/// ```
/// use gristmill_core::Backend;
/// assert_eq!(gristmill_memory::Memory::new().name(), "memory");
/// ```
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    max_jobs: usize,
    store: Mutex<Store>,
    listeners: Listeners,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Default limit on the jobs of a store, ended ones included: ten million, which take some gigabytes.
    pub const DEFAULT_MAX_JOBS: usize = 10_000_000;

    /// An empty store on the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store on another clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self::bounded(clock, Self::DEFAULT_MAX_JOBS)
    }

    /// An empty store that refuses ([`Full`](gristmill_core::BackendErrorKind::Full)) to hold more than
    /// `max_jobs`, ended ones included.
    pub fn bounded(clock: Arc<dyn Clock>, max_jobs: usize) -> Self {
        Self(Arc::new(Inner { clock, max_jobs, store: Mutex::default(), listeners: Listeners::default() }))
    }

    /// Runs an operation under the lock when the reply is first polled, then tells the hints it left.
    fn run<'a, T, F>(&'a self, call: Call, operation: F) -> Reply<'a, T>
    where
        T: Send + 'a,
        F: FnOnce(&mut Store, Timestamp) -> Result<T, BackendError> + Send + 'a,
    {
        Box::pin(async move {
            let now = call.now.unwrap_or_else(|| self.0.clock.now());
            let watch_ends = self.0.listeners.watch_ends();
            let (result, hints) = {
                let mut store = self.0.store.lock().unwrap_or_else(PoisonError::into_inner);
                store.watch_ends = watch_ends;
                let result = operation(&mut store, now);
                (result, store.take_hints())
            };
            self.0.listeners.send(&hints);
            result
        })
    }
}

impl Backend for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Notifications])
    }

    fn id_context(&self) -> IdContext {
        IdContext::default()
    }

    fn ping(&self, call: Call) -> Reply<'_, Ping> {
        self.run(call, |_, now| {
            Ok(Ping::new(now, concat!("memory ", env!("CARGO_PKG_VERSION")), Durability::Process))
        })
    }

    fn diagnose(&self, call: Call) -> Reply<'_, Vec<Diagnosis>> {
        let max_jobs = self.0.max_jobs;
        self.run(call, move |store, _| Ok(store.diagnose(max_jobs)))
    }

    fn migrate(&self, call: Call, _: MigrateMode) -> Reply<'_, MigrationReport> {
        self.run(call, |_, _| Ok(MigrationReport::default()))
    }

    fn enqueue(&self, call: Call, request: EnqueueRequest) -> Reply<'_, EnqueueReply> {
        let max_jobs = self.0.max_jobs;
        self.run(call, move |store, now| store.enqueue(request.jobs, max_jobs, now))
    }

    fn fetch(&self, call: Call, request: FetchRequest) -> Reply<'_, FetchReply> {
        self.run(call, move |store, now| store.fetch(request, now))
    }

    fn renew(&self, call: Call, request: RenewRequest) -> Reply<'_, RenewReply> {
        self.run(call, move |store, now| store.renew(&request, now))
    }

    fn finish(&self, call: Call, request: FinishRequest) -> Reply<'_, FinishReply> {
        let max_jobs = self.0.max_jobs;
        self.run(call, move |store, now| store.finish(request, max_jobs, now))
    }

    fn record(&self, call: Call, request: RecordRequest) -> Reply<'_, Recorded> {
        self.run(call, move |store, _| Ok(store.record(request)))
    }

    fn register_worker(&self, call: Call, request: RegisterWorker) -> Reply<'_, ()> {
        self.run(call, move |store, now| store.register_worker(request, now))
    }

    fn retire_worker(&self, call: Call, worker: WorkerId) -> Reply<'_, ()> {
        self.run(call, move |store, now| {
            store.retire_worker(worker, now);
            Ok(())
        })
    }

    fn cancel(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        self.run(call, move |store, now| Ok(store.cancel(request, now)))
    }

    fn retry(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        self.run(call, move |store, now| Ok(store.retry(request, now)))
    }

    fn delete(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        self.run(call, move |store, now| Ok(store.delete(request, now)))
    }

    fn update(&self, call: Call, request: VerbRequest, patch: JobPatch) -> Reply<'_, VerbReply> {
        self.run(call, move |store, now| Ok(store.update(request, &patch, now)))
    }

    fn release_hold(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        self.run(call, move |store, now| Ok(store.release_hold(request, now)))
    }

    fn promote(&self, call: Call, limit: usize) -> Reply<'_, Maintained> {
        self.run(call, move |store, now| Ok(store.promote(limit, now)))
    }

    fn rescue(&self, call: Call, limit: usize) -> Reply<'_, RescueReply> {
        self.run(call, move |store, now| Ok(store.rescue(limit, now)))
    }

    fn prune(&self, call: Call, limit: usize) -> Reply<'_, Maintained> {
        self.run(call, move |store, now| Ok(store.prune(limit, now)))
    }

    fn audit(&self, call: Call, cursor: Option<Cursor>, limit: usize) -> Reply<'_, AuditReply> {
        self.run(call, move |store, now| Ok(store.audit(cursor, limit, now)))
    }

    fn get(&self, call: Call, ids: Vec<JobId>) -> Reply<'_, Vec<Option<JobRecord>>> {
        self.run(call, move |store, _| Ok(store.get(&ids)))
    }

    fn list(&self, call: Call, request: ListRequest) -> Reply<'_, Page<JobRecord>> {
        self.run(call, move |store, _| Ok(store.list(&request)))
    }

    fn list_runs(&self, call: Call, id: JobId, limit: usize) -> Reply<'_, Vec<RunRecord>> {
        self.run(call, move |store, _| Ok(store.list_runs(id, limit)))
    }

    fn list_events(&self, call: Call, id: JobId) -> Reply<'_, Vec<JobEvent>> {
        self.run(call, move |store, _| Ok(store.list_events(id)))
    }

    fn checkpoint(&self, call: Call, id: JobId) -> Reply<'_, Option<bytes::Bytes>> {
        self.run(call, move |store, _| Ok(store.checkpoint(id)))
    }

    fn list_queues(&self, call: Call) -> Reply<'_, Vec<QueueRecord>> {
        self.run(call, |store, _| Ok(store.list_queues()))
    }

    fn list_workers(&self, call: Call) -> Reply<'_, Vec<WorkerRecord>> {
        self.run(call, |store, _| Ok(store.list_workers()))
    }

    fn count(&self, call: Call, filter: JobFilter, cap: Option<u64>) -> Reply<'_, Count> {
        self.run(call, move |store, _| Ok(store.count(&filter, cap)))
    }

    fn stats(&self, call: Call, request: StatsRequest) -> Reply<'_, StatsReply> {
        self.run(call, move |store, now| Ok(store.stats(request, now)))
    }

    fn pause(&self, call: Call, request: PauseRequest) -> Reply<'_, ()> {
        self.run(call, move |store, now| {
            store.pause(request, now);
            Ok(())
        })
    }

    fn resume(&self, call: Call, queue: Name) -> Reply<'_, ()> {
        self.run(call, move |store, _| {
            store.resume(&queue);
            Ok(())
        })
    }

    fn commit(&self, call: Call, changes: Vec<Change>) -> Reply<'_, Vec<Committed>> {
        let max_jobs = self.0.max_jobs;
        self.run(call, move |store, now| store.commit(&changes, max_jobs, now))
    }

    fn list_registers(&self, call: Call, query: RegisterQuery) -> Reply<'_, RegisterPage> {
        self.run(call, move |store, now| Ok(store.list_registers(&query, now)))
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
        self.0.listeners.subscribe(listener)
    }
}
