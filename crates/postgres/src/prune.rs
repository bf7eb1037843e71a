//! Deletes ended jobs past their retention.
//!
//! | what | is found by | goes |
//! |---|---|---|
//! | cancelled, discarded | `ended`, by the end of its retention | row by row |
//! | completed, with a retention of its own or late | `expiries`, by the end of its retention | row by row |
//! | other completed ones, in a partition with many | — | with the partition: [`partition`] |
//! | other completed ones | [`sweep`], by id | row by row |
//!
//! Whatever finds a job, it is deleted only after a look in a statement that begins once its row in `jobs` is
//! locked: it may have been retried or deleted meanwhile. One that another transaction has locked is left to
//! a later round, and so is one whose claim is locked; they keep no other job.

use std::collections::HashMap;

use gristmill_core::{Call, End, JobState, Maintained, Priority, Retention, Standing, Timestamp};
use uuid::Uuid;

use crate::end;
use crate::error::Answer;
use crate::handle::Inner;
use crate::hint_sum::{HintSum, Position};
use crate::locked::Parts;
use crate::row::{self, Options};
use crate::session::Session;
use crate::statement::{Sql, sql};
use crate::steps::{DROP, Steps};
use crate::{partition, register, sweep};

/// Jobs that one transaction deletes at most.
pub(crate) const BATCH: usize = 500;
/// Due deletions that a call looks at for each job it may delete: those of jobs that were retried or deleted
/// since, or that other transactions have locked, cost a look, too.
const LOOKS_A_JOB: usize = 4;
/// The changes of the numbers are folded when there are more of them, and so many at a time.
const TALLIES: i64 = 1_000;
const FOLDED: i64 = 20_000;

pub(crate) async fn prune(inner: &Inner, call: Call, request: &usize) -> Answer<Maintained> {
    let limit = *request;
    let mut session = inner.work().await?;
    let row = session.query_one(sql!("now"), &[&call.now.map(Timestamp::as_millis)]).await?;
    let now = row::timestamp(&row, 0)?;
    let (mut done, logged) = (0, &inner.logged);
    let mut steps = Steps::default();
    let is_by_the_servers_clock = limit > 0 && call.now.is_none();
    if is_by_the_servers_clock {
        inner.learn_clock(now);
        let folded = session.execute(sql!("fold_tallies"), &[&TALLIES, &FOLDED]).await;
        steps.take(logged, &mut session, "fold numbers", folded).await?;
        let made = partition::make_ahead(&mut session, now).await;
        steps.take(logged, &mut session, "make partitions", made).await?;
        let dropped = partition::drop_past(inner, &mut session, now).await;
        let dropped = steps.take(logged, &mut session, DROP, dropped).await?;
        steps.longest_ms = dropped.longest_ms;
        done += dropped.jobs;
    }
    let mended = mend_priorities(inner, &mut session).await;
    steps.take(logged, &mut session, "mend priorities", mended).await?;
    let gone = ended(&mut session, now, limit.saturating_sub(done)).await;
    done += steps.take(logged, &mut session, "delete ended jobs", gone).await?;
    let gone = noted(&mut session, now, limit.saturating_sub(done)).await;
    done += steps.take(logged, &mut session, "delete completed jobs by their time", gone).await?;
    let swept = sweep::sweep(inner, &mut session, call, now, limit.saturating_sub(done)).await;
    let swept =
        steps.take(logged, &mut session, "delete completed jobs by their ids", swept.map(Some)).await?;
    let swept = swept.unwrap_or_else(|| sweep::Sweep::nothing(now));
    done += swept.done;
    let next = next_prune(&mut session, swept.end).await;
    let next = steps.take(logged, &mut session, "look for the next deletion", next).await?;
    let registers = register::prune(&mut session, now, limit).await;
    let registers = steps.take(logged, &mut session, "delete registers", registers).await?;
    if is_by_the_servers_clock {
        steps.note(&mut session, now).await?;
    }
    let next_due = swept.next_due.into_iter().chain(next).chain(registers.next).min();
    let mut round = Maintained::round(done, next_due, now);
    // Below the limit, what is past its retention waits for its partition.
    round.more &= done >= limit;
    round.more |= swept.is_cut || registers.is_full;
    Ok(round)
}

