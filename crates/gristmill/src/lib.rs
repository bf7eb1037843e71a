#![doc = include_str!("guide.md")]

pub mod backend;
// The program in the README compiles.
#[cfg(all(doctest, feature = "sqlite"))]
mod readme;
#[cfg(feature = "testing")]
pub mod testing;

pub use gristmill_core::{
    Args, Backoff, Cadence, Capabilities, Capability, Certainty, Change, Clock, Committed, Count, Cursor,
    DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE, Diagnosis, Durability, Effects, Ending, Enqueue, Enqueued, Error,
    ErrorKind, Event, EventKind, ExistingBy, Expect, Finished, InvalidArgs, InvalidCadence, InvalidDuration,
    InvalidJob, InvalidJobId, InvalidMetadata, InvalidName, InvalidPriority, InvalidUniqueKey, Jitter, Job,
    JobError, JobEvent, JobExt, JobFilter, JobId, JobOptions, JobPatch, JobRecord, JobSpec, JobState,
    ListRequest, LogLine, LostWhy, MAX_ARGS_BYTES, MAX_ARGS_BYTES_HARD, MAX_ARGS_DEPTH, MAX_METADATA_BYTES,
    MAX_NAME_BYTES, MAX_OUTPUT_BYTES, MAX_TAGS, MAX_UNIQUE_KEY_BYTES, ManualClock, Metadata, MigrateMode,
    MigrationReport, Name, NewJob, Order, Outcome, Output, Page, ParkedKind, Ping, Priority, QueueRecord,
    QueueStats, Reason, Register, RegisterCursor, RegisterPage, RegisterQuery, RegisterSelect, ResultExt,
    Retention, RetryPolicy, RunError, RunFailure, RunRecord, Select, Stamp, StatsReply, StatsRequest,
    SystemClock, Timestamp, UniqueKey, UnknownState, Unserved, UnservedWhy, Verb, VerbReply, Verdict, When,
    WorkerId, WorkerRecord, classify, did_you_mean, format_duration, parse_duration, unserved,
};
pub use gristmill_engine::{
    AnyOutput, Attempt, Attempted, BlockingFn, BoxError, Client, ClientBuilder, EnqueueMiddleware, FromJob,
    FromRef, Handler, HandlerArgs, HandlerFn, IntoBackend, IntoOutcome, JobContext, Leased, Meta, Middleware,
    PartlyEnqueued, Queues, RawHandlerArgs, Receipt, State, Tally, Tx, Undecodable, Worker, WorkerBuilder,
    WorkerHandle, WorkerReport, WorkerStats, capture_backtraces, middleware,
};
#[cfg(feature = "testing")]
pub use gristmill_engine::{assert_enqueued, refute_enqueued};
#[cfg(feature = "macros")]
pub use gristmill_macros::Job;
#[cfg(feature = "memory")]
pub use gristmill_memory::Memory;
#[cfg(all(feature = "bench", feature = "postgres"))]
#[doc(hidden)]
pub use gristmill_postgres::{HeldSnapshot, Spent};
#[cfg(feature = "postgres")]
pub use gristmill_postgres::{Postgres, PostgresBuilder, PostgresTransaction, tokio_postgres};
#[cfg(feature = "sqlite")]
pub use gristmill_sqlite::{Sqlite, SqliteBuilder, Synchronous};
/// Tells a handler to stop; an extractor.
pub use tokio_util::sync::CancellationToken;
