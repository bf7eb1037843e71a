//! Where jobs are, and so what their states are.

use std::collections::HashMap;

use gristmill_core::{Ending, JobState, Priority, Standing, Timestamp, WorkerId};
use gristmill_sql::Unread;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::{Answer, undecodable};
use crate::row::{self, Options};
use crate::session::Session;
use crate::statement::sql;

/// How much of a job is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What a verb needs.
    Place,
    /// Its kind and args, too.
    Body,
}

/// A job with all that tells its state.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) id: Uuid,
    pub(crate) queue: i32,
    pub(crate) priority: i16,
    pub(crate) max_attempts: u16,
    pub(crate) created_at: Timestamp,
    pub(crate) options: Options,
    pub(crate) state: JobState,
    /// It is scheduled, due at no time: no worker that met it has a handler for its kind.
    pub(crate) is_parked: bool,
    /// Its latest run: the one in progress, if it runs.
    pub(crate) run: u32,
    pub(crate) attempt: u16,
    pub(crate) crashes: u16,
    /// When it is, or was last, due.
    pub(crate) run_at: Timestamp,
    /// For a terminal job.
    pub(crate) finished_at: Option<Timestamp>,
    /// Of a running job there is none.
    pub(crate) reason: Option<String>,
    /// The latest run that has ended.
    pub(crate) latest: Option<Latest>,
    /// The claim that holds it, for a running job. A running job without one is in no place, which is a
    /// defect that the audit repairs.
    pub(crate) held: Option<Held>,
    /// What [`Detail::Body`] asks for.
    pub(crate) body: Option<Body>,
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

/// The claim of a running job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) nonce: Uuid,
    pub(crate) worker: WorkerId,
    pub(crate) fetched_at: Timestamp,
    pub(crate) is_cancel_requested: bool,
}

/// What a job is to do.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) kind: String,
    pub(crate) args: Vec<u8>,
}

impl Located {
    pub(crate) fn is_unique(&self) -> bool {
        self.options.may_hold_key
    }

    /// Where it stands when it is not running.
    pub(crate) fn standing(&self) -> Standing<'_> {
        let mut standing = Standing::new(self.state, self.run_at);
        standing.is_parked = self.is_parked;
        (standing.attempt, standing.crashes) = (self.attempt, self.crashes);
        standing.retention = self.options.retention.as_ref();
        standing
    }
}

/// The jobs with these ids, in their order and all as they are at one moment; `None` for one that is not
/// there.
pub(crate) async fn locate(
    session: &mut Session,
    ids: &[Uuid],
    detail: Detail,
) -> Answer<Vec<Option<Located>>> {
    let mut jobs: Vec<Option<Located>> = ids.iter().map(|_| None).collect();
    if ids.is_empty() {
        return Ok(jobs);
    }
    let rows = session.query(sql!("locate"), &[&ids, &(detail == Detail::Body)]).await?;
    let mut homeless: HashMap<Uuid, Vec<usize>> = HashMap::new();
    let mut members = Vec::new();
    for row in &rows {
        let Some(place) = row.try_get::<_, Option<i64>>(0)? else {
            members.push(row);
            continue;
        };
        let place = usize::try_from(place - 1).ok().filter(|place| *place < jobs.len());
        let place = place.ok_or_else(|| undecodable("place"))?;
        let job = read(row, detail)?;
        if job.state == JobState::Running {
            homeless.entry(job.id).or_default().push(place);
        }
        jobs[place] = Some(job);
    }
    for row in members {
        for place in homeless.get(&row.try_get(1)?).into_iter().flatten() {
            if let Some(job) = &mut jobs[*place] {
                hold(job, row)?;
            }
        }
    }
    Ok(jobs)
}

/// A job's row; the claim of a running one is still to be found.
fn read(row: &Row, detail: Detail) -> Answer<Located> {
    let mut unread = Unread::default();
    let number: i16 = row::get(row, 8)?;
    // A state that is unknown is the one of its place in which nothing happens by itself.
    let is_ended = row::get::<bool>(row, 22)?;
    let stand_in = if is_ended { JobState::Discarded } else { JobState::Suspended };
    let fits = |state: &JobState| !is_ended || matches!(state, JobState::Cancelled | JobState::Discarded);
    let state = unread.or("state", number, row::state(number).filter(fits), stand_in);
    let priority: i16 = row::get(row, 10)?;
    let priority = unread.or("priority", priority, Priority::new(priority).ok(), row::priority(priority));
    let latest = match row.try_get::<_, Option<i32>>(16)? {
        Some(run) => Some(Latest {
            run: row::count32(run),
            worker: row::worker_id(row::get(row, 6)?),
            fetched_at: row::timestamp(row, 7)?,
            ending: row::ending(row::get(row, 17)?).unwrap_or(Ending::Undecodable),
        }),
        None => None,
    };
    let body = match detail {
        Detail::Body => Some(Body { kind: row::get(row, 18)?, args: row::get(row, 19)? }),
        Detail::Place => None,
    };
    Ok(Located {
        id: row.try_get(1)?,
        queue: row::get(row, 9)?,
        priority: priority.get().into(),
        max_attempts: row::max_attempts(row::get(row, 11)?).get(),
        created_at: row::timestamp(row, 12)?,
        options: Options::parse(row.try_get(13)?),
        state,
        is_parked: row::get(row, 23)?,
        run: row::count32(row::get(row, 2)?),
        attempt: row::count16(row::get(row, 3)?),
        crashes: row::count16(row::get::<i16>(row, 4)?.into()),
        run_at: row::timestamp(row, 5)?,
        finished_at: row::optional_timestamp(row, 14)?.filter(|_| state.is_terminal()),
        reason: row.try_get::<_, Option<String>>(15)?.filter(|_| state != JobState::Running),
        latest,
        held: None,
        body,
        unread,
    })
}

/// What the claim of a running job says of it.
fn hold(job: &mut Located, row: &Row) -> Answer<()> {
    let run = row::count32(row::get(row, 2)?);
    // An older claim may still list a run that has ended.
    if run <= job.latest.map_or(0, |latest| latest.run) {
        return Ok(());
    }
    job.run = run;
    job.attempt = row::count16(row::get(row, 3)?);
    job.crashes = row::count16(row::get::<i16>(row, 4)?.into());
    job.run_at = row::timestamp(row, 5)?;
    job.held = Some(Held {
        nonce: row.try_get(20)?,
        worker: row::worker_id(row.try_get(6)?),
        fetched_at: row::timestamp(row, 7)?,
        is_cancel_requested: row.try_get(21)?,
    });
    Ok(())
}
