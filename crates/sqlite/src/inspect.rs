//! Looks without touching.

use bytes::Bytes;
use gristmill_core::{
    Args, Ending, JobEvent, JobId, JobRecord, JobSpec, JobState, LogLine, MAX_BATCH_BYTES, Output, Priority,
    RunFailure, RunRecord,
};
use gristmill_sql::Unread;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Answer;
use crate::locate::{Located, find_leases, jobs_where, read};
use crate::row;
use crate::run_key::{run_key, run_keys};

/// The errors shown are those of so many latest runs.
const ERRORS_AMONG: u32 = 1_000;

/// A job on its way to the caller; its errors, output and progress are still to be read.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) located: Located,
    pub(crate) record: JobRecord,
}

impl Listed {
    /// Takes over what the claim of a running job says.
    pub(crate) fn apply_lease(&mut self) {
        let (job, record) = (&self.located, &mut self.record);
        record.run = job.tally.run;
        record.attempt = job.tally.attempt;
        record.crashes = job.tally.crashes;
        if let Some(lease) = job.lease {
            record.worker = Some(lease.worker);
            record.attempted_at = Some(lease.fetched_at);
        }
    }
}

pub(crate) fn get(connection: &Connection, ids: &[JobId]) -> Answer<Vec<Option<JobRecord>>> {
    let mut select = connection.prepare_cached(jobs_where!("WHERE jobs.id = ?1"))?;
    let mut jobs = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = select.query([id.as_bytes()])?;
        jobs.push(rows.next()?.map(read_listed));
    }
    find_leases(connection, jobs.iter_mut().flatten().map(|job| &mut job.located))?;
    let complete = |mut job: Listed| {
        job.apply_lease();
        complete(connection, job)
    };
    jobs.into_iter().map(|job| job.map(complete).transpose()).collect()
}

/// A row of the query of jobs.
pub(crate) fn read_listed(row: &Row<'_>) -> Listed {
    let mut located = read(row);
    let args = Args::from_stored(row::blob(row, 15).to_vec());
    let kind = located.unread.name("kind", row::text(row, 4).as_deref());
    let queue = located.unread.name("queue", row::text(row, 3).as_deref());
    let mut spec = JobSpec::new(kind, queue, args);
    let priority = located.facts.priority;
    spec.priority =
        located.unread.or("priority", priority, Priority::new(priority).ok(), row::priority(priority));
    row::read_options(row, 8, &mut spec);
    row::read_encoding(row, 28, &mut spec);
    let facts = &located.facts;
    let mut record = JobRecord::new(facts.id, spec, located.state, facts.run_at, row::timestamp(row, 7));
    record.attempt = located.tally.attempt;
    record.run = located.tally.run;
    record.crashes = located.tally.crashes;
    record.finished_at = located.finished_at;
    record.reason.clone_from(&located.reason);
    record.worker = located.latest.map(|latest| latest.worker);
    record.attempted_at = located.latest.map(|latest| latest.fetched_at);
    record.undecodable = std::mem::take(&mut located.unread).into_text();
    Listed { located, record }
}

/// Adds what only a job that is shown needs.
pub(crate) fn complete(connection: &Connection, job: Listed) -> Answer<JobRecord> {
    let Listed { located, mut record } = job;
    let seq = located.facts.seq;
    if located.state == JobState::Running {
        record.cancel_requested = connection
            .prepare_cached("SELECT 1 FROM cancels WHERE seq = ?1 AND run = ?2")?
            .exists(params![seq, located.tally.run])?;
    }
    if located.tally.run == 0 {
        return Ok(record);
    }
    record.progress = connection
        .prepare_cached(include_str!("../sql/progress.sql"))?
        .query_row(params![seq, located.tally.run], |row| Ok(row::optional_integer(row, 0)))
        .optional()?
        .flatten()
        .and_then(|percent| u8::try_from(percent).ok());
    let Some(latest) = located.latest else { return Ok(record) };
    if located.state == JobState::Completed {
        let mut select = connection.prepare_cached("SELECT output FROM runs WHERE run_key = ?1")?;
        let mut rows = select.query([run_key(seq, latest.run)])?;
        let output = rows.next()?.filter(|row| row::has(row, 0));
        record.output = output.map(|row| Output::from_stored(row::blob(row, 0).to_vec()));
    }
    if latest.run > 1 || latest.ending != Ending::Completed {
        record.errors = errors(connection, seq, latest.run)?;
    }
    Ok(record)
}

