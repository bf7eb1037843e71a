//! Claims while their runs end: locked first, then read, then without the runs that have ended.

use std::collections::{BTreeMap, HashSet};

use gristmill_core::{End, Retention, RetryPolicy, RunFacts, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use super::EndedRun;
use crate::error::{Answer, Fail};
use crate::member::Member;
use crate::place::Put;
use crate::row::{self, Options};
use crate::session::Session;
use crate::statement::sql;

/// What the row of a claim says of all its runs.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) worker: Uuid,
    pub(crate) fetched_at: Timestamp,
    /// The jobs whose cancel was asked for.
    pub(crate) cancels: Vec<Uuid>,
    /// The jobs it lists, where one may have been struck out; `None` for all that were leased under it.
    listed: Option<HashSet<Uuid>>,
}

impl Held {
    /// Whether a job that was leased under the claim is still listed: one that was erased is not, nor is one
    /// that was stored again with its id.
    pub(crate) fn lists(&self, job: Uuid) -> bool {
        self.listed.as_ref().is_none_or(|listed| listed.contains(&job))
    }
}

/// What is done about a row that another transaction has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfLocked {
    Wait,
    /// It is left to a later call: the transaction may be a user's, and stay open.
    Leave,
}

/// Locks claims in the transaction, and reads the clock after that: the claims that are there, by nonce.
pub(crate) async fn lock_claims(
    session: &mut Session,
    given_now: Option<Timestamp>,
    nonces: &[Uuid],
    if_locked: IfLocked,
) -> Answer<(Timestamp, BTreeMap<Uuid, Held>)> {
    match if_locked {
        IfLocked::Wait => lock_claims_and_listing(session, given_now, nonces, &[]).await,
        IfLocked::Leave => {
            let given = given_now.map(Timestamp::as_millis);
            read_claims(session.query(sql!("lock_free_claims"), &[&given, &nonces]).await?, nonces)
        }
    }
}

/// As [`lock_claims`], together with the claims that list jobs which may disappear: all that a transaction
/// changes are locked in one order, and those are struck later.
pub(crate) async fn lock_claims_and_listing(
    session: &mut Session,
    given_now: Option<Timestamp>,
    nonces: &[Uuid],
    fleeting: &[Uuid],
) -> Answer<(Timestamp, BTreeMap<Uuid, Held>)> {
    let given = given_now.map(Timestamp::as_millis);
    read_claims(session.query(sql!("lock_claims"), &[&given, &nonces, &fleeting]).await?, nonces)
}

/// The claims that were wanted, of those that are locked.
fn read_claims(rows: Vec<Row>, nonces: &[Uuid]) -> Answer<(Timestamp, BTreeMap<Uuid, Held>)> {
    let wanted: HashSet<Uuid> = nonces.iter().copied().collect();
    let mut now = Timestamp::EPOCH;
    let mut claims = BTreeMap::new();
    for row in rows {
        now = row::timestamp(&row, 0)?;
        let Some(nonce) = row.try_get::<_, Option<Uuid>>(1)?.filter(|nonce| wanted.contains(nonce)) else {
            continue;
        };
        let held = Held {
            worker: row.try_get(2)?,
            fetched_at: row::timestamp(&row, 3)?,
            cancels: row.try_get::<_, Option<Vec<Uuid>>>(4)?.unwrap_or_default(),
            listed: row.try_get::<_, Option<Vec<Uuid>>>(5)?.map(HashSet::from_iter),
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
        let options = Options::parse(row.try_get(11)?);
        let count16 = |column| Ok::<_, Fail>(row::count16(row::get(row, column)?));
        Ok(Self {
            nonce: row.try_get(0)?,
            worker: row.try_get(1)?,
            fetched_at: row::timestamp(row, 2)?,
            job: row.try_get(4)?,
            run: row::count32(row::get(row, 5)?),
            member: Member {
                queue: row.try_get(3)?,
                run_at: row::timestamp(row, 9)?,
                attempt: count16(6)?,
                max_attempts: row::max_attempts(row::get(row, 10)?).get(),
                crashes: row::count16(i32::from(row::get::<i16>(row, 8)?)),
                priority: row::get(row, 7)?,
                is_unique: options.may_hold_key,
                has_retention: options.retention.is_some(),
                has_plain_end: options.has_plain_end(),
            },
            retention: options.retention,
            retry: options.retry.unwrap_or_default(),
            cancel_requested: row.try_get(12)?,
        })
    }

    /// What the end of the run depends on.
    pub(crate) fn facts(&self) -> RunFacts<'_> {
        self.member.facts(self.run, self.retention.as_ref(), self.cancel_requested)
    }

    /// The run ends like this, by the store itself.
    pub(crate) fn ended(&self, end: End) -> EndedRun<'static> {
        let &Self { nonce, worker, fetched_at, job, run, member, .. } = self;
        EndedRun { nonce, worker, fetched_at, job, run, member, end, said: None }
    }
}

