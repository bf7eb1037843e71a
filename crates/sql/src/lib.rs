//! What the SQL backends of Gristmill share: the numbers and texts that stand for values in columns, queues
//! by number, the order of migrations, which program may use which schema, the requests of an outbox, and
//! where fetched args lie.
//!
//! It is made for those backends alone and follows their needs. There is no layer over dialects here: each
//! backend has its own statements, its own schema and its own errors, which are of its driver.

mod args;
mod column;
mod diagnosis;
mod failing;
mod lenient;
mod migrations;
mod names;
mod options;
mod requests;
mod unread;
mod versions;

pub use args::ArgsBlocks;
pub use column::{
    amount, count16, count32, duration, ended_by, ended_by_number, ending, ending_number, has_options,
    max_attempts, millis, priority, run_error, size, state, state_number, write_names,
};
pub use diagnosis::{requests_finding, waiting_requests_finding};
pub use failing::{FailedRequest, RequestFailures};
pub use lenient::{read_metadata, read_names, read_retention, read_retry};
pub use migrations::{Migration, Migrations};
pub use names::{Interner, QueueNumbers};
pub use options::Options;
pub use requests::{
    REQUEST_PAUSE, REQUEST_REFUSED, REQUESTS_PER_ROUND, StoredRequest, refusal_detail, request_groups,
    write_patch,
};
pub use unread::Unread;
pub use versions::{
    OUTBOX_PROTOCOLS, POSTGRES_COMPATIBLE_FROM, POSTGRES_SCHEMA, SQLITE_COMPATIBLE_FROM, SQLITE_SCHEMA,
    SchemaVersion,
};
