//! Jobs by id, their runs and their events.

use std::collections::HashMap;

use bytes::Bytes;
use gristmill_core::{
    Args, Call, Ending, JobEvent, JobId, JobRecord, JobState, LogLine, MAX_BATCH_BYTES, Name, Output,
    RunFailure, RunRecord,
};
use gristmill_sql::Unread;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::{Answer, undecodable};
use crate::handle::Inner;
use crate::locate::{Detail, Located, locate};
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// The errors shown are those of so many latest runs.
const ERRORS_AMONG: u32 = 1_000;

pub(crate) async fn get(inner: &Inner, _call: Call, ids: &[JobId]) -> Answer<Vec<Option<JobRecord>>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = ids.iter().copied().map(row::uuid).collect();
    let mut session = inner.reads().await?;
    session.begin_snapshot().await?;
    let jobs = records(inner, &mut session, &ids).await?;
    session.commit().await?;
    Ok(jobs)
}

/// The jobs with these ids, in their order; `None` for one that is not there. Several statements look, so the
/// session's transaction has to be of one snapshot.
pub(crate) async fn records(
    inner: &Inner,
    session: &mut Session,
    ids: &[Uuid],
) -> Answer<Vec<Option<JobRecord>>> {
    let located = locate(session, ids, Detail::Body).await?;
    let found = find_left(session, located.iter().flatten()).await?;
    let errors = find_errors(session, located.iter().flatten()).await?;
    let mut jobs = Vec::with_capacity(located.len());
    for job in located {
        let Some(job) = job else {
            jobs.push(None);
            continue;
        };
        let id = job.id;
        let mut record = record(inner, session, job).await?;
        if let Some(left) = found.get(&id) {
            record.progress = left.progress;
            record.output = left.output.clone().filter(|_| record.state == JobState::Completed);
        }
        if let Some(errors) = errors.get(&id) {
            record.errors.clone_from(errors);
        }
        jobs.push(Some(record));
    }
    Ok(jobs)
}

/// A job's record; its errors, output and progress are still to be added.
async fn record(inner: &Inner, session: &mut Session, mut job: Located) -> Answer<JobRecord> {
    let body = job.body.ok_or_else(|| undecodable("job"))?;
    let queue = inner.names.name(session, job.queue).await?;
    if queue.as_str() == Name::UNREADABLE {
        job.unread.note("queue", job.queue);
    }
    let kind = inner.names.kind(&body.kind).unwrap_or_else(|| job.unread.name("kind", Some(&body.kind)));
    let args = Args::from_stored(body.args);
    let mut spec = row::spec(kind, queue, job.priority, i32::from(job.max_attempts), args);
    job.options.into_spec(&mut spec);
    let mut record = JobRecord::new(row::job_id(job.id), spec, job.state, job.run_at, job.created_at);
    record.attempt = job.attempt;
    record.run = job.run;
    record.crashes = job.crashes;
    record.finished_at = job.finished_at;
    record.reason = job.reason;
    let latest = job.latest.map(|latest| (latest.worker, latest.fetched_at));
    let held = job.held.map(|held| (held.worker, held.fetched_at)).or(latest);
    record.worker = held.map(|(worker, _)| worker);
    record.attempted_at = held.map(|(_, fetched_at)| fetched_at);
    record.undecodable = job.unread.into_text();
    record.cancel_requested = job.held.is_some_and(|held| held.is_cancel_requested);
    Ok(record)
}

/// What a job's latest run left.
#[derive(Debug)]
struct Left {
    progress: Option<u8>,
    output: Option<Output>,
}

async fn find_left(
    session: &mut Session,
    jobs: impl Iterator<Item = &Located>,
) -> Answer<HashMap<Uuid, Left>> {
    let (ids, runs): (Vec<Uuid>, Vec<i32>) =
        jobs.filter(|job| job.run > 0).map(|job| (job.id, row::run(job.run))).unzip();
    let mut found = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    for row in session.query(sql!("left_by_runs"), &[&ids, &runs]).await? {
        let progress = row.try_get::<_, Option<i16>>(1)?.and_then(|percent| u8::try_from(percent).ok());
        let output = row.try_get::<_, Option<Vec<u8>>>(2)?.map(Output::from_stored);
        found.insert(row.try_get(0)?, Left { progress, output });
    }
    Ok(found)
}

