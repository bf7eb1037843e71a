//! The one writer of a process: group commit.
//!
//! The thread owns the only connection of the process that writes. It takes everything that waits, runs it
//! inside one `BEGIN IMMEDIATE` transaction of at most [`GROUP_WORK`] and about [`MAX_BATCH_BYTES`], commits,
//! and only then answers and tells the listeners. An operation that breaks rolls the whole group back, and
//! each of its operations is run again in a transaction of its own: a savepoint for each would cost every
//! group what this costs a rare one.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_core::{Clock, Listeners, MAX_BATCH_BYTES};
use rusqlite::Connection;

use crate::error::{is_busy, of_sqlite, timed_out};
use crate::group::Group;
use crate::inbox::{Inbox, Taken};
use crate::memory::{Memory, Settings};
use crate::notify;
use crate::opened::Opened;
use crate::remark::{self, Remark};
use crate::task::{Due, Spoil, Task};

/// How long a group may work before it commits: other processes wait for the file, and callers for their
/// answer.
const GROUP_WORK: Duration = Duration::from_millis(20);
/// What comes while a group works joins it within this time: the finishes of one batch and the fetch of
/// another then share a commit, which at `synchronous=FULL` costs as much as a thousand jobs' work.
const JOIN_WITHIN: Duration = Duration::from_millis(3);
/// How often an idle writer with listeners looks whether another process has written.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// After another process has written, it is taken to live this long.
const OTHERS_LIVE: Duration = Duration::from_secs(1);
/// With others alive, the file is left alone after this much work …
const WORK_BEFORE_YIELD: Duration = Duration::from_millis(10);
/// … for as long as one step of their wait, at least.
const YIELD: Duration = Duration::from_millis(2);
/// A step of the wait for the file. SQLite's own handler sleeps up to 100 ms and starves beside a busy
/// process.
const BUSY_STEP: Duration = Duration::from_millis(1);

pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) inbox: Arc<Inbox<Box<dyn Task>>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) listeners: Listeners,
    pub(crate) settings: Settings,
    pub(crate) memory: Memory,
    pub(crate) others: Others,
    /// Commits the transaction. A test puts a disk that fails in its place.
    pub(crate) commit: fn(&Connection) -> rusqlite::Result<()>,
    pub(crate) opened: Arc<Opened>,
}

/// What is known of other processes on the file.
#[derive(Debug, Default)]
pub(crate) struct Others {
    version: Option<i64>,
    seen: Option<Instant>,
    worked: Duration,
}

/// Whether other operations are in the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    /// There may be.
    Many,
    /// There are none: a transaction that is rolled back undoes this operation alone.
    Alone,
}

/// Why a group came to nothing.
enum Spoiled {
    /// One of its operations, or what it summed up.
    Before(Spoil),
    /// The commit itself failed: what the group did may be there.
    AtCommit(rusqlite::Error),
}

impl From<Spoil> for Spoiled {
    fn from(spoil: Spoil) -> Self {
        Self::Before(spoil)
    }
}

impl Writer {
    /// Works until the inbox is closed and empty.
    pub(crate) fn run(mut self) {
        let mut waiting = VecDeque::new();
        loop {
            let patience = (!self.listeners.is_empty()).then_some(LOOK_EVERY);
            match self.inbox.take_all(&mut waiting, patience) {
                Taken::Some => {}
                Taken::Nothing => {
                    self.look_for_others();
                    continue;
                }
                Taken::Closed => break,
            }
            let group = catch_unwind(AssertUnwindSafe(|| self.group(&mut waiting, Company::Many)));
            if group.is_err() {
                // The callers of the group see their answer's channel end.
                self.roll_back();
            }
        }
    }

    fn group(&mut self, waiting: &mut VecDeque<Box<dyn Task>>, company: Company) {
        while let Err(error) = self.opened.check() {
            let Some(task) = waiting.pop_front() else { return };
            task.fail(error);
        }
        if let Err(error) = self.begin() {
            for task in waiting.drain(..) {
                task.fail(of_sqlite(&error));
            }
            return;
        }
        self.look_for_others();
        let started = Instant::now();
        let mut tasks = Vec::with_capacity(waiting.len());
        let worked = self.work(waiting, &mut tasks, started, company);
        self.others.worked += started.elapsed();
        match worked {
            Ok(remarks) => {
                self.answer(tasks);
                remark::log(remarks);
            }
            Err(spoiled) => self.redo(tasks, spoiled, company),
        }
        self.let_others();
    }

