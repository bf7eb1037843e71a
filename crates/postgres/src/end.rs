//! How runs end, whoever ends them: their rows, their claims, and where their jobs go.
//!
//! All of it is a part of a transaction that first locked the claims, in ascending order, and looked at their runs in a
//! statement after that: what it ends has not ended. Jobs that may disappear are locked before the claims, as verbs do.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use gristmill_core::{
    Ending, FinishItem, JobState, Output, Reason, Retention, RetryPolicy, RunError, Settlement, Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::Answer;
use crate::member::{Member, short_token};
use crate::place::{self, Put};
use crate::row::{self, LAST_RUN, Options};
use crate::session::Session;
use crate::statement::sql;
use crate::told::{Position, Told};

/// Who ends a run, as its row keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Worker,
    Rescue,
    GiveBack,
}

impl EndedBy {
    const ALL: [Self; 3] = [Self::Worker, Self::Rescue, Self::GiveBack];

    pub(crate) const fn number(self) -> i16 {
        match self {
            Self::Worker => 0,
            Self::Rescue => 1,
            Self::GiveBack => 2,
        }
    }

    pub(crate) fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.number() == number)
    }
}

/// What the row of a claim says of all its runs.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) nonce: Uuid,
    pub(crate) worker: Uuid,
    /// The worker's number of the fetch.
    pub(crate) number: i64,
    pub(crate) fetched_at: Timestamp,
    /// The jobs whose cancel was asked for.
    pub(crate) cancels: Vec<Uuid>,
}

/// Locks claims in the transaction, and reads the clock after that: the claims that are there, by nonce.
pub(crate) async fn lock_claims(
    session: &mut Session,
    given_now: Option<Timestamp>,
    nonces: &[Uuid],
) -> Answer<(Timestamp, BTreeMap<Uuid, Held>)> {
    let given = given_now.map(Timestamp::as_millis);
    let rows = session.query(sql!("lock_claims"), &[&given, &nonces]).await?;
    let mut now = Timestamp::EPOCH;
    let mut claims = BTreeMap::new();
    for row in rows {
        now = row::timestamp(&row, 0)?;
        let Some(nonce) = row.try_get(1)? else { continue };
        let held = Held {
            nonce,
            worker: row.try_get(2)?,
            number: row.try_get(3)?,
            fetched_at: row::timestamp(&row, 4)?,
            cancels: row.try_get::<_, Option<Vec<Uuid>>>(5)?.unwrap_or_default(),
        };
        claims.insert(nonce, held);
    }
    Ok((now, claims))
}

/// A run of a claim that has not ended, and what settling it needs.
#[derive(Debug)]
pub(crate) struct OpenMember {
    pub(crate) nonce: Uuid,
    pub(crate) worker: Uuid,
    /// The worker's number of the fetch.
    pub(crate) number: i64,
    pub(crate) fetched_at: Timestamp,
    pub(crate) job: Uuid,
    pub(crate) run: u32,
    pub(crate) member: Member,
    pub(crate) retry: RetryPolicy,
    pub(crate) retention: Option<Retention>,
    pub(crate) cancel_requested: bool,
}

/// The runs of locked claims that have not ended, by nonce, each claim's in its order.
pub(crate) async fn open_members(session: &mut Session, nonces: &[Uuid]) -> Answer<Vec<OpenMember>> {
    session.query(sql!("open_members"), &[&nonces]).await?.iter().map(OpenMember::read).collect()
}

impl OpenMember {
    fn read(row: &Row) -> Answer<Self> {
        let options = Options::parse(row.try_get(12)?);
        let count16 = |column| Ok::<_, tokio_postgres::Error>(row::count16(row.try_get(column)?));
        Ok(Self {
            nonce: row.try_get(0)?,
            worker: row.try_get(1)?,
            number: row.try_get(2)?,
            fetched_at: row::timestamp(row, 3)?,
            job: row.try_get(5)?,
            run: row::count32(row.try_get(6)?),
            member: Member {
                queue: row.try_get(4)?,
                run_at: row::timestamp(row, 10)?,
                attempt: count16(7)?,
                max_attempts: row::max_attempts(row.try_get(11)?).get(),
                crashes: row::count16(i32::from(row.try_get::<_, i16>(9)?)),
                priority: row.try_get(8)?,
                is_unique: options.unique_key.is_some(),
                has_retention: options.retention.is_some(),
            },
            retention: options.retention,
            retry: options.retry.unwrap_or_default(),
            cancel_requested: row.try_get(13)?,
        })
    }

    /// How this run ends by the store itself.
    pub(crate) fn end(&self, settled: Settlement, by: EndedBy) -> EndedRun<'static> {
        let &Self { nonce, worker, fetched_at, job, run, member, retention, .. } = self;
        EndedRun::new(EndedRun {
            nonce,
            worker,
            fetched_at,
            job,
            run,
            member,
            retention,
            settled,
            by,
            said: None,
        })
    }
}

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

    /// No further run has a number.
    fn is_beyond(&self) -> bool {
        self.run >= LAST_RUN && !matches!(self.settled.state, JobState::Completed | JobState::Cancelled)
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
    Ok(puts)
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

/// Takes ended runs off their locked claims; the last of a claim takes it along.
pub(crate) async fn shrink_claims(session: &mut Session, ended: &[EndedRun<'_>], puts: &[Put]) -> Answer<()> {
    let erased: HashSet<Uuid> = puts.iter().filter(|put| put.is_erased()).map(|put| put.id).collect();
    let mut claims: BTreeMap<Uuid, (i32, bool)> = BTreeMap::new();
    for run in ended {
        let (count, has_erased) = claims.entry(run.nonce).or_default();
        *count += 1;
        *has_erased |= erased.contains(&run.job);
    }
    let nonces: Vec<Uuid> = claims.keys().copied().collect();
    let counts: Vec<i32> = claims.values().map(|claim| claim.0).collect();
    let have_erased: Vec<bool> = claims.values().map(|claim| claim.1).collect();
    let jobs: Vec<Uuid> = ended.iter().map(|run| run.job).collect();
    session.execute(sql!("shrink_claims"), &[&nonces, &counts, &have_erased, &jobs]).await
}

/// Removes locked claims whose runs have all ended.
pub(crate) async fn drop_claims(session: &mut Session, nonces: &[Uuid]) -> Answer<()> {
    session.execute(sql!("drop_claims"), &[&nonces]).await
}

/// Locks those jobs of claims that may disappear when their runs end; before the claims.
pub(crate) async fn lock_jobs_of_claims(session: &mut Session, nonces: &[Uuid]) -> Answer<()> {
    session.execute(sql!("lock_jobs_of_claims"), &[&nonces]).await
}

/// What moved, for whoever listens; to be called after the commit.
pub(crate) fn tell(told: &mut Told, puts: &[Put], wants_ends: bool) {
    for put in puts {
        let position = Position { priority: put.priority, run_at_ms: put.run_at.as_millis(), id: put.id };
        told.moved(put.state, put.queue, position, wants_ends);
    }
}
