//! Stores jobs: many in one statement, which is a transaction of its own.
//!
//! A plain job's id is new, so it is inserted without a look; only when one is there after all, the same is
//! done again with care. Jobs with unique keys take their keys first, in a transaction for their call alone.
//! An open transaction elsewhere may hold such a key, and other calls should not wait for it.

mod columns;
mod group;
mod keys;

use std::collections::HashSet;

use gristmill_core::{
    BackendError, BackendErrorKind, Call, Durability, EnqueueReply, EnqueueRequest, Enqueued, ExistingBy,
    JobId, JobState, Name, NewJob, Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::{Answer, Fail};
use crate::handle::Inner;
use crate::hint_sum::{HintSum, Position};
use crate::row;
use crate::session::Session;
use crate::statement::sql;

use self::columns::Columns;
pub(crate) use self::group::Groups;

/// How far ahead of the server's clock an id may have been made. Room for clocks that are badly set, and less
/// than the time for which partitions are made ahead. The function `outbox_enqueue` has the same bound.
const FAR_AHEAD_MS: i64 = 3_600_000;

/// A job and its queue's number.
type Item<'j> = (&'j NewJob, i32);

/// What a statement looks at before it stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Whether the queues are there.
    Queues,
    /// The transaction has looked already.
    Nothing,
}

/// What a transaction does whose jobs are of queues that the process does not know, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfUnknown {
    /// It reads their numbers on a connection for work, while it holds another one.
    Read,
    /// It fails with [`Fail::Exchanged`], to be begun anew when they are [learnt](learn_queues).
    BeginAnew,
}

/// What a statement says of the jobs it was given.
struct Stored {
    now: Timestamp,
    durability: Durability,
    /// One answer a job, in their order.
    jobs: Vec<Enqueued>,
}

pub(crate) async fn enqueue(inner: &Inner, call: Call, request: &EnqueueRequest) -> Answer<EnqueueReply> {
    let jobs: Vec<&NewJob> = request.jobs.iter().collect();
    check_ids(inner, call, &jobs)?;
    let queues = queues(inner, &jobs).await?;
    let reply = if jobs.iter().any(|job| job.spec.unique_key.is_some()) {
        with_keys(inner, call, &items(&jobs, &queues)).await?
    } else {
        inner.groups.enqueue(inner, call, jobs, queues).await?
    };
    inner.until_told().await;
    Ok(reply)
}

/// Refuses ids from far ahead of the server's clock. When an id was made decides in which partition its job
/// is kept: one from far ahead would be in none, in the way of the partition that is made for its time, and
/// stay for as long.
pub(crate) fn check_ids(inner: &Inner, call: Call, jobs: &[&NewJob]) -> Result<(), BackendError> {
    // An instant that replaces the clock says nothing of the server's.
    if call.now.is_some() {
        return Ok(());
    }
    let now = inner.server_now().as_millis();
    let ahead = |job: &NewJob| row::made_at(row::uuid(job.id)).as_millis() - now;
    let Some(job) = jobs.iter().find(|job| ahead(job) > FAR_AHEAD_MS) else { return Ok(()) };
    let minutes = ahead(job) / 60_000;
    let message = format!("the id {} was made {minutes} minutes ahead of the server's clock", job.id);
    Err(BackendError::new(BackendErrorKind::Refused, message)
        .with_hint("set the clock of the machine that made it, or let the client make the id"))
}

/// The numbers of the jobs' queues; new queues are made. To be asked before a transaction begins that
/// [stores](store_jobs) the jobs: what is learnt of a queue must not be rolled back.
pub(crate) async fn queues(inner: &Inner, jobs: &[&NewJob]) -> Answer<Vec<i32>> {
    let (names, places) = names_of(jobs);
    let numbers = match inner.names.known_numbers(&names) {
        Some(known) => known,
        None => inner.names.numbers(&mut inner.work().await?, &names).await?,
    };
    Ok(places.into_iter().map(|place| numbers[place]).collect())
}

/// As [`queues`], on a connection in no transaction: a call that waited for a second one could wait for
/// itself.
pub(crate) async fn learn_queues(inner: &Inner, session: &mut Session, jobs: &[&NewJob]) -> Answer<()> {
    inner.names.numbers(session, &names_of(jobs).0).await.map(drop)
}

