//! The one table of operations: their names, and backends that stand in front of others.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Backend, Call, IdContext, Reply};
use crate::{
    AuditReply, BackendTx, Capabilities, Change, Committed, Count, Cursor, Diagnosis, EnqueueReply,
    EnqueueRequest, FetchReply, FetchRequest, FinishReply, FinishRequest, JobEvent, JobFilter, JobId,
    JobPatch, JobRecord, Lease, ListRequest, Listener, Maintained, MigrateMode, MigrationReport, Name, Page,
    PauseRequest, Ping, QueueRecord, RecordRequest, Recorded, RegisterPage, RegisterQuery, RegisterWorker,
    RenewReply, RenewRequest, RescueReply, RunRecord, StatsReply, StatsRequest, Subscription, VerbReply,
    VerbRequest, WorkerId, WorkerRecord,
};

macro_rules! operations {
    ($($operation:ident $method:ident($($argument:ident: $type:ty),*) -> $reply:ty;)*) => {
        /// An operation of a backend, for those that treat all alike: spans, metrics, faults.
        ///
        /// ```
        /// use gristmill_core::Operation;
        ///
        /// assert_eq!(Operation::RegisterWorker.as_str(), "register_worker");
        /// assert!(Operation::ALL.contains(&Operation::Fetch));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $(
                #[doc = concat!("[`Backend::", stringify!($method), "`].")]
                $operation,
            )*
            /// [`BackendTx::finish`]: the commit of a handler's transaction.
            FinishTx,
            /// [`BackendTx::roll_back`].
            RollBackTx,
        }

        impl Operation {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$operation,)* Self::FinishTx, Self::RollBackTx];

            /// The name of its method, with `_tx` behind those of a transaction: `enqueue`, `finish_tx`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$operation => stringify!($method),)*
                    Self::FinishTx => "finish_tx",
                    Self::RollBackTx => "roll_back_tx",
                }
            }
        }

        /// A backend that stands in front of another. Whatever implements this is a [`Backend`].
        ///
        /// Each operation goes through [`around`](Self::around) to the inner backend, unless it is written
        /// anew; so a new operation needs nothing here. What is not an operation (`name`, `capabilities` and
        /// the like) is the inner backend's, too. Every method means what the one of the same name in
        /// [`Backend`] means.
        ///
        /// ```
        /// use std::sync::Arc;
        /// use std::sync::atomic::{AtomicU64, Ordering};
        ///
        /// use gristmill_core::{Backend, Operation, Reply, Wrapper};
        ///
        /// /// Counts calls.
        /// #[derive(Debug)]
        /// struct Counted {
        ///     inner: Arc<dyn Backend>,
        ///     calls: AtomicU64,
        /// }
        ///
        /// impl Wrapper for Counted {
        ///     fn inner(&self) -> &dyn Backend {
        ///         &*self.inner
        ///     }
        ///
        ///     fn around<'a, T: Send + 'a>(
        ///         &'a self,
        ///         _: Operation,
        ///         act: impl FnOnce() -> Reply<'a, T> + Send + 'a,
        ///     ) -> Reply<'a, T> {
        ///         self.calls.fetch_add(1, Ordering::Relaxed);
        ///         act()
        ///     }
        /// }
        /// ```
        #[expect(missing_docs, reason = "each operation is documented in `Backend`")]
        pub trait Wrapper: Send + Sync + fmt::Debug + Sized + 'static {
            /// The backend behind this one.
            fn inner(&self) -> &dyn Backend;

            /// Makes a call of the inner backend: at once, later, changed, or not at all.
            fn around<'a, T: Send + 'a>(
                &'a self,
                operation: Operation,
                act: impl FnOnce() -> Reply<'a, T> + Send + 'a,
            ) -> Reply<'a, T> {
                let _ = operation;
                act()
            }

            fn name(&self) -> &'static str {
                self.inner().name()
            }

            fn capabilities(&self) -> Capabilities {
                self.inner().capabilities()
            }

            fn id_context(&self) -> IdContext {
                self.inner().id_context()
            }

            fn shortest_lease(&self) -> Duration {
                self.inner().shortest_lease()
            }

            fn fetches_abreast(&self) -> usize {
                self.inner().fetches_abreast()
            }

            fn hears_hints(&self) -> bool {
                self.inner().hears_hints()
            }

            fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
                self.inner().subscribe(listener)
            }

            $(
                fn $method(&self, call: Call $(, $argument: $type)*) -> Reply<'_, $reply> {
                    self.around(Operation::$operation, move || self.inner().$method(call $(, $argument)*))
                }
            )*
        }

        impl<W: Wrapper> Backend for W {
            fn name(&self) -> &'static str {
                Wrapper::name(self)
            }

            fn capabilities(&self) -> Capabilities {
                Wrapper::capabilities(self)
            }

            fn id_context(&self) -> IdContext {
                Wrapper::id_context(self)
            }

            fn shortest_lease(&self) -> Duration {
                Wrapper::shortest_lease(self)
            }

            fn fetches_abreast(&self) -> usize {
                Wrapper::fetches_abreast(self)
            }

            fn hears_hints(&self) -> bool {
                Wrapper::hears_hints(self)
            }

            fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
                Wrapper::subscribe(self, listener)
            }

            $(
                fn $method(&self, call: Call $(, $argument: $type)*) -> Reply<'_, $reply> {
                    Wrapper::$method(self, call $(, $argument)*)
                }
            )*
        }
    };
}