/// Makes available jobs fetchable whose priority cannot be.
async fn mend_priorities(inner: &Inner, session: &mut Session) -> Answer<()> {
    let (first, last) = (i16::from(Priority::FIRST.get()), i16::from(Priority::LAST.get()));
    let mut hints = HintSum::default();
    for row in session.query(sql!("mend_priorities"), &[&first, &last, &row::size(BATCH)]).await? {
        let (queue, priority): (i32, i16) = (row.try_get(0)?, row.try_get(1)?);
        let (run_at_ms, id): (i64, Uuid) = (row.try_get(2)?, row.try_get(3)?);
        gristmill_core::log!(warn, job = %row::job_id(id), priority, "the priority of a job cannot be; it counts as the nearest");
        inner.cursors.lower(queue, priority, run_at_ms, id);
        hints.available(queue, Position { priority, run_at_ms, id });
    }
    inner.send_hints(hints);
    Ok(())
}

/// When the next job is past its retention, of those that were noted and those from an id on.
async fn next_prune(session: &mut Session, from: Uuid) -> Answer<Option<Timestamp>> {
    let row = session.query_one(sql!("next_prune"), &[&from]).await?;
    let noted = row::optional_timestamp(&row, 0)?;
    // No job is past its retention earlier than that after it was made.
    let unseen =
        row.try_get::<_, Option<Uuid>>(1)?.map(|id| row::made_at(id) + Retention::default().completed);
    Ok(noted.into_iter().chain(unseen).min())
}

/// Jobs whose deletion is due, in the order of that: when, and which.
type Due = (i64, Uuid);

const FIRST: Due = (i64::MIN, Uuid::nil());

