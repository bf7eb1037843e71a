//! What transactions are told when they begin.

use std::time::Duration;

/// What our own connections are started with, see `pool.rs`; no lease counts for longer.
pub(crate) const LONGEST_IDLE: Duration = Duration::from_secs(30);
/// How long a connection may wait for a user's transaction at a time.
const TURN: Duration = Duration::from_millis(200);
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// How statements are planned where nothing was set for the session: they find each row by an index, as on our own
/// connections.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off";
/// What a handler's transaction may have set otherwise.
const AS_OURS: &str = "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL statement_timeout = 0";

/// Whose the server's session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Ours, started with what its transactions need.
    Ours,
    /// A pooler's: it may be another one's next.
    Poolers,
    /// A handler's or a caller's, who has settings of his own.
    Theirs,
}

/// What the transactions of a session are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    whose: Whose,
    /// How long the server lets one wait for its next statement.
    idle: Duration,
}

impl Settings {
    /// Of a session of ours, behind a transaction pooler or not, in which nothing may be held for longer than a lease.
    pub(super) fn ours(is_pooled: bool, lease: Duration) -> Self {
        let whose = if is_pooled { Whose::Poolers } else { Whose::Ours };
        Self { whose, idle: lease.min(LONGEST_IDLE) }
    }

    /// Nothing is told until our own statements come.
    pub(super) fn theirs(self) -> Self {
        Self { whose: Whose::Theirs, ..self }
    }

    /// Whether even a single statement has to be told something.
    pub(super) fn are_of_each_statement(self) -> bool {
        self.whose == Whose::Poolers
    }

    pub(super) fn begin(self) -> String {
        self.after(BEGIN)
    }

    pub(super) fn begin_snapshot(self) -> String {
        self.after(BEGIN_SNAPSHOT)
    }

    /// It waits for others only so long.
    pub(super) fn begin_in_turns(self) -> String {
        format!("{}; SET LOCAL lock_timeout = {}", self.begin(), TURN.as_millis())
    }

    /// What a transaction of theirs is told once our own statements come.
    pub(super) fn of_ours_in_theirs(self) -> String {
        format!("{BY_INDEX}; {AS_OURS}; {}", self.idle())
    }

    fn after(self, begin: &str) -> String {
        match self.whose {
            Whose::Poolers => format!("{begin}; {BY_INDEX}; {}", self.idle()),
            Whose::Ours if self.idle < LONGEST_IDLE => format!("{begin}; {}", self.idle()),
            Whose::Ours | Whose::Theirs => begin.to_owned(),
        }
    }

    fn idle(self) -> String {
        format!("SET LOCAL idle_in_transaction_session_timeout = {}", self.idle.as_millis())
    }
}