operations! {
    Ping ping() -> Ping;
    Diagnose diagnose() -> Vec<Diagnosis>;
    Migrate migrate(mode: MigrateMode) -> MigrationReport;
    Enqueue enqueue(request: EnqueueRequest) -> EnqueueReply;
    Fetch fetch(request: FetchRequest) -> FetchReply;
    Renew renew(request: RenewRequest) -> RenewReply;
    Finish finish(request: FinishRequest) -> FinishReply;
    Begin begin(lease: Lease) -> Box<dyn BackendTx>;
    Record record(request: RecordRequest) -> Recorded;
    RegisterWorker register_worker(request: RegisterWorker) -> ();
    RetireWorker retire_worker(worker: WorkerId) -> ();
    Cancel cancel(request: VerbRequest) -> VerbReply;
    Retry retry(request: VerbRequest) -> VerbReply;
    Delete delete(request: VerbRequest) -> VerbReply;
    Update update(request: VerbRequest, patch: JobPatch) -> VerbReply;
    ReleaseHold release_hold(request: VerbRequest) -> VerbReply;
    Promote promote(limit: usize) -> Maintained;
    Rescue rescue(limit: usize) -> RescueReply;
    Prune prune(limit: usize) -> Maintained;
    Audit audit(cursor: Option<Cursor>, limit: usize) -> AuditReply;
    Get get(ids: Vec<JobId>) -> Vec<Option<JobRecord>>;
    List list(request: ListRequest) -> Page<JobRecord>;
    ListRuns list_runs(id: JobId, limit: usize) -> Vec<RunRecord>;
    ListEvents list_events(id: JobId) -> Vec<JobEvent>;
    Checkpoint checkpoint(id: JobId) -> Option<bytes::Bytes>;
    ListQueues list_queues() -> Vec<QueueRecord>;
    ListWorkers list_workers() -> Vec<WorkerRecord>;
    Count count(filter: JobFilter, cap: Option<u64>) -> Count;
    Stats stats(request: StatsRequest) -> StatsReply;
    Pause pause(request: PauseRequest) -> ();
    Resume resume(queue: Name) -> ();
    Commit commit(changes: Vec<Change>) -> Vec<Committed>;
    ListRegisters list_registers(query: RegisterQuery) -> RegisterPage;
}
