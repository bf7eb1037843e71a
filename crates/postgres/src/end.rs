//! Ends runs for finish, rescue and release alike: writes their rows, shrinks their claims, moves their jobs.
//!
//! The caller's transaction first locks the claims, in ascending order, and then reads their runs in a later
//! statement. So it ends only runs that have not ended. It locks jobs that may disappear before the claims,
//! as verbs do.

mod claims;

use std::borrow::Cow;

use gristmill_core::{
    End, EndedBy, Ending, FinishItem, JobState, Output, RunEnd, RunError, RunRecord, Stay, Timestamp, Verb,
};
use uuid::Uuid;

use crate::error::{Answer, undecodable};
use crate::events::add_events;
use crate::hint_sum::{HintSum, Position};
use crate::member::{Member, short_token};
use crate::place::{self, Put};
use crate::row;
use crate::session::Session;
use crate::statement::sql;

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
    pub(crate) end: End,
    /// What its worker reports; `None` where the run ends without its worker.
    pub(crate) said: Option<&'r FinishItem>,
}

/// What a run's row keeps of its end.
pub(crate) struct RunRow<'r> {
    ending: Ending,
    by: EndedBy,
    state: JobState,
    reason: Option<Cow<'r, str>>,
    output: Option<&'r [u8]>,
}

/// All that is to be done about an end.
pub(crate) struct Parts<'r> {
    pub(crate) run: Option<RunRow<'r>>,
    /// Where the job goes.
    pub(crate) put: Put<'r>,
    pub(crate) event: Option<Verb>,
}

impl<'r> Parts<'r> {
    /// Takes an end apart; `job` says what does not change by it. It holds a unique key if `is_unique`.
    pub(crate) fn of(end: End, job: &Put<'r>, is_unique: bool, said: Option<&'r FinishItem>) -> Self {
        let End { run, state, stay, attempt, crashes, reason, keeps_output, frees_key, event, hints_end } =
            end;
        let reason = reason.text(said.and_then(|item| item.reason.as_deref())).map(row::storable);
        let output = said.and_then(|item| item.output.as_ref()).filter(|_| keeps_output);
        let run = run.map(|RunEnd { ending, by }| RunRow {
            ending,
            by,
            state,
            reason: reason.clone(),
            output: output.map(Output::as_bytes),
        });
        let frees_key = frees_key && is_unique;
        let mut put = Put { attempt, crashes, state, stay, reason, frees_key, hints_end, ..*job };
        if let Stay::Due(due) = stay {
            put.run_at = due;
        }
        Self { run, put, event }
    }
}

impl<'r> EndedRun<'r> {
    pub(crate) fn is_erased(&self) -> bool {
        self.end.stay == Stay::Erased
    }

    fn parts(&self) -> Parts<'r> {
        let job = Put {
            id: self.job,
            queue: self.member.queue,
            priority: self.member.priority,
            run: self.run,
            attempt: self.member.attempt,
            crashes: self.member.crashes,
            state: JobState::Running,
            stay: Stay::Due(self.member.run_at),
            run_at: self.member.run_at,
            reason: None,
            frees_key: false,
            hints_end: false,
            has_retention: self.member.has_retention,
        };
        Parts::of(self.end, &job, self.member.is_unique, self.said)
    }

    fn error(&self) -> Option<&'r RunError> {
        self.said.and_then(|item| item.error.as_ref())
    }

    fn started_at(&self) -> Option<i64> {
        self.said.and_then(|item| item.started_at).map(Timestamp::as_millis)
    }
}

/// Removes jobs as their ends say, from `jobs` and all that belongs to them. Their places and the numbers of
/// completed ones are the caller's.
pub(crate) async fn remove(session: &mut Session, gone: &[(Uuid, End)]) -> Answer<()> {
    let mut erased = Vec::with_capacity(gone.len());
    for &(id, end) in gone {
        // The erasure frees the key. Nothing is left that could have counts, a reason, an output or an event.
        let End {
            run: None,
            state: _,
            stay: Stay::Erased,
            attempt: _,
            crashes: _,
            reason: _,
            keeps_output: _,
            frees_key: _,
            event: _,
            hints_end: false,
        } = end
        else {
            return Err(undecodable("end").into());
        };
        erased.push(id);
    }
    place::erase(session, &erased).await
}

/// Records how runs ended, and puts their jobs where they go. Their claims are the caller's:
/// [`shrink_claims`] or [`drop_claims`].
pub(crate) async fn end_runs<'r>(
    session: &mut Session,
    now: Timestamp,
    ended: &[EndedRun<'r>],
) -> Answer<Vec<Put<'r>>> {
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let (mut rows, mut puts, mut events) = (Vec::with_capacity(ended.len()), Vec::new(), Vec::new());
    puts.reserve(ended.len());
    for run in ended {
        let Parts { run: row, put, event } = run.parts();
        rows.extend(row);
        events.extend(event.map(|verb| (put.id, verb.as_str(), None, None)));
        puts.push(put);
    }
    append(session, now, ended, &rows).await?;
    place::put(session, now, &puts).await?;
    add_events(session, now, &events).await?;
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

/// Appends a row for each run.
async fn append(
    session: &mut Session,
    now: Timestamp,
    ended: &[EndedRun<'_>],
    rows: &[RunRow<'_>],
) -> Answer<()> {
    fn of<'a, R, T>(rows: &'a [R], part: impl FnMut(&'a R) -> T) -> Vec<T> {
        rows.iter().map(part).collect()
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
                &of(rows, |row| row::ending_number(row.ending)),
                &of(rows, |row| row::state_number(row.state)),
                &of(rows, |row| row::ended_by_number(row.by)),
                &of(rows, |row| row.reason.as_deref()),
                &of(ended, |run| run.error().map(|error| row::storable(&error.message))),
                &of(ended, |run| run.error().and_then(|error| error.backtrace.as_deref()).map(row::storable)),
                &of(rows, |row| row.output),
            ],
        )
        .await
}

/// Adds hints for the listeners about the jobs that moved. They become true with the commit.
pub(crate) fn add_hints(hints: &mut HintSum, puts: &[Put<'_>], wants_ends: bool) {
    for put in puts {
        if put.hints_end && wants_ends {
            hints.ended(row::job_id(put.id));
        }
        if put.is_erased() {
            continue;
        }
        if put.stay == Stay::Parked {
            hints.parked(put.queue);
            continue;
        }
        let position = Position { priority: put.priority, run_at_ms: put.run_at.as_millis(), id: put.id };
        hints.moved(put.state, put.queue, position);
    }
}
