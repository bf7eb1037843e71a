//! One transaction of the writer, and what its operations sum up until the commit.

use std::collections::{BTreeMap, HashMap, HashSet};

use gristmill_core::{BackendError, BackendErrorKind, Hint, JobId, JobState, Name, Timestamp};
use rusqlite::{CachedStatement, Connection, params};

use crate::error::Answer;
use crate::memory::{Memory, Settings};
use crate::migrate;
use crate::remark::Remark;
use crate::run_key::LAST_SEQ;
use crate::statements::{Ends, Inserts};

/// A transaction with everything that waited for it.
pub(crate) struct Group<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) memory: &'c mut Memory,
    pub(crate) settings: Settings,
    pub(crate) inserts: Option<Inserts<'c>>,
    pub(crate) ends: Option<Ends<'c>>,
    pub(crate) sums: Sums,
}

/// What the operations of a transaction sum up until its commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    pub(crate) hints: Vec<Hint>,
    earliest_due: Option<Timestamp>,
    /// A job was erased in this transaction: what an operation knows of its claims may be out of date.
    pub(crate) has_erased: bool,
    /// Erased jobs that claims may list.
    pub(crate) erased: HashSet<i64>,
    /// Jobs whose old runs go, and the run that has just ended.
    pub(crate) trimmed: HashMap<i64, u32>,
    /// Bytes that operations brought with them: args, options, outputs, errors, checkpoints and logs.
    pub(crate) bytes: usize,
    /// For the log, once it is committed.
    pub(crate) remarks: Vec<Remark>,
    counts: Vec<(i64, [i64; 8])>,
    expiries: BTreeMap<i64, Vec<u8>>,
    next_seq: Option<i64>,
    stale_finishes: i64,
    has_cancels: Option<bool>,
}

/// How much a transaction had changed at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    rows: u64,
    stale_finishes: i64,
}

impl<'c> Group<'c> {
    pub(crate) fn new(connection: &'c Connection, memory: &'c mut Memory, settings: Settings) -> Self {
        Self { connection, memory, settings, inserts: None, ends: None, sums: Sums::default() }
    }

    /// Where the transaction is now, to see later whether it has changed anything.
    pub(crate) fn mark(&self) -> Mark {
        Mark { rows: self.connection.total_changes(), stale_finishes: self.sums.stale_finishes }
    }

    /// Refuses to go on with a schema that does not serve this program.
    pub(crate) fn check_schema(&mut self) -> Answer<()> {
        if !self.memory.is_schema_checked {
            migrate::check_again(self.connection)?;
            self.memory.is_schema_checked = true;
        }
        Ok(())
    }

