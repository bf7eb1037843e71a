//! From the rows of a fetch to leased jobs.

use std::collections::HashSet;

use gristmill_core::{ClaimId, FetchedJob, FinishItem, KindSet, Name, Timestamp};
use gristmill_sql::{ArgsBlocks, Unread};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::cursor::Position;
use crate::error::Answer;
use crate::member::Member;
use crate::names::Names;
use crate::row::{self, Options};

/// Where a job stands in the order of fetching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) queue: i32,
    pub(super) priority: i16,
    pub(super) run_at_ms: i64,
    pub(super) id: Uuid,
}

impl Key {
    pub(super) fn position(&self) -> Position {
        Position { run_at_ms: self.run_at_ms, id: self.id }
    }
}

/// A job that is leased now, as its queue knew it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) key: Key,
    run: i32,
    attempt: i32,
    crashes: i16,
}

impl Taken {
    /// From a row of `fetch_again.sql`.
    pub(super) fn of(row: &Row) -> Answer<Self> {
        let key = Key {
            queue: row.try_get(0)?,
            priority: row.try_get(1)?,
            run_at_ms: row.try_get(2)?,
            id: row.try_get(ID)?,
        };
        Ok(Self { key, run: row.try_get(3)?, attempt: row.try_get(4)?, crashes: row.try_get(5)? })
    }

    /// From the arrays of a queue's row of `fetch.sql`.
    fn of_queue(queue: i32, row: &Row) -> Answer<impl Iterator<Item = Self> + use<>> {
        let priorities = Values::<i16>(row.try_get(1)?);
        let run_ats = Values::<i64>(row.try_get(2)?);
        let (runs, attempts) = (Values::<i32>(row.try_get(3)?), Values::<i32>(row.try_get(4)?));
        let crashes = Values::<i16>(row.try_get(5)?);
        let ids: Vec<Uuid> = row.try_get(11)?;
        let entries = priorities.of_all().zip(run_ats.of_all()).zip(runs.of_all());
        let entries = entries.zip(attempts.of_all()).zip(crashes.of_all());
        Ok(ids.into_iter().zip(entries).map(
            move |(id, ((((priority, run_at_ms), run), attempt), crashes))| Self {
                key: Key { queue, priority, run_at_ms, id },
                run,
                attempt,
                crashes,
            },
        ))
    }
}

/// Values of jobs, one each or one for all: a server takes longer to send a number than to find that it is
/// the same.
struct Values<T>(Vec<T>);

impl<T: Copy> Values<T> {
    fn of_all(self) -> impl Iterator<Item = T> {
        let for_all = self.0.first().copied().filter(|_| self.0.len() == 1);
        let each = if for_all.is_some() { Vec::new() } else { self.0 };
        for_all.into_iter().cycle().chain(each)
    }
}

/// The column of a job's id; behind it are kind, max_attempts, args and options.
const ID: usize = 6;

/// What a statement took: the jobs as their queues knew them, and their rows.
#[derive(Default)]
pub(super) struct Haul {
    pub(super) taken: Vec<Taken>,
    rows: Vec<Row>,
}

impl Haul {
    /// Adds a row of `fetch.sql`; gives the jobs it says were taken.
    pub(super) fn add(&mut self, row: Row) -> Answer<&[Taken]> {
        let known = self.taken.len();
        match row.try_get::<_, Option<i32>>(0)? {
            Some(queue) => self.taken.extend(Taken::of_queue(queue, &row)?),
            None => self.rows.push(row),
        }
        Ok(&self.taken[known..])
    }

    /// Some jobs have no row.
    pub(super) fn is_short(&self) -> bool {
        self.rows.len() < self.taken.len()
    }
}

/// Rows of jobs by their ids.
pub(super) struct Rows<'r> {
    /// In the order of the ids.
    rows: Vec<(Uuid, &'r Row)>,
    /// Where the next one is looked for first.
    next: usize,
}

impl<'r> Rows<'r> {
    /// The rows of a haul, and those of `fetch_again.sql` for the jobs that have none there.
    pub(super) fn of(haul: &'r Haul, again: &'r [Row]) -> Answer<Self> {
        let mut rows = Vec::with_capacity(haul.rows.len() + again.len());
        for row in haul.rows.iter().chain(again) {
            rows.push((row.try_get(ID)?, row));
        }
        rows.sort_unstable_by_key(|(id, _)| *id);
        Ok(Self { rows, next: 0 })
    }

