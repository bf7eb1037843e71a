//! The vocabulary, the pure decisions and the storage seam of Gristmill.
//!
//! Users depend on the `gristmill` crate, which re-exports what they need from here. Authors of a
//! backend depend on this crate and on `gristmill-testkit`: implement [`Backend`], then let the
//! conformance suite say what is missing.
//!
//! Nothing here performs I/O, starts a task or knows a database. What follows when a run or a job ends
//! ([`End`]), what an operator's act does ([`operate()`]), when the next attempt is due
//! ([`RetryPolicy`]), which moves are legal ([`JobState::can_become`]), whether a [`Register`] is replaced
//! ([`commit_on`]) and what a name or a job's args may hold is decided here, once; a backend stores the
//! decision if the lease still holds, and nothing else.

mod backend;
mod clock;
mod contain;
mod duration;
mod end;
mod error;
mod escape;
mod event;
mod fault;
mod job;
mod lease;
mod name;
mod operate;
mod outcome;
mod query;
mod register;
mod retry;
mod schedule;
mod size;
mod suggest;
mod time;
mod unserved;
mod worker;

pub use backend::capability::{Capabilities, Capability};
pub use backend::error::{BackendError, BackendErrorKind, Certainty};
pub use backend::hint::{Hint, Listener, Listeners, Subscription};
pub use backend::operation::{Operation, Wrapper};
pub use backend::receipt::{Receipt, RequestReceipt};
pub use backend::reply::{
    EnqueueReply, Enqueued, ExistingBy, FetchReply, FetchedJob, FetchedQueue, FinishReply, Finished, LostWhy,
    MigrationReport, Ping, Recorded, RenewReply,
};
pub use backend::report::{
    AuditReply, Count, Diagnosis, Maintained, ParkedKind, QueueStats, RescueReply, Rescued, StatsReply, Verb,
    VerbReply, Verdict,
};
pub use backend::request::{
    EnqueueRequest, FetchRequest, FinishItem, FinishRequest, JobPatch, MigrateMode, PauseRequest, QueueWant,
    RecordRequest, RegisterWorker, RenewRequest, Select, StatsRequest, VerbRequest,
};
pub use backend::transaction::BackendTx;
pub use backend::{Backend, BoxFuture, Call, Durability, IdContext, Reply};
pub use clock::{Clock, ManualClock, SystemClock};
pub use contain::{contain, dispose};
pub use duration::{InvalidDuration, format_duration, parse_duration};
pub use end::{DISCARD_AFTER_CRASHES, End, EndedBy, Reason, RunEnd, RunFacts, Stay, Why};
pub use error::{Error, ErrorKind};
pub use event::{Event, EventKind};
pub use job::args::{Args, InvalidArgs, MAX_ARGS_BYTES, MAX_ARGS_BYTES_HARD, MAX_ARGS_DEPTH};
pub use job::check::InvalidJob;
pub use job::encoding::Encoding;
pub use job::id::{IdSource, InvalidJobId, JobId};
pub use job::metadata::{InvalidMetadata, MAX_METADATA_BYTES, Metadata};
pub use job::new::{NewJob, When};
pub use job::options::{Enqueue, Job, JobExt, JobOptions};
pub use job::output::{MAX_OUTPUT_BYTES, Output};
pub use job::priority::{InvalidPriority, Priority};
pub use job::record::{JobEvent, JobRecord, LogLine, QueueRecord, RunFailure, RunRecord};
pub use job::retention::Retention;
pub use job::spec::{DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE, JobSpec, MAX_TAGS};
pub use job::state::{JobState, UnknownState};
pub use job::unique::{InvalidUniqueKey, MAX_UNIQUE_KEY_BYTES, UniqueKey};
pub use lease::{ClaimId, Lease, LeaseToken, Place};
pub use name::{InvalidName, MAX_NAME_BYTES, Name};
pub use operate::{Act, Standing, operate};
pub use outcome::{Decision, Ending, JobError, Outcome, ResultExt, RunError, classify};
pub use query::{Cursor, JobFilter, ListRequest, Order, Page};
pub use register::change::{Change, Committed, Effects, Expect};
pub use register::commit::{CommitVerdict, commit_on};
pub use register::query::{RegisterCursor, RegisterPage, RegisterQuery, RegisterRange, RegisterSelect};
pub use register::{Register, Stamp};
pub use retry::{Backoff, Jitter, RetryPolicy};
pub use schedule::cadence::{Cadence, InvalidCadence};
pub use size::{MAX_BATCH_BYTES, batch_len, time_for_bytes};
pub use suggest::did_you_mean;
pub use time::Timestamp;
pub use unserved::{Unserved, UnservedWhy, unserved, waits_for};
pub use worker::{KindSet, WorkerId, WorkerRecord};