/// The errors of those jobs whose runs may have left one, the oldest first.
async fn find_errors(
    session: &mut Session,
    jobs: impl Iterator<Item = &Located>,
) -> Answer<HashMap<Uuid, Vec<RunFailure>>> {
    // A job that snoozes for ever has many runs and few errors: the look back is bounded.
    let (ids, first_runs): (Vec<Uuid>, Vec<i32>) = jobs
        .filter_map(|job| job.latest.map(|latest| (job.id, latest)))
        .filter(|(_, latest)| latest.run > 1 || latest.ending != Ending::Completed)
        .map(|(id, latest)| (id, row::run(latest.run.saturating_sub(ERRORS_AMONG))))
        .unzip();
    let mut errors: HashMap<Uuid, Vec<RunFailure>> = HashMap::new();
    if ids.is_empty() {
        return Ok(errors);
    }
    let limit = row::size(JobRecord::MAX_ERRORS);
    for row in session.query(sql!("errors"), &[&ids, &first_runs, &limit]).await? {
        errors.entry(row.try_get(11)?).or_default().extend(RunFailure::of(&read_run(&row)?));
    }
    for errors in errors.values_mut() {
        errors.reverse();
    }
    Ok(errors)
}

pub(crate) async fn list_runs(
    inner: &Inner,
    _call: Call,
    (id, limit): &(JobId, usize),
) -> Answer<Vec<RunRecord>> {
    let id = row::uuid(*id);
    let mut session = inner.reads().await?;
    session.begin_snapshot().await?;
    let rows = session.query(sql!("runs"), &[&id, &row::size(*limit)]).await?;
    let mut runs = rows.iter().rev().map(read_run).collect::<Answer<Vec<_>>>()?;
    if let Some(first) = runs.first().map(|run| row::run(run.run)) {
        let mut logs: HashMap<u32, Vec<LogLine>> = HashMap::new();
        for row in session.query(sql!("log"), &[&id, &first, &row::size(MAX_BATCH_BYTES)]).await? {
            let line = LogLine { at: row::timestamp(&row, 1)?, text: row::get(&row, 2)? };
            logs.entry(row::count32(row::get(&row, 0)?)).or_default().push(line);
        }
        for run in &mut runs {
            run.log = logs.remove(&run.run).unwrap_or_default();
        }
    }
    session.commit().await?;
    Ok(runs)
}

fn read_run(row: &Row) -> Answer<RunRecord> {
    let mut unread = Unread::default();
    let (ending, state): (i16, i16) = (row::get(row, 2)?, row::get(row, 3)?);
    let mut run = RunRecord::new(
        row::count32(row::get(row, 0)?),
        row::count16(row::get(row, 1)?),
        unread.or("ending", ending, row::ending(ending), Ending::Undecodable),
        unread.or("state", state, row::state(state), JobState::Suspended),
        row::worker_id(row::get(row, 4)?),
        row::timestamp(row, 5)?,
        row::timestamp(row, 7)?,
    );
    run.undecodable = unread.into_text();
    run.started_at = row::optional_timestamp(row, 6)?;
    run.reason = row.try_get(8)?;
    run.error = row::run_error(row.try_get(9)?, row.try_get(10)?);
    Ok(run)
}

pub(crate) async fn list_events(inner: &Inner, _call: Call, id: &JobId) -> Answer<Vec<JobEvent>> {
    let mut session = inner.reads().await?;
    let rows = session.query(sql!("events"), &[&row::uuid(*id), &row::size(JobEvent::KEPT)]).await?;
    let read = |row: &Row| -> Answer<JobEvent> {
        let what: String = row::get(row, 1)?;
        Ok(JobEvent::new(row::timestamp(row, 0)?, what, row.try_get(2)?, row.try_get(3)?))
    };
    rows.iter().rev().map(read).collect()
}

pub(crate) async fn checkpoint(inner: &Inner, _call: Call, id: &JobId) -> Answer<Option<Bytes>> {
    let mut session = inner.reads().await?;
    let row = session.query_opt(sql!("checkpoint"), &[&row::uuid(*id)]).await?;
    Ok(row.map(|row| row.try_get::<_, Vec<u8>>(0)).transpose()?.map(Bytes::from))
}