/// The names of the jobs' queues, and which of them each job has.
pub(crate) fn names_of(jobs: &[&NewJob]) -> (Vec<Name>, Vec<usize>) {
    let mut names: Vec<Name> = Vec::new();
    let mut places = Vec::with_capacity(jobs.len());
    for job in jobs {
        let queue = &job.spec.queue;
        // Neighbours mostly share a queue, and a call hardly names more than a few.
        let place = names.iter().rposition(|name| name == queue).unwrap_or_else(|| {
            names.push(queue.clone());
            names.len() - 1
        });
        places.push(place);
    }
    (names, places)
}

/// Jobs with the numbers of their queues.
fn items<'j>(jobs: &[&'j NewJob], queues: &[i32]) -> Vec<Item<'j>> {
    jobs.iter().copied().zip(queues.iter().copied()).collect()
}

/// Stores jobs within an open transaction whose instant is `now`, and adds the hints to send after its
/// commit. A job that exists already, by its id or its unique key, writes nothing and does not fail the
/// transaction.
pub(crate) async fn store_jobs(
    inner: &Inner,
    session: &mut Session,
    now: Timestamp,
    jobs: &[&NewJob],
    if_unknown: IfUnknown,
    hints: &mut HintSum,
) -> Answer<Vec<Enqueued>> {
    let mut numbers = match if_unknown {
        IfUnknown::Read => queues(inner, jobs).await?,
        IfUnknown::BeginAnew => {
            let (names, places) = names_of(jobs);
            let known = inner.names.known_numbers(&names).ok_or(Fail::Exchanged)?;
            places.into_iter().map(|place| known[place]).collect()
        }
    };
    if !has_queues(session, &items(jobs, &numbers)).await? {
        inner.names.forget();
        if if_unknown == IfUnknown::BeginAnew {
            return Err(Fail::Exchanged);
        }
        // The same numbers once more: the transaction sees the store as it was before the queue was made.
        let again = queues(inner, jobs).await?;
        if again != numbers && !has_queues(session, &items(jobs, &again)).await? {
            return Err(Fail::Exchanged);
        }
        numbers = again;
    }
    let items = items(jobs, &numbers);
    let stored = within(session, now, &items).await?.jobs;
    tell_stored(hints, now, &items, &stored);
    Ok(stored)
}

