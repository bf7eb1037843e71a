//! The thorough way: a transaction that locks the claims, looks at each run, and decides.
//!
//! The number of its statements does not grow with the number of runs.

use std::collections::{BTreeMap, HashSet};

use gristmill_core::{
    Call, End, EndedBy, FinishItem, Finished, JobEvent, LostWhy, NewJob, Retention, Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::end::{self, EndedRun, Held};
use crate::enqueue::{self, IfUnknown};
use crate::error::Answer;
use crate::events::{Event, add_events};
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::member::{self, Member};
use crate::place;
use crate::row::{self, Options};
use crate::session::Session;
use crate::statement::sql;

/// Ends runs, each whose token holds, and answers each item.
pub(super) async fn finish(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[&FinishItem],
) -> Answer<(Vec<Finished>, HintSum)> {
    session.begin().await?;
    let finished = within(inner, session, call, items, IfUnknown::BeginAnew).await?;
    session.commit().await?;
    Ok(finished)
}

/// As [`finish`], with hardly any patience for locks.
pub(super) async fn finish_hastily(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[&FinishItem],
) -> Answer<(Vec<Finished>, HintSum)> {
    session.begin_hasty().await?;
    let finished = within(inner, session, call, items, IfUnknown::BeginAnew).await?;
    session.commit().await?;
    Ok(finished)
}

/// Like [`finish`], in an open transaction that the caller commits. The returned hints become true with that
/// commit.
pub(super) async fn within(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[&FinishItem],
    if_unknown: IfUnknown,
) -> Answer<(Vec<Finished>, HintSum)> {
    let said: Vec<Said<'_>> = items.iter().map(|item| Said::of(item)).collect();
    let fleeting = lock_fleeting(session, &said).await?;
    let mut nonces: Vec<Uuid> = said.iter().map(|said| said.nonce).collect();
    nonces.sort_unstable();
    nonces.dedup();
    let (now, claims) = end::lock_claims_and_listing(session, call.now, &nonces, &fleeting).await?;
    let known = known_of(session, &said).await?;
    let Judged { answers, ended } = judge(&said, &claims, &known, now);

    let puts = end::end_runs(session, now, &ended).await?;
    if !ended.is_empty() {
        end::shrink_claims(session, &ended, &puts).await?;
    }
    let mut hints = HintSum::default();
    let effects = effects(&said, &answers);
    if !effects.is_empty() {
        enqueue::store_jobs(inner, session, now, &effects, if_unknown, &mut hints).await?;
    }
    note_stale(session, now, &said, &answers).await?;
    end::add_hints(&mut hints, &puts, inner.wants_ends());
    Ok((answers, hints))
}

/// Locks the jobs with a retention of their own. Those that may disappear although claims of earlier runs may
/// list them still.
async fn lock_fleeting(session: &mut Session, said: &[Said<'_>]) -> Answer<Vec<Uuid>> {
    let own: Vec<Uuid> = said.iter().filter(|said| said.member.has_retention).map(Said::job).collect();
    if own.is_empty() {
        return Ok(own);
    }
    let mut erasable = HashSet::new();
    for row in session.query(sql!("lock_jobs"), &[&own]).await? {
        if Options::parse(row.try_get(1)?).retention.is_some_and(place::may_erase) {
            erasable.insert(row.try_get::<_, Uuid>(0)?);
        }
    }
    let runs_again = said.iter().filter(|said| said.item.lease.run > 1).map(Said::job);
    Ok(runs_again.filter(|job| erasable.contains(job)).collect())
}

/// An end, and whose it is by its lease.
struct Said<'i> {
    item: &'i FinishItem,
    nonce: Uuid,
    member: Member,
}

impl<'i> Said<'i> {
    fn of(item: &'i FinishItem) -> Self {
        Self { item, nonce: member::nonce(&item.lease), member: Member::of_place(item.lease.place) }
    }

    fn job(&self) -> Uuid {
        row::uuid(self.item.lease.job)
    }
}

/// What the store knows of a run.
struct Known {
    job_is_there: bool,
    retention: Option<Retention>,
    /// Whose lease it ended under, and who ended it, where that is known.
    ended: Option<(i32, Option<EndedBy>)>,
}

impl Known {
    fn read(row: &Row) -> Answer<Self> {
        let ended = match (row.try_get::<_, Option<i32>>(2)?, row.try_get::<_, Option<i16>>(3)?) {
            (Some(token), Some(by)) => Some((token, gristmill_sql::ended_by(by.into()))),
            _ => None,
        };
        Ok(Self {
            job_is_there: row.try_get(0)?,
            retention: Options::parse(row.try_get(1)?).retention,
            ended,
        })
    }
}

async fn known_of(session: &mut Session, said: &[Said<'_>]) -> Answer<Vec<Known>> {
    let ids: Vec<Uuid> = said.iter().map(Said::job).collect();
    let runs: Vec<i32> = said.iter().map(|said| row::run(said.item.lease.run)).collect();
    let with_options: Vec<bool> = said.iter().map(|said| said.member.has_retention).collect();
    session.query(sql!("runs_to_end"), &[&ids, &runs, &with_options]).await?.iter().map(Known::read).collect()
}

struct Judged<'i> {
    answers: Vec<Finished>,
    ended: Vec<EndedRun<'i>>,
}

/// Decides item by item, in their order.
fn judge<'i>(
    said: &[Said<'i>],
    claims: &BTreeMap<Uuid, Held>,
    known: &[Known],
    now: Timestamp,
) -> Judged<'i> {
    let mut judged = Judged { answers: Vec::with_capacity(said.len()), ended: Vec::new() };
    let mut ended_here = HashSet::new();
    let mut erased_here = HashSet::new();
    for (said, known) in said.iter().zip(known) {
        let run = (said.nonce, said.job(), said.item.lease.run);
        let answer = if erased_here.contains(&said.job()) {
            lost(LostWhy::Unknown)
        } else if ended_here.contains(&run) {
            Finished::AlreadyAccepted
        } else {
            match open(said, claims, known) {
                Ok(held) => {
                    let ended = said.ended(held, known.retention.as_ref(), now);
                    ended_here.insert(run);
                    if ended.is_erased() {
                        erased_here.insert(said.job());
                    }
                    let state = ended.end.state;
                    judged.ended.push(ended);
                    Finished::Accepted { state }
                }
                Err(answer) => answer,
            }
        };
        judged.answers.push(answer);
    }
    judged
}