fn errors(connection: &Connection, seq: i64, latest: u32) -> Answer<Vec<RunFailure>> {
    let mut select = connection.prepare_cached(include_str!("../sql/errors.sql"))?;
    // A job that snoozes for ever has many runs and few errors: the look back is bounded.
    let first = run_key(seq, latest.saturating_sub(ERRORS_AMONG));
    let bound = params![first, run_key(seq, latest), row::size(JobRecord::MAX_ERRORS)];
    let mut rows = select.query(bound)?;
    let mut errors = Vec::new();
    while let Some(row) = rows.next()? {
        errors.extend(RunFailure::of(&read_run(row)));
    }
    errors.reverse();
    Ok(errors)
}

pub(crate) fn list_runs(connection: &Connection, id: JobId, limit: usize) -> Answer<Vec<RunRecord>> {
    let Some(seq) = seq_of(connection, id)? else { return Ok(Vec::new()) };
    let mut select = connection.prepare_cached(include_str!("../sql/runs.sql"))?;
    let (first, last) = run_keys(seq);
    let rows = select.query_map(params![first, last, row::size(limit)], |row| Ok(read_run(row)))?;
    let mut runs = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut lines = connection.prepare_cached(include_str!("../sql/log.sql"))?;
    let mut room = MAX_BATCH_BYTES;
    for run in &mut runs {
        let log = lines.query_map(params![seq, run.run], |row| {
            let text = row::string(row, 1).unwrap_or_default();
            Ok(LogLine { at: row::timestamp(row, 0), text })
        })?;
        run.log = LogLine::newest(log, &mut room)?;
    }
    runs.reverse();
    Ok(runs)
}

fn read_run(row: &Row<'_>) -> RunRecord {
    let mut unread = Unread::default();
    let (ending, state) = (row::integer(row, 2), row::integer(row, 3));
    let mut run = RunRecord::new(
        row::count32(row, 0),
        row::count16(row, 1),
        unread.or("ending", ending, row::ending(ending), Ending::Undecodable),
        unread.or("state", state, row::state(state), JobState::Suspended),
        row::worker_id(row, 4),
        row::timestamp(row, 5),
        row::timestamp(row, 7),
    );
    run.started_at = row::optional_timestamp(row, 6);
    run.reason = row::string(row, 8);
    run.error = row::run_error(row::text(row, 9).as_deref(), row::text(row, 10).as_deref());
    run.undecodable = unread.into_text();
    run
}

pub(crate) fn list_events(connection: &Connection, id: JobId) -> Answer<Vec<JobEvent>> {
    let Some(seq) = seq_of(connection, id)? else { return Ok(Vec::new()) };
    let mut select = connection
        .prepare_cached("SELECT at, what, actor, detail FROM events WHERE seq = ?1 ORDER BY event")?;
    let rows = select.query_map([seq], |row| {
        let what = row::string(row, 1).unwrap_or_default();
        Ok(JobEvent::new(row::timestamp(row, 0), what, row::string(row, 2), row::string(row, 3)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn checkpoint(connection: &Connection, id: JobId) -> Answer<Option<Bytes>> {
    let Some(seq) = seq_of(connection, id)? else { return Ok(None) };
    let mut select = connection.prepare_cached(include_str!("../sql/checkpoint.sql"))?;
    let found = select.query_row([seq], |row| Ok(row::blob(row, 0).to_vec())).optional()?;
    Ok(found.map(Bytes::from))
}

fn seq_of(connection: &Connection, id: JobId) -> Answer<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT seq FROM jobs WHERE id = ?1")?;
    Ok(select.query_row([id.as_bytes()], |row| row.get(0)).optional()?)
}