/// Whether the jobs' queues are those the process knows.
async fn has_queues(session: &mut Session, items: &[Item<'_>]) -> Answer<bool> {
    Ok(queues_and_now(session, Call::new(), items).await?.0)
}

/// Whether the jobs' queues are those the process knows, and the clock, in one round trip.
async fn queues_and_now(session: &mut Session, call: Call, items: &[Item<'_>]) -> Answer<(bool, Timestamp)> {
    let given = call.now.map(Timestamp::as_millis);
    let row = session.query_one(sql!("has_queues"), &[&different_queues(items), &given]).await?;
    Ok((row.try_get(0)?, row::timestamp(&row, 1)?))
}

/// The queues of jobs, each once.
fn different_queues(items: &[Item<'_>]) -> Vec<i32> {
    let mut queues: Vec<i32> = items.iter().map(|(_, queue)| *queue).collect();
    queues.sort_unstable();
    queues.dedup();
    queues
}

/// Adds the hints of stored jobs.
fn tell_stored(hints: &mut HintSum, now: Timestamp, items: &[Item<'_>], replies: &[Enqueued]) {
    let created = items.iter().zip(replies).filter(|(_, reply)| **reply == Enqueued::Created);
    for ((job, queue), _) in created {
        match job.when.resolve(now) {
            (JobState::Available, due) => hints.available(*queue, position(job, due)),
            (JobState::Scheduled, due) => hints.due(due),
            (
                JobState::Suspended
                | JobState::Running
                | JobState::Retryable
                | JobState::Completed
                | JobState::Cancelled
                | JobState::Discarded,
                _,
            ) => {}
        }
    }
}

fn position(job: &NewJob, due: Timestamp) -> Position {
    Position {
        priority: i16::from(job.spec.priority.get()),
        run_at_ms: due.as_millis(),
        id: row::uuid(job.id),
    }
}

async fn with_keys(inner: &Inner, call: Call, items: &[Item<'_>]) -> Answer<EnqueueReply> {
    let mut session = inner.work().await?;
    session.begin().await?;
    let stored = at_once(&mut session, call, items).await?;
    session.commit().await?;
    drop(session);
    learn_clock(inner, call, stored.now);
    let mut hints = HintSum::default();
    tell_stored(&mut hints, stored.now, items, &stored.jobs);
    inner.send_hints(hints);
    Ok(EnqueueReply::new(stored.jobs, stored.durability))
}

async fn at_once(session: &mut Session, call: Call, items: &[Item<'_>]) -> Answer<Stored> {
    let (has_queues, now) = queues_and_now(session, call, items).await?;
    if !has_queues {
        return Err(Fail::Exchanged);
    }
    within(session, now, items).await
}

async fn within(session: &mut Session, now: Timestamp, items: &[Item<'_>]) -> Answer<Stored> {
    let mut replies = keys::resolve(session, items).await?;
    let chosen: Vec<usize> = (0..items.len()).filter(|place| replies[*place] == Enqueued::Created).collect();
    let wanted: Vec<Item<'_>> = chosen.iter().map(|place| items[*place]).collect();
    let stored = store_new(session, Some(now), &wanted, Check::Nothing).await?;
    let mut lost = Vec::new();
    for (place, reply) in chosen.into_iter().zip(stored.jobs) {
        if reply != Enqueued::Created && items[place].0.spec.unique_key.is_some() {
            lost.push(items[place]);
        }
        replies[place] = reply;
    }
    keys::give_back(session, &lost).await?;
    Ok(Stored { jobs: replies, ..stored })
}

/// Stores jobs without keys, as a transaction of their own.
async fn store(session: &mut Session, now: Option<Timestamp>, items: &[Item<'_>]) -> Answer<Stored> {
    let mut ordered: Vec<Item<'_>> = items.to_vec();
    ordered.sort_by_key(|(job, _)| job.id);
    let is_twice = ordered.windows(2).any(|pair| pair[0].0.id == pair[1].0.id);
    if !is_twice {
        let columns = Columns::of(&ordered, Check::Queues);
        match session.query_one(sql!("store_jobs"), &columns.params(&now.map(Timestamp::as_millis))).await {
            Ok(row) => {
                if !row.try_get::<_, bool>(2)? {
                    return Err(Fail::Exchanged);
                }
                let jobs = vec![Enqueued::Created; items.len()];
                return Ok(Stored { now: row::timestamp(&row, 0)?, durability: durability(&row, 1)?, jobs });
            }
            Err(fail) if fail.is_unique_violation() => {}
            Err(fail) => return Err(fail),
        }
    }
    store_new(session, now, items, Check::Queues).await
}

/// Stores those of the jobs whose ids are new; of two with one id the first.
async fn store_new(
    session: &mut Session,
    now: Option<Timestamp>,
    items: &[Item<'_>],
    check: Check,
) -> Answer<Stored> {
    let mut ordered: Vec<Item<'_>> = items.to_vec();
    ordered.sort_by_key(|(job, _)| job.id);
    ordered.dedup_by_key(|(job, _)| job.id);
    let columns = Columns::of(&ordered, check);
    let rows = session.query(sql!("store_new_jobs"), &columns.params(&now.map(Timestamp::as_millis))).await?;
    let first = rows.first().ok_or_else(|| crate::error::undecodable("answer"))?;
    let (now, durability) = (row::timestamp(first, 0)?, durability(first, 1)?);
    if !first.try_get::<_, bool>(2)? {
        return Err(Fail::Exchanged);
    }
    let mut stored: HashSet<JobId> = HashSet::with_capacity(rows.len());
    for row in &rows {
        stored.extend(row.try_get::<_, Option<Uuid>>(3)?.map(row::job_id));
    }
    let answer = |(job, _): &Item<'_>| {
        // Taken out, so that the same id answers differently the second time.
        if stored.remove(&job.id) {
            Enqueued::Created
        } else {
            Enqueued::Existing { id: job.id, by: ExistingBy::Id }
        }
    };
    Ok(Stored { now, durability, jobs: items.iter().map(answer).collect() })
}

fn durability(row: &Row, column: usize) -> Answer<Durability> {
    let survives_power_loss: bool = row.try_get(column)?;
    Ok(if survives_power_loss { Durability::PowerLoss } else { Durability::ProcessCrash })
}

/// Learns the server's clock where it differs much from what is known: the instant is older than the answer,
/// by the commit.
fn learn_clock(inner: &Inner, call: Call, server: Timestamp) {
    let known = inner.server_now();
    if call.now.is_none() && (server.as_millis() - known.as_millis()).abs() > 1_000 {
        inner.learn_clock(server);
    }
}