/// Locks the claims that list jobs which are about to disappear and have run before, besides the claims that
/// the transaction has locked: it strikes them out. Where another transaction has locked one, the job is
/// left, too.
pub(crate) async fn leave_listed(
    session: &mut Session,
    ended: &mut Vec<EndedRun<'_>>,
    left: &mut HashSet<Uuid>,
) -> Answer<()> {
    let goes = |run: &&EndedRun<'_>| run.run > 1 && run.is_erased();
    let going: Vec<Uuid> = ended.iter().filter(goes).map(|run| run.job).collect();
    if going.is_empty() {
        return Ok(());
    }
    for row in session.query(sql!("lock_free_claims_listing"), &[&going]).await? {
        left.insert(row.try_get(0)?);
    }
    ended.retain(|run| !left.contains(&run.job));
    Ok(())
}

/// Takes ended runs off their locked claims; the last of a claim takes it along.
pub(crate) async fn shrink_claims(
    session: &mut Session,
    ended: &[EndedRun<'_>],
    puts: &[Put<'_>],
) -> Answer<()> {
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
    let erased: Vec<Uuid> = erased.into_iter().collect();
    session.execute(sql!("shrink_claims"), &[&nonces, &counts, &have_erased, &jobs, &erased]).await
}

/// Strikes members, each with its claim's nonce, out of locked claims: their jobs go elsewhere and leave no
/// row of a run. The last open member of a claim takes it along. The caller knows that each is
/// [listed](Held::lists) and its run is open.
#[expect(dead_code, reason = "for jobs that are put aside without a run")]
pub(crate) async fn strike_members(session: &mut Session, members: &[(Uuid, Uuid)]) -> Answer<()> {
    let (nonces, ids): (Vec<Uuid>, Vec<Uuid>) = members.iter().copied().unzip();
    session.execute(sql!("strike_members"), &[&nonces, &ids]).await
}

/// Removes locked claims whose runs have all ended, but for those of the jobs that were left; what is
/// removed.
pub(crate) async fn drop_claims(
    session: &mut Session,
    members: &[OpenMember],
    nonces: &[Uuid],
    ended: &[EndedRun<'_>],
    puts: &[Put<'_>],
    left: &HashSet<Uuid>,
) -> Answer<Vec<Uuid>> {
    let kept: HashSet<Uuid> =
        members.iter().filter(|member| left.contains(&member.job)).map(|member| member.nonce).collect();
    if !kept.is_empty() {
        shrink_claims(session, ended, puts).await?;
    }
    // Those of their runs that are not open have ended, or their job is gone.
    let dropped: Vec<Uuid> = nonces.iter().copied().filter(|nonce| !kept.contains(nonce)).collect();
    session.execute(sql!("drop_claims"), &[&dropped]).await?;
    Ok(dropped)
}

/// Locks those jobs of claims that may disappear when their runs end, before the claims; the jobs that were
/// left.
pub(crate) async fn lock_jobs_of_claims(
    session: &mut Session,
    nonces: &[Uuid],
    if_locked: IfLocked,
) -> Answer<HashSet<Uuid>> {
    match if_locked {
        IfLocked::Wait => {
            session.execute(sql!("lock_jobs_of_claims"), &[&nonces]).await?;
            Ok(HashSet::new())
        }
        IfLocked::Leave => {
            let left = session.query(sql!("lock_free_jobs_of_claims"), &[&nonces]).await?;
            left.iter().map(|row| Ok(row.try_get(0)?)).collect()
        }
    }
}