    pub(super) fn find(&mut self, id: Uuid) -> Option<&'r Row> {
        if self.rows.get(self.next).is_none_or(|(next, _)| *next != id) {
            self.next = self.rows.partition_point(|(other, _)| *other < id);
        }
        let (found, row) = self.rows.get(self.next)?;
        self.next += 1;
        (*found == id).then_some(*row)
    }
}

/// Jobs of a claim.
pub(super) struct Batch<'n> {
    names: &'n Names,
    /// The kinds of the worker.
    handled: &'n KindSet,
    claim: ClaimId,
    jobs: Vec<FetchedJob>,
    args: ArgsBlocks,
    /// The kind of the job before, and whether it is the worker's: mostly that of the next one, too.
    kind: Option<(Name, bool)>,
    unknown: Vec<UnknownJob>,
    /// The ends of those that do not decode.
    bad: Vec<FinishItem>,
}

/// A leased job of a kind that the worker has no handler for.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnknownJob {
    pub(super) key: Key,
    pub(super) nonce: Uuid,
}

impl<'n> Batch<'n> {
    /// Room for so many jobs of a claim.
    pub(super) fn new(names: &'n Names, handled: &'n KindSet, claim: ClaimId, jobs: usize) -> Self {
        let (jobs, args) = (Vec::with_capacity(jobs), ArgsBlocks::default());
        Self { names, handled, claim, jobs, args, kind: None, unknown: Vec::new(), bad: Vec::new() }
    }

    /// Adds a job whose row it is, or its end if it does not decode.
    pub(super) fn add(&mut self, queue: &Name, nonce: Uuid, taken: &Taken, row: &Row) -> Answer<()> {
        let key = taken.key;
        let run = row::count32(taken.run);
        let attempt = row::count16(taken.attempt);
        let crashes = row::count16(taken.crashes.into());
        let kind = self.kind(row::get(row, ID + 1)?);
        let left = self.jobs.capacity() - self.jobs.len();
        let args = self.args.keep(row::get(row, ID + 3)?, left.max(1));
        let (kind, bad) = match kind {
            Ok((kind, is_handled)) => {
                if !is_handled {
                    self.unknown.push(UnknownJob { key, nonce });
                }
                (kind, None)
            }
            Err(what) => (Name::unreadable(), Some(what)),
        };
        let mut spec = row::spec(kind, queue.clone(), key.priority, row::get(row, ID + 2)?, args);
        let (mut may_hold_key, mut has_plain_end) = (false, true);
        if let Some(options) = row.try_get::<_, Option<&str>>(ID + 4)? {
            let options = Options::parse(Some(options));
            (may_hold_key, has_plain_end) = (options.may_hold_key, options.has_plain_end());
            options.into_spec(&mut spec);
        }
        let member = Member {
            queue: key.queue,
            run_at: Timestamp::from_millis(key.run_at_ms),
            attempt,
            max_attempts: spec.max_attempts.get(),
            crashes,
            priority: key.priority,
            is_unique: may_hold_key,
            has_retention: spec.retention.is_some(),
            has_plain_end,
        };
        let lease = member.lease(nonce, self.claim, row::job_id(key.id), run);
        if let Some(what) = bad {
            self.bad.push(FinishItem::undecodable(lease, &what));
            return Ok(());
        }
        self.jobs.push(FetchedJob::new(lease, attempt, crashes, member.run_at, spec));
        Ok(())
    }

    /// The jobs, and the ends of those that do not decode.
    pub(super) fn into_jobs(self) -> (Vec<FetchedJob>, Vec<FinishItem>) {
        (self.jobs, self.bad)
    }

    /// Those of its jobs that the worker has no handler for.
    pub(super) fn unknown(&self) -> &[UnknownJob] {
        &self.unknown
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Leaves out jobs that are parked now.
    pub(super) fn leave_out(&mut self, parked: &HashSet<Uuid>) {
        self.jobs.retain(|job| !parked.contains(&row::uuid(job.lease.job)));
    }

    /// The kind with this text and whether it is the worker's, or what is there instead of one.
    fn kind(&mut self, text: &str) -> Result<(Name, bool), String> {
        if let Some(known) = self.kind.as_ref().filter(|(kind, _)| kind.as_str() == text) {
            return Ok(known.clone());
        }
        let kind = self.names.kind(text).ok_or_else(|| {
            let mut unread = Unread::default();
            unread.note("kind", text);
            unread.into_text().unwrap_or_default()
        })?;
        let known = (kind, self.handled.handles(text));
        self.kind = Some(known.clone());
        Ok(known)
    }
}