/// The claim under which the run is open, or what to answer instead.
fn open<'c>(said: &Said<'_>, claims: &'c BTreeMap<Uuid, Held>, known: &Known) -> Result<&'c Held, Finished> {
    if !known.job_is_there {
        return Err(lost(LostWhy::Unknown));
    }
    match known.ended {
        Some((token, _)) if token != member::short_token(said.nonce) => Err(lost(LostWhy::Unknown)),
        Some((_, by)) => Err(by.map_or(lost(LostWhy::Unknown), EndedBy::answer)),
        None => {
            let held = claims.get(&said.nonce).filter(|held| held.lists(said.job()));
            held.ok_or(lost(LostWhy::Unknown))
        }
    }
}

const fn lost(why: LostWhy) -> Finished {
    Finished::LeaseLost { why }
}

impl<'i> Said<'i> {
    fn ended(&self, held: &Held, retention: Option<&Retention>, now: Timestamp) -> EndedRun<'i> {
        let Self { item, nonce, member } = *self;
        let (job, run) = (self.job(), item.lease.run);
        let facts = member.facts(run, retention, held.cancels.contains(&job));
        let end = End::of_finish(item.decision, item.ending, facts, now);
        let (worker, fetched_at) = (held.worker, held.fetched_at);
        EndedRun { nonce, worker, fetched_at, job, run, member, end, said: Some(item) }
    }
}

/// What the handlers of accepted runs enqueued. A duplicate of it is not stored and does not spoil the
/// finish.
fn effects<'i>(said: &[Said<'i>], answers: &[Finished]) -> Vec<&'i NewJob> {
    let accepted = said.iter().zip(answers).filter(|(_, answer)| matches!(answer, Finished::Accepted { .. }));
    accepted.flat_map(|(said, _)| &said.item.effects).collect()
}

/// As a finish that came too late, whatever the store knows of its run.
pub(super) async fn note_late(session: &mut Session, call: Call, item: &FinishItem) -> Answer<()> {
    let now = session.query_one(sql!("now"), &[&call.now.map(Timestamp::as_millis)]).await?;
    let answer = lost(LostWhy::Unknown);
    note_stale(session, row::timestamp(&now, 0)?, &[Said::of(item)], &[answer]).await
}

/// Counts the finishes that came too late, and leaves an event with each of their jobs.
async fn note_stale(
    session: &mut Session,
    now: Timestamp,
    said: &[Said<'_>],
    answers: &[Finished],
) -> Answer<()> {
    let stale = said.iter().zip(answers).filter(|(_, answer)| answer.is_stale());
    let stale: Vec<(Uuid, JobEvent)> =
        stale.map(|(said, _)| (said.job(), JobEvent::stale_finish(now, said.item))).collect();
    if stale.is_empty() {
        return Ok(());
    }
    session.execute(sql!("add_stale_finishes"), &[&row::size(stale.len())]).await?;
    let events: Vec<Event<'_>> = stale
        .iter()
        .map(|(job, event)| (*job, event.what.as_str(), event.actor.as_deref(), event.detail.as_deref()))
        .collect();
    add_events(session, now, &events).await
}
