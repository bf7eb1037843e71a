//! How runs end, whoever ends them: their rows, their claims, and where their jobs go.
//!
//! All of it is a part of a transaction that first locked the claims, in ascending order, and looked at their runs in a
//! statement after that: what it ends has not ended. Jobs that may disappear are locked before the claims, as verbs do.

mod claims;

use std::borrow::Cow;

use gristmill_core::{
    Decision, Ending, FinishItem, JobState, Output, Reason, Retention, RunError, RunRecord, Settlement,
    Timestamp,
};
use gristmill_sql::EndedBy;
use uuid::Uuid;

use crate::error::Answer;
use crate::member::{Member, short_token};
use crate::place::{self, Put};
use crate::row::{self, LAST_RUN};
use crate::session::Session;
use crate::statement::sql;
use crate::told::{Position, Told};

pub(crate) use self::claims::{
    Held, IfLocked, OpenMember, drop_claims, leave_listed, lock_claims, lock_claims_and_listing,
    lock_jobs_of_claims, open_members, shrink_claims,
};

/// How one run ends.
#[derive(Debug)]
pub(crate) struct EndedRun<'r> {
    /// The claim's.
    pub(crate) nonce: Uuid,
    pub(crate) worker: Uuid,
    pub(crate) fetched_at: Timestamp,
    pub(crate) job: Uuid,
    pub(crate) run: u32,
    pub(crate) member: Member,
    /// The job's own, where it has one.
    pub(crate) retention: Option<Retention>,
    pub(crate) settled: Settlement,
    pub(crate) by: EndedBy,
    /// What its worker says of it.
    pub(crate) said: Option<&'r FinishItem>,
}

impl EndedRun<'_> {
    /// A run that ends like this, unless it is the last one there can be.
    pub(crate) fn new(mut run: Self) -> Self {
        if run.is_beyond() {
            run.settled.state = JobState::Discarded;
        }
        run
    }

    /// The job would come back, and no further run has a number.
    fn is_beyond(&self) -> bool {
        let decision = self.said.map(|item| item.decision);
        let ends = matches!(decision, Some(Decision::Complete | Decision::Cancel | Decision::Discard));
        self.run >= LAST_RUN && !ends && (self.settled.reason.is_none() || self.settled.is_parked())
    }

    /// Why; the store's reason stands before the handler's.
    fn reason(&self) -> Option<Cow<'_, str>> {
        if self.is_beyond() {
            return Some("no further run fits the store".into());
        }
        let own = self.settled.reason.map(Reason::as_str);
        own.or_else(|| self.said.and_then(|item| item.reason.as_deref())).map(row::storable)
    }

    fn error(&self) -> Option<&RunError> {
        self.said.and_then(|item| item.error.as_ref())
    }

    fn output(&self) -> Option<&[u8]> {
        let output = self.said.and_then(|item| item.output.as_ref());
        output.filter(|_| self.settled.ending == Ending::Completed).map(Output::as_bytes)
    }

    fn started_at(&self) -> Option<i64> {
        self.said.and_then(|item| item.started_at).map(Timestamp::as_millis)
    }

    /// Where its job goes.
    pub(crate) fn put(&self, now: Timestamp) -> Put {
        Put {
            id: self.job,
            queue: self.member.queue,
            priority: self.member.priority,
            run: self.run,
            attempt: self.settled.attempt,
            crashes: self.settled.crashes,
            state: self.settled.state,
            is_parked: self.settled.is_parked() && self.settled.state == JobState::Scheduled,
            run_at: self.settled.due(now, self.member.run_at),
            after: None,
            reason: self.reason().map(Cow::into_owned),
            is_unique: self.member.is_unique,
            retention: self.retention,
        }
    }
}

/// Records how runs ended, and puts their jobs where they go. Their claims are the caller's: [`shrink_claims`] or
/// [`drop_claims`].
pub(crate) async fn end_runs(
    session: &mut Session,
    now: Timestamp,
    ended: &[EndedRun<'_>],
) -> Answer<Vec<Put>> {
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    append(session, now, ended).await?;
    let puts: Vec<Put> = ended.iter().map(|run| run.put(now)).collect();
    place::put(session, now, &puts).await?;
    trim(session, ended).await?;
    Ok(puts)
}

/// Deletes the old runs of jobs that have run often.
async fn trim(session: &mut Session, ended: &[EndedRun<'_>]) -> Answer<()> {
    let old = ended.iter().filter_map(|run| Some((run.job, RunRecord::trimmed_at(run.run)?)));
    let old: Vec<(Uuid, i32, i32)> =
        old.map(|(job, runs)| (job, row::run(*runs.start()), row::run(*runs.end()))).collect();
    if old.is_empty() {
        return Ok(());
    }
    let jobs: Vec<Uuid> = old.iter().map(|old| old.0).collect();
    let firsts: Vec<i32> = old.iter().map(|old| old.1).collect();
    let lasts: Vec<i32> = old.iter().map(|old| old.2).collect();
    session.execute(sql!("trim_runs"), &[&jobs, &firsts, &lasts]).await
}

async fn append(session: &mut Session, now: Timestamp, ended: &[EndedRun<'_>]) -> Answer<()> {
    fn of<'a, 'r, T>(ended: &'a [EndedRun<'r>], part: impl FnMut(&'a EndedRun<'r>) -> T) -> Vec<T> {
        ended.iter().map(part).collect()
    }
    session
        .execute(
            sql!("append_runs"),
            &[
                &now.as_millis(),
                &of(ended, |run| run.job),
                &of(ended, |run| row::run(run.run)),
                &of(ended, |run| i32::from(run.member.attempt)),
                &of(ended, |run| run.worker),
                &of(ended, |run| run.fetched_at.as_millis()),
                &of(ended, |run| run.member.run_at.as_millis()),
                &of(ended, EndedRun::started_at),
                &of(ended, |run| short_token(run.nonce)),
                &of(ended, |run| row::ending_number(run.settled.ending)),
                &of(ended, |run| row::state_number(run.settled.state)),
                &of(ended, |run| run.by.number()),
                &of(ended, EndedRun::reason),
                &of(ended, |run| run.error().map(|error| row::storable(&error.message))),
                &of(ended, |run| run.error().and_then(|error| error.backtrace.as_deref()).map(row::storable)),
                &of(ended, EndedRun::output),
            ],
        )
        .await
}

/// What moved, for whoever listens; to be called after the commit.
pub(crate) fn tell(told: &mut Told, puts: &[Put], wants_ends: bool) {
    for put in puts {
        if put.is_parked {
            told.parked(put.queue);
            continue;
        }
        let position = Position { priority: put.priority, run_at_ms: put.run_at.as_millis(), id: put.id };
        told.moved(put.state, put.queue, position, wants_ends);
    }
}
