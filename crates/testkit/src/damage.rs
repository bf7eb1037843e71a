//! Stored values that no backend writes.

use gristmill_core::{JobId, Name, WorkerId};

/// What of a stored row is made unreadable, as a newer version, a manual edit or a damaged page may do.
/// Nothing else of the store changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// A job's kind becomes `two words`.
    Kind(JobId),
    /// A job's args become bytes that are no text.
    Args(JobId),
    /// A job's policies, tags and metadata become texts that are no JSON.
    Options(JobId),
    /// A job's bound of attempts becomes -1.
    MaxAttempts(JobId),
    /// The run of an available job becomes -7.
    Run(JobId),
    /// The next run of an available job is the last one that the store can number.
    LastRun(JobId),
    /// The priority of an available job becomes 99, wherever it is stored.
    Priority(JobId),
    /// The attempt and the crashes of an available job become the largest numbers that their columns hold.
    Counts(JobId),
    /// The state of a waiting job, or of one that was cancelled or discarded, becomes 99.
    State(JobId),
    /// The ending and the state of a job's ended runs become 77, and who ended them 9.
    Ending(JobId),
    /// The name of a queue becomes `two words`.
    Queue(Name),
    /// The queues and kinds of a worker become texts that are no JSON.
    Worker(WorkerId),
}

/// How a store damages its own rows.
pub(crate) type Hook = Box<dyn Fn(&Damage) + Send + Sync>;
