//! Where a job is, and so what its state is.

use gristmill_core::{Ending, JobId, JobState, Standing, Timestamp, WorkerId};
use gristmill_sql::Unread;
use rusqlite::{Connection, Row};

use crate::claim::{Facts, Tally, members};
use crate::error::Answer;
use crate::row;

/// A job with all that tells its state.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) facts: Facts,
    pub(crate) state: JobState,
    /// It is scheduled, due at no time: no worker that met it has a handler for its kind.
    pub(crate) is_parked: bool,
    pub(crate) tally: Tally,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) reason: Option<String>,
    pub(crate) latest: Option<Latest>,
    /// The claim that holds it, for a running job.
    pub(crate) lease: Option<Leased>,
    pub(crate) unread: Unread,
}

/// The latest run that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latest {
    pub(crate) run: u32,
    pub(crate) worker: WorkerId,
    pub(crate) fetched_at: Timestamp,
    pub(crate) ending: Ending,
}

/// Who holds a running job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leased {
    pub(crate) worker: WorkerId,
    pub(crate) fetched_at: Timestamp,
}

impl Located {
    /// Where it stands when it is not running.
    pub(crate) fn standing(&self) -> Standing<'_> {
        let mut standing = Standing::new(self.state, self.facts.run_at);
        standing.is_parked = self.is_parked;
        (standing.attempt, standing.crashes) = (self.tally.attempt, self.tally.crashes);
        standing.retention = self.facts.retention.as_deref();
        standing
    }
}

/// The query of jobs, with a condition and an order.
macro_rules! jobs_where {
    ($condition:literal) => {
        concat!(include_str!("../sql/job.sql"), " ", $condition)
    };
}
pub(crate) use jobs_where;

/// The job with an id, its claim looked up if it runs.
pub(crate) fn locate(connection: &Connection, id: JobId) -> Answer<Option<Located>> {
    let mut select = connection.prepare_cached(jobs_where!("WHERE jobs.id = ?1"))?;
    let mut rows = select.query([id.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut located = [read(row)];
    drop(rows);
    find_leases(connection, located.iter_mut())?;
    Ok(located.into_iter().next())
}

/// The jobs with these ids, in their order; the claims of those that run are looked up in one pass.
pub(crate) fn locate_all(connection: &Connection, ids: &[JobId]) -> Answer<Vec<Option<Located>>> {
    let mut select = connection.prepare_cached(jobs_where!("WHERE jobs.id = ?1"))?;
    let mut jobs = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = select.query([id.as_bytes()])?;
        jobs.push(rows.next()?.map(|row| read(row)));
    }
    find_leases(connection, jobs.iter_mut().flatten())?;
    Ok(jobs)
}

/// A row of the query of jobs; a running job's claim is still to be found.
pub(crate) fn read(row: &Row<'_>) -> Located {
    let mut unread = Unread::default();
    if row::blob(row, 1).len() != 16 {
        unread.note("id", "of another length");
    }
    let facts = Facts {
        seq: row::integer(row, 0),
        id: row::job_id(row, 1),
        queue: row::integer(row, 2),
        priority: row::integer(row, 5),
        run_at: row::timestamp(row, 6),
        max_attempts: row::max_attempts(row, 8).get(),
        is_unique: row::has(row, 9),
        retention: row::read_retention(row, 12).map(Box::new),
    };
    let number = row::integer(row, 16);
    // A state that is unknown is the one of its place in which nothing happens by itself.
    let stand_in = if row::integer(row, 26) == 0 { JobState::Suspended } else { JobState::Discarded };
    let state = unread.or("state", number, row::state(number), stand_in);
    let tally =
        Tally { run: row::count32(row, 17), attempt: row::count16(row, 18), crashes: row::count16(row, 19) };
    let latest = row::optional_integer(row, 22).map(|_| Latest {
        run: row::count32(row, 22),
        worker: row::worker_id(row, 23),
        fetched_at: row::timestamp(row, 24),
        ending: row::ending(row::integer(row, 25)).unwrap_or(Ending::Undecodable),
    });
    Located {
        facts,
        state,
        is_parked: row::integer(row, 27) != 0,
        tally,
        finished_at: row::optional_timestamp(row, 20).filter(|_| state.is_terminal()),
        reason: row::string(row, 21).filter(|_| state != JobState::Running),
        latest,
        lease: None,
        unread,
    }
}

/// Finds the claims of the running ones among these jobs, in one pass over all claims: there is no index by
/// job, which every fetch would have to keep. A running job that no claim lists is left without a lease: it
/// is in no place.
pub(crate) fn find_leases<'j>(
    connection: &Connection,
    jobs: impl Iterator<Item = &'j mut Located>,
) -> Answer<()> {
    let mut running: Vec<&mut Located> = jobs.filter(|job| job.state == JobState::Running).collect();
    if running.is_empty() {
        return Ok(());
    }
    running.sort_by_key(|job| job.facts.seq);
    let mut select = connection.prepare_cached("SELECT worker, fetched_at, members FROM claims")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        for (seq, tally) in members(row::blob(row, 2)) {
            let Ok(place) = running.binary_search_by_key(&seq, |job| job.facts.seq) else { continue };
            let job = &mut *running[place];
            // An older claim may still list a run that has ended.
            if job.latest.is_none_or(|latest| tally.run > latest.run) {
                job.tally = tally;
                job.lease =
                    Some(Leased { worker: row::worker_id(row, 0), fetched_at: row::timestamp(row, 1) });
            }
        }
    }
    Ok(())
}
