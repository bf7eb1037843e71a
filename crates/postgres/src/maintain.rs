//! Rescue, audit: bounded rounds that any worker may run.
//!
//! Locks are taken in the order of all operations: rows of `jobs`, then claims, each ascending. A rescue
//! takes one claim a transaction, so that one it cannot read does not keep it from the others; two rescuers
//! pass by the claim that the other one holds.

use gristmill_core::{AuditReply, Call, Cursor, JobState, RescueReply, Stay, Timestamp};
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::hint_sum::{HintSum, Position};
use crate::locate::{Detail, Located, locate};
use crate::place::{Put, put};
use crate::rescue;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

pub(crate) async fn rescue(inner: &Inner, call: Call, request: &usize) -> Answer<RescueReply> {
    let given = call.now.map(Timestamp::as_millis);
    let mut session = inner.work().await?;
    let mut reply = RescueReply::default();
    let look = session.query_one(sql!("look_for_dead"), &[&given]).await?;
    if !look.try_get::<_, bool>(1)? {
        reply.next_due = row::optional_timestamp(&look, 0)?;
        return Ok(reply);
    }
    // A worker is dead before its claims are taken: from here on it can neither fetch nor renew.
    session.execute(sql!("mark_dead"), &[&given]).await?;
    rescue::orphans(inner, &mut session, call, *request, &mut reply).await?;
    let next = session.query_one(sql!("next_lease_end"), &[&given]).await?;
    reply.next_due = row::optional_timestamp(&next, 0)?;
    Ok(reply)
}

pub(crate) async fn audit(
    inner: &Inner,
    call: Call,
    request: &(Option<Cursor>, usize),
) -> Answer<AuditReply> {
    let (cursor, limit) = *request;
    let mut session = inner.work().await?;
    let behind = cursor.map_or(Uuid::nil(), |Cursor(id)| row::uuid(id));
    let rows = session.query(sql!("jobs_after"), &[&behind, &row::size(limit)]).await?;
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    let mut reply = AuditReply::default();
    reply.checked = ids.len() as u64;
    reply.next = ids.last().filter(|_| ids.len() == limit).map(|id| Cursor(row::job_id(*id)));
    // As many places as jobs, and so many strays.
    let looks = row::size(limit.saturating_mul(2));
    let reached = reply.next.map(|Cursor(id)| row::uuid(id));
    for stray in session.query(sql!("drop_strays"), &[&behind, &reached, &looks]).await? {
        let id = row::job_id(stray.try_get(0)?);
        gristmill_core::log!(error, job = %id, "a place held a job that is not there: a manual change, or a defect");
    }
    let lost = lost(&mut session, &ids).await?;
    if !lost.is_empty() {
        let ids: Vec<Uuid> = lost.iter().map(|job| job.id).collect();
        repair(inner, &mut session, call, &ids, &mut reply).await?;
    }
    Ok(reply)
}

/// Those of the jobs that are in no place. A statement sees all places at one moment, and each move is one
/// transaction, so a job that moves is not among them.
async fn lost(session: &mut Session, ids: &[Uuid]) -> Answer<Vec<Located>> {
    let jobs = locate(session, ids, Detail::Place).await?;
    let is_lost = |job: &Located| job.state == JobState::Running && job.held.is_none();
    Ok(jobs.into_iter().flatten().filter(is_lost).collect())
}

/// Looks at lost jobs again, now that no verb can touch them, and makes those available that still are.
async fn repair(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    ids: &[Uuid],
    reply: &mut AuditReply,
) -> Answer<()> {
    session.begin().await?;
    session.execute(sql!("lock_jobs"), &[&ids]).await?;
    let lost = lost(session, ids).await?;
    let now = session.query_one(sql!("now"), &[&call.now.map(Timestamp::as_millis)]).await?;
    let now = row::timestamp(&now, 0)?;
    let puts: Vec<Put<'_>> = lost.iter().map(|job| available(job, now)).collect();
    put(session, now, &puts).await?;
    session.commit().await?;
    let mut hints = HintSum::default();
    for job in &puts {
        gristmill_core::log!(error, job = %row::job_id(job.id), "a job was in no place and is available again: a defect");
        reply.repaired.push(row::job_id(job.id));
        let position = Position { priority: job.priority, run_at_ms: job.run_at.as_millis(), id: job.id };
        hints.available(job.queue, position);
    }
    inner.send_hints(hints);
    Ok(())
}

fn available(job: &Located, now: Timestamp) -> Put<'static> {
    Put {
        id: job.id,
        queue: job.queue,
        priority: job.priority,
        run: job.run,
        attempt: job.attempt,
        crashes: job.crashes,
        state: JobState::Available,
        stay: Stay::Due(now),
        run_at: now,
        reason: None,
        frees_key: false,
        hints_end: false,
        has_retention: job.options.retention.is_some(),
    }
}
