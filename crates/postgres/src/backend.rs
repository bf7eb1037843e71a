//! Each operation runs as a task of its own, on a connection of the pool it belongs to.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use gristmill_core::{
    AuditReply, Backend, BackendTx, Call, Capabilities, Capability, Change, Committed, Count, Cursor,
    Diagnosis, EnqueueReply, EnqueueRequest, FetchReply, FetchRequest, FinishReply, FinishRequest, IdContext,
    JobEvent, JobFilter, JobId, JobPatch, JobRecord, Lease, ListRequest, Listener, Maintained, MigrateMode,
    MigrationReport, Name, Page, PauseRequest, Ping, QueueRecord, RecordRequest, Recorded, RegisterPage,
    RegisterQuery, RegisterWorker, RenewReply, RenewRequest, Reply, RescueReply, RunRecord, StatsReply,
    StatsRequest, Subscription, VerbReply, VerbRequest, WorkerId, WorkerRecord,
};

use crate::call::Effect;
use crate::handle::Postgres;
use crate::{
    diagnose, enqueue, fetch, finish, inspect, lease, list, maintain, migrate, numbers, operate, pause,
    progress, promote, prune, register, transaction,
};

/// Runs an operation of a module, which takes what the process shares, the call and the request; by `run`, or
/// by the method that is named first.
macro_rules! ask {
    ($self:ident, $call:ident, $effect:ident, $request:expr, $operation:path) => {
        ask!(run; $self, $call, $effect, $request, $operation)
    };
    ($run:ident; $self:ident, $call:ident, $effect:ident, $request:expr, $operation:path) => {{
        let request = Arc::new($request);
        $self.$run($call, Effect::$effect, move |inner, call| {
            let request = Arc::clone(&request);
            async move { $operation(&inner, call, &request).await }
        })
    }};
}

impl Backend for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Durable,
            Capability::Shared,
            Capability::Notifications,
            Capability::Transactions,
        ])
    }

    fn id_context(&self) -> IdContext {
        let mut context = IdContext::default();
        context.clock_offset_ms = self.inner.clock_offset_ms.load(Ordering::Relaxed);
        context
    }

    /// One takes jobs, one sends those it has taken, one waits for its commit; they do so in turn.
    fn fetches_abreast(&self) -> usize {
        3
    }

    fn hears_hints(&self) -> bool {
        self.inner.hears_hints()
    }

    fn ping(&self, call: Call) -> Reply<'_, Ping> {
        ask!(self, call, None, (), diagnose::ping)
    }

    fn diagnose(&self, call: Call) -> Reply<'_, Vec<Diagnosis>> {
        ask!(self, call, None, (), diagnose::diagnose)
    }

    fn migrate(&self, call: Call, mode: MigrateMode) -> Reply<'_, MigrationReport> {
        ask!(self, call, Write, mode, migrate::migrate)
    }

    fn enqueue(&self, call: Call, request: EnqueueRequest) -> Reply<'_, EnqueueReply> {
        ask!(self, call, Write, request, enqueue::enqueue)
    }

    fn fetch(&self, call: Call, request: FetchRequest) -> Reply<'_, FetchReply> {
        ask!(self, call, Write, request, fetch::fetch)
    }

    fn renew(&self, call: Call, request: RenewRequest) -> Reply<'_, RenewReply> {
        ask!(run_apart; self, call, Write, request, lease::renew)
    }

    fn finish(&self, call: Call, request: FinishRequest) -> Reply<'_, FinishReply> {
        ask!(self, call, Write, request, finish::finish)
    }

    fn begin(&self, call: Call, _: Lease) -> Reply<'_, Box<dyn BackendTx>> {
        ask!(self, call, None, (), transaction::begin)
    }

    fn record(&self, call: Call, request: RecordRequest) -> Reply<'_, Recorded> {
        ask!(self, call, Write, request, progress::record)
    }

    fn register_worker(&self, call: Call, request: RegisterWorker) -> Reply<'_, ()> {
        ask!(run_apart; self, call, Write, request, lease::register_worker)
    }

    fn retire_worker(&self, call: Call, worker: WorkerId) -> Reply<'_, ()> {
        ask!(run_apart; self, call, Write, worker, lease::retire_worker)
    }

    fn cancel(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        ask!(self, call, Write, request, operate::cancel)
    }

    fn retry(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        ask!(self, call, Write, request, operate::retry)
    }

    fn delete(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        ask!(self, call, Write, request, operate::delete)
    }

    fn update(&self, call: Call, request: VerbRequest, patch: JobPatch) -> Reply<'_, VerbReply> {
        ask!(self, call, Write, (request, patch), operate::update)
    }

    fn release_hold(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        ask!(self, call, Write, request, operate::release_hold)
    }

    fn promote(&self, call: Call, limit: usize) -> Reply<'_, Maintained> {
        ask!(run_past; self, call, Write, limit, promote::promote)
    }

    fn rescue(&self, call: Call, limit: usize) -> Reply<'_, RescueReply> {
        ask!(run_past; self, call, Write, limit, maintain::rescue)
    }

    fn prune(&self, call: Call, limit: usize) -> Reply<'_, Maintained> {
        ask!(self, call, Write, limit, prune::prune)
    }

    fn audit(&self, call: Call, cursor: Option<Cursor>, limit: usize) -> Reply<'_, AuditReply> {
        ask!(self, call, Write, (cursor, limit), maintain::audit)
    }

    fn get(&self, call: Call, ids: Vec<JobId>) -> Reply<'_, Vec<Option<JobRecord>>> {
        ask!(self, call, None, ids, inspect::get)
    }

    fn list(&self, call: Call, request: ListRequest) -> Reply<'_, Page<JobRecord>> {
        ask!(self, call, None, request, list::list)
    }

    fn list_runs(&self, call: Call, id: JobId, limit: usize) -> Reply<'_, Vec<RunRecord>> {
        ask!(self, call, None, (id, limit), inspect::list_runs)
    }

    fn list_events(&self, call: Call, id: JobId) -> Reply<'_, Vec<JobEvent>> {
        ask!(self, call, None, id, inspect::list_events)
    }

    fn checkpoint(&self, call: Call, id: JobId) -> Reply<'_, Option<Bytes>> {
        ask!(self, call, None, id, inspect::checkpoint)
    }

    fn list_queues(&self, call: Call) -> Reply<'_, Vec<QueueRecord>> {
        ask!(self, call, None, (), numbers::list_queues)
    }

    fn list_workers(&self, call: Call) -> Reply<'_, Vec<WorkerRecord>> {
        ask!(self, call, None, (), numbers::list_workers)
    }

    fn count(&self, call: Call, filter: JobFilter, cap: Option<u64>) -> Reply<'_, Count> {
        ask!(self, call, None, (filter, cap), numbers::count)
    }

    fn stats(&self, call: Call, request: StatsRequest) -> Reply<'_, StatsReply> {
        ask!(self, call, None, request, numbers::stats)
    }

    fn pause(&self, call: Call, request: PauseRequest) -> Reply<'_, ()> {
        ask!(self, call, Write, request, pause::pause)
    }

    fn resume(&self, call: Call, queue: Name) -> Reply<'_, ()> {
        ask!(self, call, Write, queue, pause::resume)
    }

    fn commit(&self, call: Call, changes: Vec<Change>) -> Reply<'_, Vec<Committed>> {
        ask!(self, call, Write, changes, register::commit)
    }

    fn list_registers(&self, call: Call, query: RegisterQuery) -> Reply<'_, RegisterPage> {
        ask!(self, call, None, query, register::list_registers)
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
        self.inner.subscribe(listener)
    }
}
