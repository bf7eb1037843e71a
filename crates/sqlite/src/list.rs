//! Lists: pages of jobs that match, by id, with bounded work.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gristmill_core::{Count, Cursor, JobFilter, JobId, JobRecord, JobState, ListRequest, Order, Page};
use rusqlite::{Connection, params};

use crate::claim::members;
use crate::error::Answer;
use crate::inspect::{Listed, complete, read_listed};
use crate::locate::{find_leases, jobs_where};
use crate::row;

/// Jobs one call looks at, at most, once it has found one: a page may be short, never slow. An empty one is not worth its
/// call, so the search for the first job goes on for as long as the caller's patience.
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
    let items = page.items.into_iter().map(|job| complete(connection, job)).collect::<Answer<_>>()?;
    Ok(Page { items, next: page.next })
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
    let mut walk = Walk::new(connection, filter, cursor, order)?;
    let mut page = Page { items: Vec::new(), next: None };
    let mut looked_at = 0;
    let mut last = None;
    loop {
        // One more than wanted tells whether more follow.
        let chunk = walk.next(limit.saturating_sub(page.items.len()).saturating_add(1))?;
        if chunk.is_empty() {
            return Ok(page);
        }
        let is_late = begun.elapsed() >= patience;
        for job in chunk {
            let has_looked = looked_at >= SCAN_LIMIT && (is_late || !page.items.is_empty());
            if page.items.len() >= limit || has_looked {
                page.next = last.map(Cursor);
                return Ok(page);
            }
            looked_at += 1;
            last = Some(job.record.id);
            if filter.matches(&job.record) {
                page.items.push(job);
            }
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
        let chunk = walk.next(CHUNK)?;
        if chunk.is_empty() || cap.is_some_and(|cap| matches > cap) {
            return Ok(Count::up_to(cap, matches));
        } else if begun.elapsed() >= patience {
            return Ok(Count::at_least(matches));
        }
        matches += chunk.iter().filter(|job| filter.matches(&job.record)).count() as u64;
    }
}

/// Goes through the jobs that may match, by id.
struct Walk<'c> {
    connection: &'c Connection,
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
        Ok(Self { connection, order, behind, few })
    }

    /// The next jobs, at most `wanted`; none at the end.
    fn next(&mut self, wanted: usize) -> Answer<Vec<Listed>> {
        let wanted = wanted.clamp(1, CHUNK);
        let mut jobs = match &mut self.few {
            Some(ids) => few(self.connection, ids, wanted)?,
            None => self.every(wanted)?,
        };
        find_leases(self.connection, jobs.iter_mut().map(|job| &mut job.located))?;
        jobs.iter_mut().for_each(Listed::apply_lease);
        self.behind = jobs.last().map(|job| job.record.id).or(self.behind);
        Ok(jobs)
    }

    fn every(&self, wanted: usize) -> Answer<Vec<Listed>> {
        let (sql, edge) = match self.order {
            Order::OldestFirst => (jobs_where!("WHERE jobs.id > ?1 ORDER BY jobs.id LIMIT ?2"), [0; 16]),
            Order::NewestFirst => {
                (jobs_where!("WHERE jobs.id < ?1 ORDER BY jobs.id DESC LIMIT ?2"), [255; 16])
            }
        };
        let behind = self.behind.unwrap_or(JobId::from_bytes(edge));
        let mut select = self.connection.prepare_cached(sql)?;
        let bound = params![behind.as_bytes(), row::size(wanted)];
        let rows = select.query_map(bound, |row| Ok(read_listed(row)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// The next of few candidates; those that are gone meanwhile are passed over.
fn few(connection: &Connection, ids: &mut VecDeque<JobId>, wanted: usize) -> Answer<Vec<Listed>> {
    let mut select = connection.prepare_cached(jobs_where!("WHERE jobs.id = ?1"))?;
    let mut jobs = Vec::with_capacity(wanted.min(ids.len()));
    while jobs.len() < wanted {
        let Some(id) = ids.pop_front() else { break };
        let mut rows = select.query([id.as_bytes()])?;
        if let Some(row) = rows.next()? {
            jobs.push(read_listed(row));
        }
    }
    Ok(jobs)
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
