//! The settings that transactions begin with.

use std::time::Duration;

use crate::call::time_left;

/// What our own connections are started with, see `pool.rs`; no lease counts for longer.
pub(crate) const LONGEST_IDLE: Duration = Duration::from_secs(30);
/// How long a statement waits for a lock. It may be a user's transaction that holds it, for hours: then the
/// statement ends with an error, its connection goes to the next call, and its own call is begun anew a
/// moment later, until its deadline. So nothing of ours waits on the server for longer, not even when this
/// process is killed. Behind a pooler, where no statement is cancelled, it ends with its call by a timeout.
pub(crate) const TURN: Duration = Duration::from_millis(200);
/// How long the server lets a transaction wait for its next statement that holds what many want: a process
/// that is stopped in the middle delays the others by that.
const BRIEF: Duration = Duration::from_secs(2);
/// How long a statement waits that looks which of many rows are locked.
const HASTE: Duration = Duration::from_millis(20);
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// How statements are planned where nothing was set for the session: they find each row by an index, as on
/// our own connections.
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

/// The settings of a session's transactions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    whose: Whose,
    /// How long the server lets one wait for its next statement.
    idle: Duration,
}

impl Settings {
    /// Of a session of ours, behind a transaction pooler or not, in which nothing may be held for longer than
    /// a lease.
    pub(super) fn ours(is_pooled: bool, lease: Duration) -> Self {
        let whose = if is_pooled { Whose::Poolers } else { Whose::Ours };
        Self { whose, idle: lease.min(LONGEST_IDLE) }
    }

    /// Sets nothing until our own statements come.
    pub(super) fn theirs(self) -> Self {
        Self { whose: Whose::Theirs, ..self }
    }

    /// Whether even a single statement needs settings sent with it.
    pub(super) fn are_of_each_statement(self) -> bool {
        self.whose == Whose::Poolers
    }

    pub(super) fn begin(self) -> String {
        self.after(BEGIN)
    }

    pub(super) fn begin_snapshot(self) -> String {
        self.after(BEGIN_SNAPSHOT)
    }

    /// It waits for a lock no longer than commits take.
    pub(super) fn begin_hasty(self) -> String {
        format!("{}; {}", self.begin(), lock_timeout(HASTE))
    }

    /// The server ends it soon when it hears nothing.
    pub(super) fn brief(self) -> Self {
        Self { idle: self.idle.min(BRIEF), ..self }
    }

    /// Whether the session has settings of its own user's.
    pub(super) fn are_theirs(self) -> bool {
        self.whose == Whose::Theirs
    }

    /// The settings for a transaction of theirs once our own statements come. Our statements wait for locks
    /// for 90 % of the time left, since the transaction cannot be begun anew.
    pub(super) fn of_ours_in_theirs(self) -> String {
        format!("{BY_INDEX}; {AS_OURS}; {}; {}", lock_timeout(time_left() * 9 / 10), self.idle())
    }

    fn after(self, begin: &str) -> String {
        match self.whose {
            Whose::Poolers => {
                let (turn, deadline) = (lock_timeout(TURN), milliseconds(time_left()));
                let idle = self.idle();
                format!("{begin}; {BY_INDEX}; {turn}; SET LOCAL statement_timeout = {deadline}; {idle}")
            }
            Whose::Ours if self.idle < LONGEST_IDLE => format!("{begin}; {}", self.idle()),
            Whose::Ours | Whose::Theirs => begin.to_owned(),
        }
    }

    fn idle(self) -> String {
        format!("SET LOCAL idle_in_transaction_session_timeout = {}", self.idle.as_millis())
    }
}

fn lock_timeout(timeout: Duration) -> String {
    format!("SET LOCAL lock_timeout = {}", milliseconds(timeout))
}

/// As the server takes it; none is 0, which would be no limit.
fn milliseconds(time: Duration) -> u128 {
    time.as_millis().clamp(1, i32::MAX.unsigned_abs().into())
}