    /// Answers the tasks of a group that is committed. One look tells whether it went to the file that is
    /// there.
    fn answer(&self, tasks: Vec<Box<dyn Task>>) {
        if self.opened.check().is_ok() {
            return tasks.into_iter().for_each(Task::answer);
        }
        for task in tasks {
            match self.opened.check() {
                Ok(()) => task.answer(),
                Err(error) => task.fail(error.maybe_stored()),
            }
        }
    }

    /// Runs what waits until its time or its bytes are used up, commits, and tells the listeners. One that is
    /// to be alone takes in nothing that comes meanwhile. Returns what the log is to say.
    fn work(
        &mut self,
        waiting: &mut VecDeque<Box<dyn Task>>,
        tasks: &mut Vec<Box<dyn Task>>,
        started: Instant,
        company: Company,
    ) -> Result<Vec<Remark>, Spoiled> {
        let settings = Settings { watch_ends: self.listeners.watch_ends(), ..self.settings };
        let mut group = Group::new(&self.connection, &mut self.memory, settings);
        loop {
            if waiting.is_empty() && company == Company::Many && started.elapsed() < JOIN_WITHIN {
                self.inbox.take_more(waiting);
            }
            let Some(mut task) = waiting.pop_front() else { break };
            match task.is_due() {
                Due::Yes => {}
                Due::Late => {
                    task.fail(timed_out());
                    continue;
                }
                Due::Unwanted => continue,
            }
            group.memory.operations += 1;
            let ran = task.run(&mut group, &*self.clock);
            tasks.push(task);
            ran?;
            if started.elapsed() >= GROUP_WORK || group.sums.bytes >= MAX_BATCH_BYTES {
                break;
            }
        }
        group.flush().map_err(Spoil::Broken)?;
        let hints = group.take_hints();
        let remarks = std::mem::take(&mut group.sums.remarks);
        drop(group);
        (self.commit)(&self.connection).map_err(Spoiled::AtCommit)?;
        self.listeners.send(&hints);
        Ok(remarks)
    }

    /// A spoiled group is undone; one bad operation does not take its neighbours down. What may be stored is
    /// not run again.
    fn redo(&mut self, tasks: Vec<Box<dyn Task>>, spoiled: Spoiled, company: Company) {
        self.roll_back();
        let is_last = company == Company::Alone || tasks.len() == 1;
        match spoiled {
            Spoiled::AtCommit(error) => {
                for task in tasks {
                    task.fail(of_sqlite(&error).maybe_stored());
                }
            }
            Spoiled::Before(Spoil::Broken(error)) if is_last => {
                for task in tasks {
                    task.fail(of_sqlite(&error));
                }
            }
            Spoiled::Before(Spoil::Refused) if is_last => {
                for task in tasks {
                    task.answer();
                }
            }
            Spoiled::Before(_) => {
                for task in tasks {
                    self.group(&mut VecDeque::from([task]), Company::Alone);
                }
            }
        }
    }

    fn roll_back(&mut self) {
        if !self.connection.is_autocommit() {
            // A failure here leaves nothing to undo: SQLite has rolled back by itself.
            let _ = execute(&self.connection, "ROLLBACK");
        }
        self.memory.forget();
    }

    /// Takes the file for writing from the beginning. A transaction that becomes a writer later fails at once
    /// if another connection has written meanwhile, whatever the busy timeout.
    fn begin(&self) -> rusqlite::Result<()> {
        let since = Instant::now();
        loop {
            match execute(&self.connection, "BEGIN IMMEDIATE") {
                Err(error) if is_busy(&error) && since.elapsed() < self.settings.busy_timeout => {
                    std::thread::park_timeout(BUSY_STEP + Duration::from_micros(fastrand::u64(..1_000)));
                }
                begun => return begun,
            }
        }
    }

    /// Another process has written since the last look: it lives, and what it stored may be worth a look.
    fn look_for_others(&mut self) {
        let version = notify::data_version(&self.connection);
        let Ok(version) = version else { return };
        let known = self.others.version.replace(version);
        self.memory.is_schema_checked &= known == Some(version);
        if known.is_some_and(|known| known != version) {
            self.others.seen = Some(Instant::now());
            // It may have put an older copy in place, in which other queues have these numbers.
            self.memory.queues.forget();
            if !self.listeners.is_empty() {
                let now = self.clock.now();
                self.listeners.send(&notify::hints_of_others(&self.connection, &mut self.memory, now));
            }
        }
    }

    fn let_others(&mut self) {
        let live = self.others.seen.is_some_and(|seen| seen.elapsed() < OTHERS_LIVE);
        if live && self.others.worked >= WORK_BEFORE_YIELD {
            self.others.worked = Duration::ZERO;
            std::thread::park_timeout(YIELD);
        }
    }
}

pub(crate) fn commit(connection: &Connection) -> rusqlite::Result<()> {
    execute(connection, "COMMIT")
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests;
