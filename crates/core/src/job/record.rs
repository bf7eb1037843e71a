//! Jobs, runs and queues as the inspection shows them.

use crate::escape::escape;
use crate::{Ending, FinishItem, JobId, JobSpec, JobState, Name, Output, RunError, Timestamp, WorkerId};

/// A job with all that a store knows of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// What was enqueued.
    pub spec: JobSpec,
    /// Where it is.
    pub state: JobState,
    /// Attempts spent; the current one included while it runs.
    pub attempt: u16,
    /// Leases granted; never reset.
    pub run: u32,
    /// Crashes in a row.
    pub crashes: u16,
    /// When it is, or was last, due.
    pub run_at: Timestamp,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When its latest run was fetched.
    pub attempted_at: Option<Timestamp>,
    /// When it ended; `None` while it is not terminal.
    pub finished_at: Option<Timestamp>,
    /// The worker of its latest run.
    pub worker: Option<WorkerId>,
    /// A cancel was asked for while it ran.
    pub cancel_requested: bool,
    /// Why it is where it is, where that needs saying: `no handler`, `poison`, an operator's or handler's
    /// words.
    pub reason: Option<String>,
    /// What it returned.
    pub output: Option<Output>,
    /// How far the running attempt says it is, in per cent.
    pub progress: Option<u8>,
    /// What went wrong so far, oldest first; the last 20.
    pub errors: Vec<RunFailure>,
    /// What of the stored row this version cannot read, such as ``kind `two words` ``; `None` for a row that
    /// is in order. The members that it names hold a stand-in: [`Name::UNREADABLE`] for a name, the default
    /// for all else.
    pub undecodable: Option<String>,
}

impl JobRecord {
    /// The most failures a record shows.
    pub const MAX_ERRORS: usize = 20;

    /// A record of a job that has not run; the remaining members are public.
    pub fn new(id: JobId, spec: JobSpec, state: JobState, run_at: Timestamp, created_at: Timestamp) -> Self {
        Self {
            id,
            spec,
            state,
            attempt: 0,
            run: 0,
            crashes: 0,
            run_at,
            created_at,
            attempted_at: None,
            finished_at: None,
            worker: None,
            cancel_requested: false,
            reason: None,
            output: None,
            progress: None,
            errors: Vec::new(),
            undecodable: None,
        }
    }
}

/// One entry of a job's error history.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunFailure {
    /// Which attempt.
    pub attempt: u16,
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub ending: Ending,
    /// In the error's own words.
    pub message: String,
}

impl RunFailure {
    /// The entry a run leaves, if it ended badly.
    pub fn of(run: &RunRecord) -> Option<Self> {
        let message = match (&run.error, run.ending) {
            (Some(error), _) => error.message.clone(),
            (None, Ending::Crashed) => "the worker's lease expired".to_owned(),
            (None, _) => return None,
        };
        Some(Self { attempt: run.attempt, at: run.finished_at, ending: run.ending, message })
    }
}

/// One run of a job that has ended: a row of its timeline.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunRecord {
    /// Which lease of the job it was.
    pub run: u32,
    /// Which attempt it was when it was fetched.
    pub attempt: u16,
    /// How it ended.
    pub ending: Ending,
    /// The state the job went to.
    pub state: JobState,
    /// Who ran it.
    pub worker: WorkerId,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// When its handler was started, by the worker's word; `None` when it never was.
    pub started_at: Option<Timestamp>,
    /// When its end was stored.
    pub finished_at: Timestamp,
    /// Why it went there, where that needs saying.
    pub reason: Option<String>,
    /// What went wrong.
    pub error: Option<RunError>,
    /// The lines it logged.
    pub log: Vec<LogLine>,
    /// What of the stored row this version cannot read, as in [`JobRecord::undecodable`].
    pub undecodable: Option<String>,
}

impl RunRecord {
    /// A record of a run; the remaining members are public.
    pub fn new(
        run: u32,
        attempt: u16,
        ending: Ending,
        state: JobState,
        worker: WorkerId,
        fetched_at: Timestamp,
        finished_at: Timestamp,
    ) -> Self {
        Self {
            run,
            attempt,
            ending,
            state,
            worker,
            fetched_at,
            started_at: None,
            finished_at,
            reason: None,
            error: None,
            log: Vec::new(),
            undecodable: None,
        }
    }
}

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogLine {
    /// When it was written, by the worker's clock.
    pub at: Timestamp,
    /// The text, without control characters.
    pub text: String,
}

impl LogLine {
    /// The most bytes of one line's text.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// A line without its line end: at most [`Self::MAX_BYTES`], cut with `…`, control characters but tabs
    /// escaped.
    ///
    /// ```
    /// use gristmill_core::{LogLine, Timestamp};
    ///
    /// assert_eq!(LogLine::new(Timestamp::EPOCH, "a\tb\0\r\n").text, "a\tb\\u{0}");
    /// ```
    pub fn new(at: Timestamp, text: &str) -> Self {
        let text = text.trim_end_matches(['\r', '\n']);
        Self { at, text: escape(text, Self::MAX_BYTES, &['\t']) }
    }

    /// Takes lines, newest first, until they use up `room` bytes, and returns them oldest first. `room`
    /// starts at [`MAX_BATCH_BYTES`](crate::MAX_BATCH_BYTES) for the newest run of a job and is handed on to
    /// the ones before it.
    ///
    /// # Errors
    /// That of the first line which cannot be read.
    pub fn newest<E>(
        lines: impl IntoIterator<Item = Result<Self, E>>,
        room: &mut usize,
    ) -> Result<Vec<Self>, E> {
        let mut taken = Vec::new();
        let mut lines = lines.into_iter();
        while *room > 0 {
            let Some(line) = lines.next().transpose()? else { break };
            *room = room.saturating_sub(line.text.len());
            taken.push(line);
        }
        taken.reverse();
        Ok(taken)
    }
}

/// Something that happened to a job outside a lease: an operator's act, a stale finish. The last 100 are
/// kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobEvent {
    /// When.
    pub at: Timestamp,
    /// What: `cancel`, `retry`, `update`, `stale finish`, …
    pub what: String,
    /// Name of the operator, if one was given.
    pub actor: Option<String>,
    /// More, where there is more to say.
    pub detail: Option<String>,
}

impl JobEvent {
    /// The most events that are kept of a job.
    pub const KEPT: usize = 100;

    /// An event.
    pub fn new(
        at: Timestamp,
        what: impl Into<String>,
        actor: Option<String>,
        detail: Option<String>,
    ) -> Self {
        Self { at, what: what.into(), actor, detail }
    }

    /// The event of a finish that came too late. The store counts it, too: see
    /// [`Finished::is_stale`](crate::Finished::is_stale).
    pub fn stale_finish(at: Timestamp, item: &FinishItem) -> Self {
        Self::new(at, "stale finish", None, Some(format!("run {}, {}", item.lease.run, item.ending)))
    }
}

/// A queue as the inspection shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueRecord {
    /// Its name.
    pub name: Name,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Why it is paused, as given with the pause.
    pub pause_reason: Option<String>,
    /// The operator that paused it, as given with the pause.
    pub paused_by: Option<String>,
    /// What of the stored row this version cannot read, as in [`JobRecord::undecodable`].
    pub undecodable: Option<String>,
}

impl QueueRecord {
    /// A queue that is not paused.
    pub fn new(name: Name) -> Self {
        Self { name, paused_at: None, pause_reason: None, paused_by: None, undecodable: None }
    }

    /// Whether new fetches get nothing.
    pub fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }
}