/// The next due jobs behind one.
async fn due(session: &mut Session, sql: Sql, now: Timestamp, behind: Due, most: usize) -> Answer<Vec<Due>> {
    let rows = session.query(sql, &[&now.as_millis(), &behind.0, &behind.1, &row::size(most)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Deletes cancelled and discarded jobs.
async fn ended(session: &mut Session, now: Timestamp, limit: usize) -> Answer<usize> {
    let (mut done, mut looks, mut behind) = (0, limit.saturating_mul(LOOKS_A_JOB), FIRST);
    while done < limit && looks > 0 {
        let batch = BATCH.min(limit - done);
        let entries = due(session, sql!("past_ended"), now, behind, batch).await?;
        let Some(last) = entries.last() else { break };
        behind = *last;
        looks = looks.saturating_sub(entries.len());
        let ids: Vec<Uuid> = entries.iter().map(|(_, id)| *id).collect();
        let mut parts = Parts::whole(ids.len());
        while let Some(part) = parts.next() {
            match erase_ended(session, now, &ids[part.clone()]).await {
                Ok(erased) => done += erased,
                Err(fail) if fail.is_end_of_turn() => {
                    session.roll_back().await?;
                    // Whatever is set aside is for the next round.
                    parts.is_set_aside(&part);
                }
                Err(fail) => return Err(fail),
            }
        }
        if entries.len() < batch {
            break;
        }
    }
    Ok(done)
}

/// Deletes those of the jobs that are still past their retention and that no other transaction has locked.
/// Returns how many.
async fn erase_ended(session: &mut Session, now: Timestamp, ids: &[Uuid]) -> Answer<usize> {
    session.begin_hasty().await?;
    let (locked, _) = lock(session, ids).await?;
    let locked: Vec<Uuid> = locked.into_keys().collect();
    let mut past = Vec::with_capacity(locked.len());
    for row in session.query(sql!("still_past_ended"), &[&locked, &now.as_millis()]).await? {
        let (id, until) = (row.try_get(0)?, row::timestamp(&row, 1)?);
        // One that does not decode was shown as discarded.
        let state = row::state(row::get(&row, 2)?).filter(|state| state.is_terminal());
        let standing = Standing::new(state.unwrap_or(JobState::Discarded), until);
        past.extend(End::of_expiry(standing, until, now).map(|end| (id, end)));
    }
    end::remove(session, &past).await?;
    session.commit().await?;
    Ok(past.len())
}

/// Deletes completed jobs whose deletion was noted.
async fn noted(session: &mut Session, now: Timestamp, limit: usize) -> Answer<usize> {
    let (mut done, mut looks, mut behind) = (0, limit.saturating_mul(LOOKS_A_JOB), FIRST);
    while done < limit && looks > 0 {
        let batch = BATCH.min(limit - done);
        let entries = due(session, sql!("past_expiries"), now, behind, batch).await?;
        let Some(last) = entries.last() else { break };
        behind = *last;
        looks = looks.saturating_sub(entries.len());
        let mut parts = Parts::whole(entries.len());
        while let Some(part) = parts.next() {
            match settle_noted(session, now, &entries[part.clone()]).await {
                Ok(erased) => done += erased,
                Err(fail) if fail.is_end_of_turn() => {
                    session.roll_back().await?;
                    parts.is_set_aside(&part);
                }
                Err(fail) => return Err(fail),
            }
        }
        if entries.len() < batch {
            break;
        }
    }
    Ok(done)
}

/// Deletes those of the jobs that are past their retention, and notes the others again; how many went.
async fn settle_noted(session: &mut Session, now: Timestamp, entries: &[Due]) -> Answer<usize> {
    let ids: Vec<Uuid> = entries.iter().map(|(_, id)| *id).collect();
    session.begin_hasty().await?;
    let completed = erase_completed(session, now, &ids).await?;
    let settled = entries.iter().filter(|(_, id)| !completed.held.contains(id));
    let (delete_ats, ids): (Vec<i64>, Vec<Uuid>) = settled.copied().unzip();
    session.execute(sql!("delete_expiries"), &[&delete_ats, &ids]).await?;
    if !completed.kept.is_empty() {
        let (kept, delete_ats): (Vec<Uuid>, Vec<i64>) =
            completed.kept.iter().map(|(id, due)| (*id, due.as_millis())).unzip();
        session.execute(sql!("insert_expiries"), &[&delete_ats, &kept]).await?;
    }
    session.commit().await?;
    Ok(completed.erased)
}

/// What became of completed jobs.
#[derive(Debug, Default)]
pub(crate) struct Completed {
    /// So many were past their retention and are gone.
    pub(crate) erased: usize,
    /// Those that are not, and when they will be.
    pub(crate) kept: Vec<(Uuid, Timestamp)>,
    /// Those that other transactions have locked.
    pub(crate) held: Vec<Uuid>,
}

/// Deletes those of the jobs that are completed and past their retention; a part of a transaction.
pub(crate) async fn erase_completed(
    session: &mut Session,
    now: Timestamp,
    ids: &[Uuid],
) -> Answer<Completed> {
    let (locked, held) = lock(session, ids).await?;
    let ids: Vec<Uuid> = locked.keys().copied().collect();
    let (mut past, mut queues) = (Vec::new(), Vec::new());
    let mut completed = Completed { held, ..Completed::default() };
    for row in session.query(sql!("completed_at"), &[&ids]).await? {
        let id: Uuid = row.try_get(0)?;
        let Some(job) = locked.get(&id) else { continue };
        let mut standing = Standing::new(JobState::Completed, now);
        standing.retention = job.retention.as_ref();
        let Some(due) = standing.expires_at(row::timestamp(&row, 1)?) else { continue };
        match End::of_expiry(standing, due, now) {
            Some(end) => {
                past.push((id, end));
                queues.push(job.queue);
            }
            None => completed.kept.push((id, due)),
        }
    }
    if !past.is_empty() {
        end::remove(session, &past).await?;
        session.execute(sql!("add_completed"), &[&queues, &-1_i64]).await?;
    }
    completed.erased = past.len();
    Ok(completed)
}

struct Locked {
    queue: i32,
    retention: Option<Retention>,
}

/// Locks the rows of those jobs that are there: those that are locked now, and those that other transactions
/// have locked.
async fn lock(session: &mut Session, ids: &[Uuid]) -> Answer<(HashMap<Uuid, Locked>, Vec<Uuid>)> {
    let rows = session.query(sql!("lock_jobs_to_prune"), &[&ids]).await?;
    let (mut locked, mut held) = (HashMap::with_capacity(rows.len()), Vec::new());
    for row in &rows {
        let id: Uuid = row.try_get(0)?;
        match row.try_get(1)? {
            Some(queue) => {
                let retention = Options::parse(row.try_get(2)?).retention;
                locked.insert(id, Locked { queue, retention });
            }
            None => held.push(id),
        }
    }
    Ok((locked, held))
}