    /// A statement, prepared once a connection.
    pub(crate) fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        self.connection.prepare_cached(sql)
    }

    pub(crate) fn queue(&mut self, name: &Name) -> Answer<i64> {
        self.memory.queues.number(self.connection, name)
    }

    pub(crate) fn queue_name(&mut self, queue: i64) -> Answer<Name> {
        self.memory.queues.name(self.connection, queue)
    }

    /// The place of the next job in the order of enqueueing. A number is never given twice, deletions or not,
    /// so an old claim can never mean a new job.
    pub(crate) fn next_seq(&mut self) -> Answer<i64> {
        let seq = match self.sums.next_seq {
            Some(seq) => seq,
            None => self
                .prepare("SELECT value FROM meta WHERE name = 'next_seq'")?
                .query_row([], |row| row.get(0))?,
        };
        if seq > LAST_SEQ {
            let message = "the file has given each of its 2^41 numbers to a job";
            return Err(BackendError::new(BackendErrorKind::Full, message).into());
        }
        self.sums.next_seq = Some(seq + 1);
        Ok(seq)
    }

    /// A number that was taken for a job that was not stored.
    pub(crate) fn return_seq(&mut self, seq: i64) {
        self.sums.next_seq = Some(seq);
    }

    /// `amount` more, or fewer, jobs of a queue are in a state.
    pub(crate) fn count(&mut self, queue: i64, state: JobState, amount: i64) {
        let known = self.sums.counts.iter().position(|(other, _)| *other == queue);
        let place = known.unwrap_or_else(|| {
            self.sums.counts.push((queue, [0; 8]));
            self.sums.counts.len() - 1
        });
        self.sums.counts[place].1[state.index()] += amount;
    }

    /// The retention of an ended job passes then.
    pub(crate) fn expire(&mut self, seq: i64, delete_at: Timestamp) {
        self.sums.expiries.entry(delete_at.as_millis()).or_default().extend_from_slice(&seq.to_le_bytes());
    }

    pub(crate) fn count_stale_finish(&mut self) {
        self.sums.stale_finishes += 1;
    }

    /// Whether a cancel of any running job is stored: mostly none is, and nothing need be looked up a job.
    pub(crate) fn has_cancels(&mut self) -> Answer<bool> {
        if let Some(known) = self.sums.has_cancels {
            return Ok(known);
        }
        let found = self.prepare("SELECT EXISTS (SELECT 1 FROM cancels)")?.query_row([], |row| row.get(0))?;
        self.sums.has_cancels = Some(found);
        Ok(found)
    }

    pub(crate) fn cancels_changed(&mut self) {
        self.sums.has_cancels = None;
    }

    /// Notes that a job of the queue became available. As a rule, a group sends one such hint per queue.
    pub(crate) fn hint_available(&mut self, queue: i64) -> Answer<()> {
        let name = self.queue_name(queue)?;
        if name.as_str() == Name::UNREADABLE {
            // No fetch requests this queue.
            return Ok(());
        }
        let told = |hint: &Hint| matches!(hint, Hint::Available(other) if *other == name);
        if !self.sums.hints.iter().rev().take(64).any(told) {
            self.sums.hints.push(Hint::Available(name));
        }
        Ok(())
    }

    /// Notes that a job waits until then. A group sends one hint, with the earliest instant.
    pub(crate) fn hint_due(&mut self, due: Timestamp) {
        self.sums.earliest_due = Some(self.sums.earliest_due.map_or(due, |earliest| earliest.min(due)));
    }

    /// Takes the hints to send to the listeners after the commit.
    pub(crate) fn take_hints(&mut self) -> Vec<Hint> {
        self.sums.hints.extend(self.sums.earliest_due.take().map(Hint::Due));
        std::mem::take(&mut self.sums.hints)
    }

    pub(crate) fn hint_ended(&mut self, id: JobId) {
        if self.settings.watch_ends {
            self.sums.hints.push(Hint::Ended(id));
        }
    }

    /// Writes what was summed up: the last act before the commit.
    pub(crate) fn flush(&mut self) -> rusqlite::Result<()> {
        self.mark_pruned()?;
        self.trim_runs()?;
        if let Some(next_seq) = self.sums.next_seq {
            self.prepare("UPDATE meta SET value = ?1 WHERE name = 'next_seq'")?.execute([next_seq])?;
        }
        if self.sums.stale_finishes > 0 {
            self.prepare("UPDATE meta SET value = value + ?1 WHERE name = 'stale_finishes'")?
                .execute([self.sums.stale_finishes])?;
        }
        if !self.sums.expiries.is_empty() {
            let mut insert = self.prepare("INSERT INTO expiries (delete_at, seqs) VALUES (?1, ?2)")?;
            for (delete_at, seqs) in &self.sums.expiries {
                insert.execute(params![delete_at, seqs])?;
            }
        }
        let mut add = self.prepare(include_str!("../sql/add_count.sql"))?;
        for (queue, states) in &self.sums.counts {
            for (state, amount) in (0_i64..).zip(states).filter(|(_, amount)| **amount != 0) {
                add.execute(params![queue, state, amount])?;
            }
        }
        Ok(())
    }
}
