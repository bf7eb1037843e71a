//! The handle: each operation goes to the writer or to a reader, and its answer comes back.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use gristmill_core::{
    AuditReply, Backend, BackendError, BackendErrorKind, Call, Capabilities, Capability, Clock, Count,
    Cursor, Diagnosis, EnqueueReply, EnqueueRequest, FetchReply, FetchRequest, FinishReply, FinishRequest,
    IdContext, JobEvent, JobFilter, JobId, JobPatch, JobRecord, ListRequest, Listener, Listeners, Maintained,
    MigrateMode, MigrationReport, Name, Page, PauseRequest, Ping, QueueRecord, RecordRequest, Recorded,
    RegisterWorker, RenewReply, RenewRequest, Reply, RescueReply, RunRecord, StatsReply, StatsRequest,
    Subscription, Timestamp, VerbReply, VerbRequest, WorkerId, WorkerRecord,
};
use rusqlite::Connection;

use crate::connection::Synchronous;
use crate::error::{Answer, closed};
use crate::group::Group;
use crate::inbox::{Inbox, Urgency};
use crate::open::SqliteBuilder;
use crate::readers::{self, Read};
use crate::task::{Request, Task, Waiting};
use crate::{
    diagnose, enqueue, fetch, finish, inspect, lease, list, maintain, migrate, numbers, operate, pause,
    progress, prune,
};

/// A job store in one SQLite file.
///
/// Several processes may open one file. Dropping the handle works off what waits and closes the file before it returns.
///
/// ```no_run
/// use std::sync::Arc;
/// use gristmill_core::Backend;
/// use gristmill_sqlite::Sqlite;
///
/// let backend: Arc<dyn Backend> = Arc::new(Sqlite::open("jobs.db")?);
/// # Ok::<(), gristmill_core::BackendError>(())
/// ```
pub struct Sqlite {
    pub(crate) path: PathBuf,
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) listeners: Listeners,
    pub(crate) writes: Arc<Inbox<Box<dyn Task>>>,
    pub(crate) reads: Arc<Inbox<Read>>,
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) readers: Vec<JoinHandle<()>>,
}

type Operation<Q, T> = fn(&mut Group<'_>, &Q, Timestamp) -> Answer<T>;

impl Sqlite {
    /// Opens a file with the default options, which survive a loss of power; makes it if it is not there.
    ///
    /// # Errors
    /// As [`SqliteBuilder::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, BackendError> {
        Self::builder(path).open()
    }

    /// Options for opening a file.
    pub fn builder(path: impl Into<PathBuf>) -> SqliteBuilder {
        SqliteBuilder::new(path)
    }

    fn write<Q, T>(&self, call: Call, request: Q, operation: Operation<Q, T>) -> Reply<'_, T>
    where
        Q: Send + 'static,
        T: Send + 'static,
    {
        self.write_with(call, Urgency::InTurn, request, operation)
    }

    fn write_with<Q, T>(
        &self,
        call: Call,
        urgency: Urgency,
        request: Q,
        operation: Operation<Q, T>,
    ) -> Reply<'_, T>
    where
        Q: Send + 'static,
        T: Send + 'static,
    {
        let (task, waiting) = Request::task(call, request, operation);
        Box::pin(async move {
            self.writes.push(task, urgency).await.map_err(|_| closed())?;
            answer(waiting).await
        })
    }

    fn read<T: Send + 'static>(
        &self,
        call: Call,
        question: impl FnOnce(&Connection, Timestamp) -> Answer<T> + Send + 'static,
    ) -> Reply<'_, T> {
        let (read, waiting) = readers::read(call, Arc::clone(&self.clock), question);
        Box::pin(async move {
            self.reads.push(read, Urgency::InTurn).await.map_err(|_| closed())?;
            answer(waiting).await
        })
    }
}

async fn answer<T>(waiting: Waiting<T>) -> Result<T, BackendError> {
    waiting.await.unwrap_or_else(|_| {
        let message = "the thread of the database gave the call up";
        Err(BackendError::new(BackendErrorKind::Internal, message).maybe_stored())
    })
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let this = std::thread::current().id();
        let join = |thread: JoinHandle<()>| {
            // A listener may drop the last handle on the writer's own thread, which cannot wait for itself.
            if thread.thread().id() != this {
                // A panic of the thread was told to its callers.
                let _ = thread.join();
            }
        };
        // The readers first: the last connection to close merges the log into the file, and they may not write.
        self.reads.close();
        self.readers.drain(..).for_each(join);
        self.writes.close();
        self.writer.take().into_iter().for_each(join);
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.path)
            .field("synchronous", &self.synchronous)
            .finish_non_exhaustive()
    }
}

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

    fn ping(&self, call: Call) -> Reply<'_, Ping> {
        let (synchronous, busy_timeout) = (self.synchronous, self.busy_timeout);
        self.read(call, move |connection, now| diagnose::ping(connection, synchronous, busy_timeout, now))
    }

    fn diagnose(&self, call: Call) -> Reply<'_, Vec<Diagnosis>> {
        let (path, synchronous) = (self.path.clone(), self.synchronous);
        self.read(call, move |connection, now| diagnose::diagnose(connection, &path, synchronous, now))
    }

    fn migrate(&self, call: Call, mode: MigrateMode) -> Reply<'_, MigrationReport> {
        self.write(call, mode, |group, mode, _| migrate::migrate(group.connection, *mode))
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
        self.read(call, move |connection, _| list::list(connection, &request))
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
        self.read(call, move |connection, _| numbers::count(connection, &filter, cap))
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

    fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
        let subscription = self.listeners.subscribe(listener);
        // With a listener the writer looks now and then what other processes have written.
        self.writes.nudge();
        subscription
    }
}
