//! What the writer knows outside of a group.

use std::sync::Arc;
use std::time::Instant;

use gristmill_core::KindSet;
use gristmill_sql::Interner;

use crate::batch::Batches;
use crate::claim::Claims;
use crate::migrate::Neighbours;
use crate::names::Queues;
use crate::request_pass::RequestPass;

/// What the writer remembers from group to group; all of it can be read again.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) queues: Queues,
    pub(crate) kinds: Interner,
    pub(crate) claims: Claims,
    pub(crate) batches: Batches,
    pub(crate) latest_kinds: LatestKinds,
    /// The schema was found to serve this program since another process wrote.
    pub(crate) is_schema_checked: bool,
    pub(crate) request_pass: RequestPass,
    /// Operations that were run since the latest round of requests.
    pub(crate) operations: u64,
    /// When that round began, if it left requests for the next one.
    pub(crate) full_round: Option<Instant>,
}

impl Memory {
    /// After a rollback.
    pub(crate) fn forget(&mut self) {
        self.queues.forget();
        self.claims.forget();
        // A migration may have been undone.
        self.is_schema_checked = false;
        self.request_pass.begin_again();
    }
}

/// The kinds of the worker that fetched last, as text and as a set: mostly the next fetch is of the same
/// worker, or of one with the same handlers.
pub(crate) type LatestKinds = Option<(String, Arc<KindSet>)>;

/// What operations have to know of the backend they run in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) durability: gristmill_core::Durability,
    pub(crate) busy_timeout: std::time::Duration,
    /// Whether a listener wants to know of each end.
    pub(crate) watch_ends: bool,
    pub(crate) neighbours: Neighbours,
}
