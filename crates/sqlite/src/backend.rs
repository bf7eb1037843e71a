//! Each operation goes to the writer or to a reader, and its answer comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gristmill_core::{
    AuditReply, Backend, Call, Capabilities, Capability, Change, Committed, Count, Cursor, Diagnosis,
    EnqueueReply, EnqueueRequest, FetchReply, FetchRequest, FinishReply, FinishRequest, IdContext, JobEvent,
    JobFilter, JobId, JobPatch, JobRecord, ListRequest, Listener, Maintained, MigrateMode, MigrationReport,
    Name, Page, PauseRequest, Ping, QueueRecord, RecordRequest, Recorded, RegisterPage, RegisterQuery,
    RegisterWorker, RenewReply, RenewRequest, Reply, RescueReply, RunRecord, StatsReply, StatsRequest,
    Subscription, VerbReply, VerbRequest, WorkerId, WorkerRecord,
};

use crate::handle::Sqlite;
use crate::inbox::Urgency;
use crate::{
    diagnose, enqueue, fetch, finish, inspect, lease, list, maintain, migrate, numbers, operate, pause,
    progress, prune, register,
};

impl Backend for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Durable, Capability::Shared, Capability::Notifications])
    }

    fn id_context(&self) -> IdContext {
        IdContext::default()
    }

    fn shortest_lease(&self) -> Duration {
        lease::shortest(self.busy_timeout)
    }

    fn ping(&self, call: Call) -> Reply<'_, Ping> {
        let (synchronous, busy_timeout) = (self.synchronous, self.busy_timeout);
        self.read(call, move |connection, now| diagnose::ping(connection, synchronous, busy_timeout, now))
    }

    fn diagnose(&self, call: Call) -> Reply<'_, Vec<Diagnosis>> {
        let (path, synchronous) = (self.path.clone(), self.synchronous);
        self.read_any(call, move |connection, now| {
            Ok(diagnose::diagnose(connection, &path, synchronous, now))
        })
    }

    fn migrate(&self, call: Call, mode: MigrateMode) -> Reply<'_, MigrationReport> {
        if mode == MigrateMode::Status {
            let neighbours = self.neighbours;
            return self.read_any(call, move |connection, _| migrate::migrate(connection, neighbours, mode));
        }
        self.write_any(call, mode, |group, mode, _| {
            migrate::migrate(group.connection, group.settings.neighbours, *mode)
        })
    }

    fn enqueue(&self, call: Call, request: EnqueueRequest) -> Reply<'_, EnqueueReply> {
        self.write(call, request, enqueue::enqueue)
    }

    fn fetch(&self, call: Call, request: FetchRequest) -> Reply<'_, FetchReply> {
        self.write(call, request, fetch::fetch)
    }

    fn renew(&self, call: Call, request: RenewRequest) -> Reply<'_, RenewReply> {
        self.write_with(call, Urgency::First, request, lease::renew)
    }

    fn finish(&self, call: Call, request: FinishRequest) -> Reply<'_, FinishReply> {
        self.write(call, request, finish::finish)
    }

    fn record(&self, call: Call, request: RecordRequest) -> Reply<'_, Recorded> {
        self.write(call, request, progress::record)
    }

    fn register_worker(&self, call: Call, request: RegisterWorker) -> Reply<'_, ()> {
        self.write(call, request, lease::register_worker)
    }

    fn retire_worker(&self, call: Call, worker: WorkerId) -> Reply<'_, ()> {
        self.write(call, worker, lease::retire_worker)
    }

    fn cancel(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        self.write(call, request, operate::cancel)
    }

    fn retry(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        self.write(call, request, operate::retry)
    }

    fn delete(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        self.write(call, request, operate::delete)
    }

    fn update(&self, call: Call, request: VerbRequest, patch: JobPatch) -> Reply<'_, VerbReply> {
        self.write(call, (request, patch), operate::update)
    }

    fn release_hold(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        self.write(call, request, operate::release_hold)
    }

    fn promote(&self, call: Call, limit: usize) -> Reply<'_, Maintained> {
        self.write(call, limit, |group, limit, now| maintain::promote(group, *limit, now))
    }

    fn rescue(&self, call: Call, limit: usize) -> Reply<'_, RescueReply> {
        self.write(call, limit, |group, limit, now| maintain::rescue(group, *limit, now))
    }

    fn prune(&self, call: Call, limit: usize) -> Reply<'_, Maintained> {
        self.write(call, limit, |group, limit, now| prune::prune(group, *limit, now))
    }

    fn audit(&self, call: Call, cursor: Option<Cursor>, limit: usize) -> Reply<'_, AuditReply> {
        self.write(call, (cursor, limit), maintain::audit)
    }

    fn get(&self, call: Call, ids: Vec<JobId>) -> Reply<'_, Vec<Option<JobRecord>>> {
        self.read(call, move |connection, _| inspect::get(connection, &ids))
    }

    fn list(&self, call: Call, request: ListRequest) -> Reply<'_, Page<JobRecord>> {
        self.read(call, move |connection, _| list::list(connection, &request, call.patience()))
    }

    fn list_runs(&self, call: Call, id: JobId, limit: usize) -> Reply<'_, Vec<RunRecord>> {
        self.read(call, move |connection, _| inspect::list_runs(connection, id, limit))
    }

    fn list_events(&self, call: Call, id: JobId) -> Reply<'_, Vec<JobEvent>> {
        self.read(call, move |connection, _| inspect::list_events(connection, id))
    }

    fn checkpoint(&self, call: Call, id: JobId) -> Reply<'_, Option<Bytes>> {
        self.read(call, move |connection, _| inspect::checkpoint(connection, id))
    }

    fn list_queues(&self, call: Call) -> Reply<'_, Vec<QueueRecord>> {
        self.read(call, |connection, _| numbers::list_queues(connection))
    }

    fn list_workers(&self, call: Call) -> Reply<'_, Vec<WorkerRecord>> {
        self.read(call, |connection, _| numbers::list_workers(connection))
    }

    fn count(&self, call: Call, filter: JobFilter, cap: Option<u64>) -> Reply<'_, Count> {
        self.read(call, move |connection, _| numbers::count(connection, &filter, cap, call.patience()))
    }

    fn stats(&self, call: Call, request: StatsRequest) -> Reply<'_, StatsReply> {
        self.read(call, move |connection, now| numbers::stats(connection, request, now))
    }

    fn pause(&self, call: Call, request: PauseRequest) -> Reply<'_, ()> {
        self.write(call, request, pause::pause)
    }

    fn resume(&self, call: Call, queue: Name) -> Reply<'_, ()> {
        self.write(call, queue, pause::resume)
    }

    fn commit(&self, call: Call, changes: Vec<Change>) -> Reply<'_, Vec<Committed>> {
        self.write(call, changes, |group, changes, now| register::commit(group, changes, now))
    }

    fn list_registers(&self, call: Call, query: RegisterQuery) -> Reply<'_, RegisterPage> {
        self.read(call, move |connection, now| register::list_registers(connection, &query, now))
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
        let subscription = self.listeners.subscribe(listener);
        // With a listener the writer looks now and then what other processes have written.
        self.writes.nudge();
        subscription
    }
}
