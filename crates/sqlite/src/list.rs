//! Lists: pages of jobs that match, by id, with bounded work.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gristmill_core::{
    Count, Cursor, JobFilter, JobId, JobRecord, JobState, ListRequest, MAX_BATCH_BYTES, Order, Page,
};
use rusqlite::{Connection, Row, params};

use crate::claim::members;
use crate::error::Answer;
use crate::inspect::{Listed, complete, read_listed};
use crate::locate::{find_leases, jobs_where};
use crate::row;

/// Jobs one call looks at, at most, once it has found one: a page may be short, never slow. An empty one is
/// not worth its call, so the search for the first job goes on for as long as the caller's patience.
const SCAN_LIMIT: usize = 10_000;
/// Jobs that are read at once, at most.
const CHUNK: usize = 500;
/// Jobs in the wanted places, up to this many, are found by their places instead of a walk over all jobs.
const FEW: usize = 10_000;

pub(crate) fn list(
    connection: &Connection,
    request: &ListRequest,
    patience: Duration,
) -> Answer<Page<JobRecord>> {
    let limit = request.limit.min(ListRequest::MAX_LIMIT);
    let page = scan(connection, &request.filter, request.cursor, request.order, limit, patience)?;
    Page::fill(page.items.into_iter().map(|job| complete(connection, job)), page.next)
}

/// A page of jobs that match, without their errors and outputs.
pub(crate) fn scan(
    connection: &Connection,
    filter: &JobFilter,
    cursor: Option<Cursor>,
    order: Order,
    limit: usize,
    patience: Duration,
) -> Answer<Page<Listed>> {
    let begun = Instant::now();
    let mut page = Page { items: Vec::new(), next: None };
    if limit == 0 {
        return Ok(page);
    }
    let mut walk = Walk::new(connection, filter, cursor, order)?;
    let (mut looked_at, mut bytes) = (0, 0);
    loop {
        let is_late = begun.elapsed() >= patience;
        // Which of the jobs a worker has is known only once their leases are found.
        let wanted = if filter.worker.is_some() { CHUNK } else { limit - page.items.len() };
        let mut step = walk.next(wanted, MAX_BATCH_BYTES - bytes)?;
        if step.looked_at == 0 {
            return Ok(page);
        }
        step.find_leases(connection)?;
        let mut matching = step.kept.into_iter().filter(|job| filter.matches(&job.record));
        let found = matching.by_ref().take(limit - page.items.len());
        page.items.extend(found.inspect(|job| bytes += job.record.bytes()));
        if matching.next().is_some() {
            page.next = page.items.last().map(|job| Cursor(job.record.id));
            return Ok(page);
        }
        looked_at += step.looked_at;
        let is_full = page.items.len() >= limit || bytes >= MAX_BATCH_BYTES;
        if is_full || looked_at >= SCAN_LIMIT && (is_late || !page.items.is_empty()) {
            page.next = if walk.is_over()? { None } else { walk.behind.map(Cursor) };
            return Ok(page);
        }
    }
}

/// How many jobs match, looking no further than beyond `cap`, nor for longer than the caller's patience.
pub(crate) fn count_matches(
    connection: &Connection,
    filter: &JobFilter,
    cap: Option<u64>,
    patience: Duration,
) -> Answer<Count> {
    let begun = Instant::now();
    let mut walk = Walk::new(connection, filter, None, Order::OldestFirst)?;
    let mut matches = 0;
    loop {
        let mut step = walk.next(CHUNK, MAX_BATCH_BYTES)?;
        if step.looked_at == 0 || cap.is_some_and(|cap| matches > cap) {
            return Ok(Count::up_to(cap, matches));
        } else if begun.elapsed() >= patience {
            return Ok(Count::at_least(matches));
        }
        if filter.worker.is_some() {
            step.find_leases(connection)?;
        }
        matches += step.kept.iter().filter(|job| filter.matches(&job.record)).count() as u64;
    }
}

/// A piece of a walk.
#[derive(Default)]
struct Step {
    /// Jobs that match by all that their rows tell; which worker has a running one they do not.
    kept: Vec<Listed>,
    /// How many jobs were read; none at the end.
    looked_at: usize,
    /// The bytes of those that are kept.
    bytes: usize,
}

impl Step {
    /// One pass over all claims, if a running job was kept.
    fn find_leases(&mut self, connection: &Connection) -> Answer<()> {
        find_leases(connection, self.kept.iter_mut().map(|job| &mut job.located))?;
        self.kept.iter_mut().for_each(Listed::apply_lease);
        Ok(())
    }
}

/// Goes through the jobs that may match, by id.
struct Walk<'c> {
    connection: &'c Connection,
    /// What a job's row tells of it.
    by_row: JobFilter,
    order: Order,
    /// The last one seen.
    behind: Option<JobId>,
    /// The candidates, where they are few; else it is every job.
    few: Option<VecDeque<JobId>>,
}

impl<'c> Walk<'c> {
    fn new(
        connection: &'c Connection,
        filter: &JobFilter,
        cursor: Option<Cursor>,
        order: Order,
    ) -> Answer<Self> {
        let behind = cursor.map(|Cursor(id)| id);
        let is_behind = |id: &JobId| {
            behind.is_none_or(|behind| match order {
                Order::OldestFirst => *id > behind,
                Order::NewestFirst => *id < behind,
            })
        };
        let few = few_candidates(connection, filter)?.map(|mut ids| {
            ids.retain(is_behind);
            ids.sort_unstable();
            ids.dedup();
            if order == Order::NewestFirst {
                ids.reverse();
            }
            VecDeque::from(ids)
        });
        let mut by_row = filter.clone();
        by_row.worker = None;
        Ok(Self { connection, by_row, order, behind, few })
    }

