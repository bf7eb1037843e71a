//! Statements that a group looks up once.

use gristmill_core::{EndedBy, Ending, JobState, Timestamp};
use rusqlite::{CachedStatement, Connection};

/// The statements of an enqueue, looked up once a group: single enqueues come in hundreds.
pub(crate) struct Inserts<'c> {
    pub(crate) job: CachedStatement<'c>,
    pub(crate) options: CachedStatement<'c>,
    pub(crate) ready: CachedStatement<'c>,
}

impl<'c> Inserts<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            job: connection.prepare_cached(include_str!("../sql/insert_job.sql"))?,
            options: connection.prepare_cached(include_str!("../sql/insert_job_with_options.sql"))?,
            ready: connection.prepare_cached(include_str!("../sql/insert_new_ready.sql"))?,
        })
    }
}

/// The statements that end a run, looked up once a group: finishes come in thousands.
pub(crate) struct Ends<'c> {
    pub(crate) plain: CachedStatement<'c>,
    pub(crate) full: CachedStatement<'c>,
    /// What is bound to `plain` from the run before.
    pub(crate) bound: Option<Bound>,
}

/// What the runs of a batch have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) nonce: u128,
    pub(crate) ending: Ending,
    pub(crate) state: JobState,
    pub(crate) by: EndedBy,
    pub(crate) now: Timestamp,
}

impl<'c> Ends<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            plain: connection.prepare_cached(include_str!("../sql/append_plain_run.sql"))?,
            full: connection.prepare_cached(include_str!("../sql/append_run.sql"))?,
            bound: None,
        })
    }
}
