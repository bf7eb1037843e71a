//! Background jobs for Rust: one semantics on every backend.

pub use gristmill_core::{
    Args, Backend, BackendError, BackendErrorKind, BoxFuture, Call, Capability, Certainty, Clock, Count, Cursor,
    DEFAULT_QUEUE, Decision, Diagnosis, Durability, Ending, Enqueue, EnqueueRequest, Enqueued, Error, ErrorKind,
    Event, EventKind, ExistingBy, InvalidJob, Job, JobError, JobEvent, JobExt, JobFilter, JobId, JobOptions,
    JobRecord, JobSpec, JobState, ListRequest, LogLine, MAX_ARGS_BYTES, MAX_METADATA_BYTES, ManualClock, Metadata,
    MigrateMode, MigrationReport, Name, NewJob, Order, Outcome, Output, Page, PauseRequest, Ping, Priority,
    QueueRecord, QueueStats, ResultExt, Retention, RetryPolicy, RunError, RunFailure, RunRecord, Select,
    StatsReply, StatsRequest, SystemClock, Timestamp, UniqueKey, Verb, VerbReply, VerbRequest, Verdict, When,
    WorkerId, WorkerRecord, did_you_mean, format_duration, parse_duration,
};
pub use gristmill_engine::{Attempted, Client, JobContext};
#[cfg(feature = "memory")]
pub use gristmill_memory::Memory;
#[cfg(feature = "sqlite")]
pub use gristmill_sqlite::{Sqlite, Synchronous};