    /// Reads on until `wanted` jobs or `room` bytes are kept, or a chunk was read.
    fn next(&mut self, wanted: usize, room: usize) -> Answer<Step> {
        let mut step = Step::default();
        let has_room = |step: &Step| step.kept.len() < wanted && step.bytes < room;
        if self.few.is_some() {
            self.few(has_room, &mut step)?;
        } else {
            self.every(has_room, &mut step)?;
        }
        Ok(step)
    }

    /// The next of few candidates; those that are gone meanwhile are passed over.
    fn few(&mut self, has_room: impl Fn(&Step) -> bool, step: &mut Step) -> Answer<()> {
        let mut select = self.connection.prepare_cached(jobs_where!("WHERE jobs.id = ?1"))?;
        while step.looked_at < CHUNK && has_room(step) {
            let Some(id) = self.few.as_mut().and_then(VecDeque::pop_front) else { break };
            let mut rows = select.query([id.as_bytes()])?;
            if let Some(row) = rows.next()? {
                self.look(row, step);
            }
        }
        Ok(())
    }

    fn every(&mut self, has_room: impl Fn(&Step) -> bool, step: &mut Step) -> Answer<()> {
        let sql = match self.order {
            Order::OldestFirst => jobs_where!("WHERE jobs.id > ?1 ORDER BY jobs.id LIMIT ?2"),
            Order::NewestFirst => jobs_where!("WHERE jobs.id < ?1 ORDER BY jobs.id DESC LIMIT ?2"),
        };
        let mut select = self.connection.prepare_cached(sql)?;
        // The rows are read one by one, so the limit costs nothing.
        let mut rows = select.query(params![self.edge().as_bytes(), row::size(CHUNK)])?;
        while has_room(step) {
            let Some(row) = rows.next()? else { break };
            self.look(row, step);
        }
        Ok(())
    }

    fn look(&mut self, row: &Row<'_>, step: &mut Step) {
        let job = read_listed(row);
        step.looked_at += 1;
        self.behind = Some(job.record.id);
        if self.by_row.matches(&job.record) {
            step.bytes += job.record.bytes();
            step.kept.push(job);
        }
    }

    fn edge(&self) -> JobId {
        let first = match self.order {
            Order::OldestFirst => [0; 16],
            Order::NewestFirst => [255; 16],
        };
        self.behind.unwrap_or(JobId::from_bytes(first))
    }

    /// Whether no job follows.
    fn is_over(&self) -> Answer<bool> {
        let sql = match (&self.few, self.order) {
            (Some(ids), _) => return Ok(ids.is_empty()),
            (None, Order::OldestFirst) => "SELECT 1 FROM jobs WHERE id > ?1 LIMIT 1",
            (None, Order::NewestFirst) => "SELECT 1 FROM jobs WHERE id < ?1 LIMIT 1",
        };
        Ok(!self.connection.prepare_cached(sql)?.exists([self.edge().as_bytes()])?)
    }
}

/// The ids of all jobs that may match, if the filter names ids or states that few jobs are in.
fn few_candidates(connection: &Connection, filter: &JobFilter) -> Answer<Option<Vec<JobId>>> {
    if !filter.ids.is_empty() {
        return Ok(Some(filter.ids.clone()));
    }
    if filter.states.is_empty() {
        return Ok(None);
    }
    let mut ids = Vec::new();
    for state in &filter.states {
        let (sql, number) = match state {
            // Completed jobs are in no place of their own, and mostly many: the walk finds them.
            JobState::Completed => return Ok(None),
            JobState::Running => {
                ids.extend(claimed(connection)?);
                continue;
            }
            JobState::Available => (include_str!("../sql/ids_ready.sql"), None),
            JobState::Suspended | JobState::Scheduled | JobState::Retryable => {
                (include_str!("../sql/ids_waiting.sql"), Some(row::state_number(*state)))
            }
            JobState::Cancelled | JobState::Discarded => {
                (include_str!("../sql/ids_ended.sql"), Some(row::state_number(*state)))
            }
        };
        let mut select = connection.prepare_cached(sql)?;
        let bound = params![row::size(FEW + 1), number];
        let found = select.query_map(bound, |row| Ok(row::job_id(row, 0)))?;
        ids.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
        if ids.len() > FEW {
            return Ok(None);
        }
    }
    Ok((ids.len() <= FEW).then_some(ids))
}

/// The ids of jobs in claims; those whose run has ended are among them.
fn claimed(connection: &Connection) -> Answer<Vec<JobId>> {
    let mut select = connection.prepare_cached("SELECT members FROM claims")?;
    let mut id_of = connection.prepare_cached("SELECT id FROM jobs WHERE seq = ?1")?;
    let mut ids = Vec::new();
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        for (seq, _) in members(row::blob(row, 0)) {
            if ids.len() > FEW {
                return Ok(ids);
            }
            let mut found = id_of.query([seq])?;
            ids.extend(found.next()?.map(|row| row::job_id(row, 0)));
        }
    }
    Ok(ids)
}
