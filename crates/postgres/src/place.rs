//! Where jobs go: into `ready`, `waiting` or `ended`, or nowhere, and what follows from it.
//!
//! Each of these is a part of a transaction that holds the lock of what the jobs left: a claim, or their rows
//! in `ready`, `waiting` or `jobs`.

use std::borrow::Cow;
use std::time::Duration;

use gristmill_core::{JobState, Retention, Stay, Timestamp};
use uuid::Uuid;

use crate::error::Answer;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// A job that completes later than this after it was made has its deletion noted; the others are found by
/// their ids, or go with their partition. Shorter than the default retention of completed jobs: one that
/// moved to the DEFAULT partition when its own was dropped, a retention after it was made, is always late.
/// Every end of a run as completed has to keep to it.
pub(crate) const LATE: Duration = Duration::from_secs(12 * 3600);

/// A job and where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Put<'r> {
    pub(crate) id: Uuid,
    pub(crate) queue: i32,
    pub(crate) priority: i16,
    /// Its latest run.
    pub(crate) run: u32,
    pub(crate) attempt: u16,
    pub(crate) crashes: u16,
    pub(crate) state: JobState,
    /// Whether it stays there; of one that has not ended and is not parked, when it is due.
    pub(crate) stay: Stay,
    /// When it is, or was, due.
    pub(crate) run_at: Timestamp,
    pub(crate) reason: Option<Cow<'r, str>>,
    /// It may hold a unique key, which is free now.
    pub(crate) frees_key: bool,
    /// Listeners that watch ends get a hint of it.
    pub(crate) hints_end: bool,
    /// It has a retention of its own.
    pub(crate) has_retention: bool,
}

impl Put<'_> {
    /// It is not kept at all.
    pub(crate) fn is_erased(&self) -> bool {
        self.stay == Stay::Erased
    }

    /// A completed job whose deletion has to be noted, since it does not go with its partition.
    fn has_expiry(&self, now: Timestamp) -> bool {
        self.state == JobState::Completed && (self.has_retention || now.since(row::made_at(self.id)) > LATE)
    }

    /// When its retention passes, in milliseconds. Of one that has not ended nothing reads it.
    fn delete_at(&self) -> i64 {
        match self.stay {
            Stay::Kept { until } => until.as_millis(),
            Stay::Due(_) | Stay::Parked | Stay::Erased => 0,
        }
    }
}

/// Whether some end of a job with this retention erases it.
pub(crate) fn may_erase(retention: Retention) -> bool {
    let ends = [JobState::Completed, JobState::Cancelled, JobState::Discarded];
    ends.iter().any(|end| retention.of(*end).is_some_and(|kept| kept.is_zero()))
}

/// Puts jobs where they go: frees their unique keys, and erases those that are not kept. Jobs that complete
/// are counted here, too. `now` is the instant of the transaction.
pub(crate) async fn put(session: &mut Session, now: Timestamp, jobs: &[Put<'_>]) -> Answer<()> {
    let freed: Vec<Uuid> = jobs.iter().filter(|job| job.frees_key).map(|job| job.id).collect();
    if !freed.is_empty() {
        session.execute(sql!("free_uniques"), &[&freed]).await?;
    }
    let (erased, kept): (Vec<&Put<'_>>, Vec<&Put<'_>>) = jobs.iter().partition(|job| job.is_erased());
    if erased.iter().any(|job| job.run > 1) {
        // Claims of earlier runs may list them still.
        erase(session, &erased.iter().map(|job| job.id).collect::<Vec<_>>()).await?;
    } else if !erased.is_empty() {
        // Only the claim they leave does, and its caller sees to it.
        let ids: Vec<Uuid> = erased.iter().map(|job| job.id).collect();
        session.execute(sql!("erase"), &[&ids]).await?;
    }
    let (completed, placed): (Vec<&Put<'_>>, Vec<&Put<'_>>) =
        kept.into_iter().partition(|job| job.state == JobState::Completed);
    if !placed.is_empty() {
        insert(session, now, &placed).await?;
    }
    if !completed.is_empty() {
        let queues: Vec<i32> = completed.iter().map(|job| job.queue).collect();
        session.execute(sql!("add_completed"), &[&queues, &1_i64]).await?;
    }
    let expiring: Vec<&Put<'_>> = completed.into_iter().filter(|job| job.has_expiry(now)).collect();
    if !expiring.is_empty() {
        let ids: Vec<Uuid> = expiring.iter().map(|job| job.id).collect();
        let delete_ats: Vec<i64> = expiring.iter().map(|job| job.delete_at()).collect();
        session.execute(sql!("insert_expiries"), &[&delete_ats, &ids]).await?;
    }
    Ok(())
}

async fn insert(session: &mut Session, now: Timestamp, jobs: &[&Put<'_>]) -> Answer<()> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
    let queues: Vec<i32> = jobs.iter().map(|job| job.queue).collect();
    let priorities: Vec<i16> = jobs.iter().map(|job| job.priority).collect();
    let runs: Vec<i32> = jobs.iter().map(|job| row::run(job.run)).collect();
    let attempts: Vec<i32> = jobs.iter().map(|job| i32::from(job.attempt)).collect();
    let crashes: Vec<i16> = jobs.iter().map(|job| row::crashes(job.crashes)).collect();
    let states: Vec<i16> = jobs.iter().map(|job| row::state_number(job.state)).collect();
    let dues: Vec<i64> = jobs.iter().map(|job| job.run_at.as_millis()).collect();
    let reasons: Vec<Option<_>> = jobs.iter().map(|job| job.reason.as_deref().map(row::storable)).collect();
    let deletions: Vec<i64> = jobs.iter().map(|job| job.delete_at()).collect();
    let are_parked: Vec<bool> = jobs.iter().map(|job| job.stay == Stay::Parked).collect();
    let now = now.as_millis();
    for (job, due) in jobs.iter().zip(&dues).filter(|(job, _)| job.state == JobState::Available) {
        session.makes_available(job.queue, job.priority, *due, job.id);
    }
    session
        .execute(
            sql!("put"),
            &[
                &now,
                &ids,
                &queues,
                &priorities,
                &runs,
                &attempts,
                &crashes,
                &states,
                &dues,
                &reasons,
                &deletions,
                &are_parked,
            ],
        )
        .await
}

/// Takes jobs out of `ready`, `waiting` and `ended`, wherever they are.
pub(crate) async fn take_out(session: &mut Session, ids: &[Uuid]) -> Answer<()> {
    session.execute(sql!("take_out"), &[&ids]).await
}

/// Removes jobs and all that belongs to them. Completed ones are to be counted by the caller.
///
/// Claims may list them still, whose other runs have not ended: they are struck out of them.
pub(crate) async fn erase(session: &mut Session, ids: &[Uuid]) -> Answer<()> {
    session.execute(sql!("strike_jobs"), &[&ids]).await?;
    session.execute(sql!("erase"), &[&ids]).await
}
