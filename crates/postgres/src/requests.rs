//! Applies requests to cancel, update or delete jobs that callers have stored in their own transactions.
//!
//! ```text
//!  requests, by number      position
//! ─────────┬───────────────────┬──────────────────────────────▶
//!          left: locked jobs   next rows, at most 100 a transaction; after the last one, from the start
//! ```
//!
//! Each transaction takes an advisory lock, so that one process applies at a time. It reads the next rows,
//! locks those jobs that are free, applies the verbs by [`operate::within`] and deletes the rows. A row whose
//! job another transaction has locked is left, and so are later rows of that job, until the next pass.
//!
//! A transaction ends behind the first group that may lock claims, which cancels and deletes do: with the
//! claims of two groups, it would lock claims in no order and could deadlock with a finish.
//!
//! If a transaction fails, the rows that it had read are applied one by one, and the one that fails alone is
//! left. One that fails alone for minutes by what it is itself is set aside, see [`failing`].
//!
//! A verb may also wait for a lock on the place of a job or on its claim. Mostly another operation holds it,
//! for milliseconds. After one wait that was too long, passes are careful until one leaves nothing: they look
//! for such locks without waiting, and leave those jobs, too.

mod failing;
mod looks;
mod pass;

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use gristmill_core::{BackendError, Call, JobPatch, Timestamp, Verb, VerbRequest, Verdict};
use gristmill_sql::{
    FailedRequest, REQUEST_PAUSE, REQUEST_REFUSED, REQUESTS_PER_ROUND, StoredRequest, refusal_detail,
    request_groups,
};
use uuid::Uuid;

use crate::error::{Answer, Fail};
use crate::events::{Event, add_events};
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::operate;
use crate::row;
use crate::session::{Haste, Session};
use crate::statement::sql;

use self::failing::is_of_row;
use self::pass::Pass;
pub(crate) use self::pass::Requests;

/// A call, and each transaction, goes on with further rows for this long at most; the next call goes on after
/// them.
const ROUND: Duration = Duration::from_millis(200);
/// Of jobs that were left in a pass so many are remembered. With more, the pass ends.
const MOST_LEFT: usize = 10_000;

/// A transaction reads no further row once the patches of those before it have so many bytes.
const ROUND_BYTES: i64 = 8 << 20;

/// From so many requests in a pass on, rounds are followed by a pause, in which no connection is held: other
/// operations are to keep nine tenths of their throughput.
const FLOOD: u64 = 1_000;
/// A pause is so many times as long as the round before it, and not longer than the second value.
const PAUSE: (u32, Duration) = (14, Duration::from_millis(500));

/// What a round came to.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Requests that were applied, dropped or set aside.
    pub(crate) done: u64,
    /// The pass has not ended, and goes on at once.
    pub(crate) more: bool,
    /// When to go on: at once, after the pause of a flood, or a moment later with those that were left or
    /// that another process applies.
    pub(crate) resume_at: Option<Instant>,
}

/// Applies requests until about a hundred are done, the pass has ended or the time is over.
pub(crate) async fn apply(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    now: Timestamp,
) -> Answer<Applied> {
    let (mut applied, mut hints) = (Applied::default(), HintSum::default());
    let mut pass = inner.requests.take();
    pass.begin_again_in_time();
    // A test's clock does not pause.
    let pauses = call.now.is_none() && pass.done >= FLOOD;
    let began = Instant::now();
    let ended = loop {
        match step(inner, session, (call, now), &mut pass, &mut applied, &mut hints).await {
            Ok(Step::On) if applied.done >= REQUESTS_PER_ROUND as u64 || began.elapsed() > ROUND => {
                let ended = Instant::now();
                applied.more = !pauses;
                pass.resume_at = pauses.then(|| ended + ((ended - began) * PAUSE.0).min(PAUSE.1));
                applied.resume_at = Some(pass.resume_at.unwrap_or(ended));
                break Ok(());
            }
            Ok(Step::On) => {}
            Ok(Step::Busy) => {
                applied.resume_at = Some(Instant::now() + REQUEST_PAUSE);
                // The other process goes on from rows of its own choice.
                pass = Pass::default();
                break Ok(());
            }
            Ok(Step::End) => {
                applied.resume_at = pass.has_left.then(|| Instant::now() + REQUEST_PAUSE);
                pass = pass.next();
                break Ok(());
            }
            Err(fail) => break Err(fail),
        }
    };
    pass.done += applied.done;
    inner.requests.put(pass);
    // Of what was committed before a failure, too.
    inner.send_hints(hints);
    ended.map(|()| applied)
}

/// How a pass goes on.
enum Step {
    On,
    /// Another process applies requests.
    Busy,
    End,
}

/// One transaction. A failure that is not the connection's is answered by going on row by row.
async fn step(
    inner: &Inner,
    session: &mut Session,
    (call, now): (Call, Timestamp),
    pass: &mut Pass,
    applied: &mut Applied,
    hints: &mut HintSum,
) -> Answer<Step> {
    let mut rows = Vec::new();
    let outcome = match attempt(inner, session, call, pass, &mut rows).await {
        Ok(Attempt::Busy) => {
            session.roll_back().await?;
            return Ok(Step::Busy);
        }
        // A deferred constraint of a user's fails here.
        Ok(Attempt::Done(outcome)) => session.commit().await.map(|()| outcome),
        Err(fail) => Err(fail),
    };
    match outcome {
        Ok(outcome) => {
            applied.done += outcome.done;
            hints.merge(outcome.hints);
            pass.has_left |= !outcome.left.is_empty();
            pass.left.extend(outcome.left);
            pass.position =
                rows.get(outcome.looked_at.wrapping_sub(1)).map_or(pass.position, |row| row.request);
            let is_end = outcome.looked_at == rows.len() && outcome.is_last;
            Ok(if is_end || pass.left.len() > MOST_LEFT { Step::End } else { Step::On })
        }
        Err(fail) if fail.is_end_of_turn() && !pass.is_careful => {
            session.roll_back().await?;
            pass.is_careful = true;
            Ok(Step::On)
        }
        Err(fail) if matches!(fail, Fail::Refused(_)) || fail.is_of_server() && !fail.leaves_open() => {
            session.roll_back().await?;
            let Some(last) = rows.last() else { return Err(fail) };
            if let [row] = &rows[..] {
                if is_given_up(inner, row, &fail, now) {
                    set_aside(session, &[(row.request, BackendError::from(fail).chain())]).await?;
                    applied.done += 1;
                } else {
                    pass.left.insert(row::uuid(row.id));
                    pass.has_left = true;
                }
                pass.position = row.request;
            } else {
                pass.singly_until = last.request;
                pass.has_failed = true;
            }
            Ok(Step::On)
        }
        Err(fail) => Err(fail),
    }
}

/// Whether a row that has failed alone is to be set aside.
fn is_given_up(inner: &Inner, row: &StoredRequest, fail: &Fail, now: Timestamp) -> bool {
    let failed =
        if is_of_row(fail) { inner.requests.failing.note(row.request, now) } else { FailedRequest::First };
    if failed == FailedRequest::First {
        gristmill_core::log!(warn, request = row.request, job = %row.id, ?fail, "a request could not be applied");
    }
    matches!(failed, FailedRequest::ForLong(_))
}

enum Attempt {
    Busy,
    Done(Outcome),
}

#[derive(Default)]
struct Outcome {
    /// No row comes after those that were read.
    is_last: bool,
    /// So many of the rows, from the first one on.
    looked_at: usize,
    done: u64,
    left: Vec<Uuid>,
    hints: HintSum,
}

/// Begins a transaction, reads the next rows and applies a part of them. The caller ends the transaction.
async fn attempt(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    pass: &Pass,
    rows: &mut Vec<StoredRequest>,
) -> Answer<Attempt> {
    session.begin_brief(if pass.is_careful { Haste::Much } else { Haste::None }).await?;
    let schema = session.schema().to_owned();
    if !session.query_one(sql!("lock_requests"), &[&schema]).await?.try_get::<_, bool>(0)? {
        return Ok(Attempt::Busy);
    }
    let limit = if pass.position < pass.singly_until { 1 } else { REQUESTS_PER_ROUND };
    let began = Instant::now();
    let is_last = read(session, pass.position, limit, rows).await?;
    let mut outcome = Outcome { is_last, ..Outcome::default() };
    let jobs: BTreeSet<Uuid> =
        rows.iter().map(|row| row::uuid(row.id)).filter(|id| !pass.left.contains(id)).collect();
    let mut held = lock(session, jobs).await?;
    if pass.is_careful {
        held.extend(held_in_places(session, rows, &held).await?);
    }
    let now = session.query_one(sql!("now"), &[&call.now.map(Timestamp::as_millis)]).await?;
    let now = row::timestamp(&now, 0)?;
    let (mut spent, mut faults): (Vec<i64>, Vec<(i64, String)>) = (Vec::new(), Vec::new());
    // A row that is passed by does not part the group before it from the one behind it.
    let is_left = |row: &&StoredRequest| {
        let id = row::uuid(row.id);
        pass.left.contains(&id) || held.contains(&id)
    };
    let taken: Vec<StoredRequest> = rows.iter().filter(|row| !is_left(row)).cloned().collect();
    let mut last = None;
    for group in request_groups(&taken) {
        let group = &taken[group];
        last = group.last().map(|row| row.request);
        match group[0].decode() {
            Err(fault) => faults.extend(group.iter().map(|row| (row.request, fault.clone()))),
            Ok((verb, patch)) => {
                act(inner, session, call, (verb, patch.as_ref(), now), group, &mut outcome.hints).await?;
                spent.extend(group.iter().map(|row| row.request));
                if matches!(verb, Verb::Cancel | Verb::Delete) || began.elapsed() > ROUND {
                    break;
                }
            }
        }
        last = None;
    }
    outcome.looked_at = last.map_or(rows.len(), |last| rows.partition_point(|row| row.request <= last));
    outcome.left = rows[..outcome.looked_at].iter().filter(is_left).map(|row| row::uuid(row.id)).collect();
    outcome.done = (spent.len() + faults.len()) as u64;
    set_aside(session, &faults).await?;
    if !spent.is_empty() {
        session.execute(sql!("drop_requests"), &[&spent]).await?;
    }
    Ok(Attempt::Done(outcome))
}

/// Reads the next rows, at most `limit` and not many more bytes than [`ROUND_BYTES`]; whether none comes
/// after them.
async fn read(
    session: &mut Session,
    behind: i64,
    limit: usize,
    rows: &mut Vec<StoredRequest>,
) -> Answer<bool> {
    let mut found = 0;
    for row in session.query(sql!("requests"), &[&behind, &row::size(limit), &ROUND_BYTES]).await? {
        found = row.try_get::<_, i64>(5)?;
        rows.push(StoredRequest {
            request: row.try_get(0)?,
            id: row::job_id(row.try_get(1)?),
            verb: row.try_get(2)?,
            patch: row.try_get(3)?,
            actor: row.try_get(4)?,
        });
    }
    let read = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    Ok(found < row::size(limit) && read == found)
}

/// Locks the jobs that are free, and gives those that other transactions have locked. One that does not exist
/// is not held.
async fn lock(session: &mut Session, jobs: BTreeSet<Uuid>) -> Answer<HashSet<Uuid>> {
    let ids: Vec<Uuid> = jobs.iter().copied().collect();
    let mut held: HashSet<Uuid> = jobs.into_iter().collect();
    if !ids.is_empty() {
        for row in session.query(sql!("lock_free_jobs"), &[&ids]).await? {
            held.remove(&row.try_get(0)?);
        }
    }
    if !held.is_empty() {
        let ids: Vec<Uuid> = held.drain().collect();
        for row in session.query(sql!("present_ids"), &[&ids]).await? {
            held.insert(row.try_get(0)?);
        }
    }
    Ok(held)
}

/// Locks those jobs that are free in their places and claims, too, and gives the others. `held` are locked by
/// others anyway.
async fn held_in_places(
    session: &mut Session,
    rows: &[StoredRequest],
    held: &HashSet<Uuid>,
) -> Answer<Vec<Uuid>> {
    let of = |may_lock_claims: bool| -> Vec<Uuid> {
        let is_meant = |row: &&StoredRequest| !may_lock_claims || row.verb != Verb::Update.as_str();
        let ids: BTreeSet<Uuid> = rows.iter().filter(is_meant).map(|row| row::uuid(row.id)).collect();
        ids.into_iter().filter(|id| !held.contains(id)).collect()
    };
    let found = session.query(sql!("lock_free_places"), &[&of(false), &of(true)]).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Applies a group as one act; what is refused leaves an event.
async fn act(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    (verb, patch, now): (Verb, Option<&JobPatch>, Timestamp),
    group: &[StoredRequest],
    hints: &mut HintSum,
) -> Answer<()> {
    let ids: Vec<Uuid> = group.iter().map(|row| row::uuid(row.id)).collect();
    let mut request = VerbRequest::ids(group.iter().map(|row| row.id).collect());
    request.actor.clone_from(&group[0].actor);
    let acted = operate::within(inner, session, call, verb, &request, patch, &ids).await?;
    hints.merge(acted.hints);
    let actor = request.actor.as_deref();
    let mut details = Vec::new();
    for (id, verdict) in &acted.jobs {
        if *verdict == Verdict::NotFound {
            gristmill_core::log!(debug, job = %id, verb = verb.as_str(), "a request is dropped: there is no such job");
        }
        details.extend(refusal_detail(verb, verdict).map(|detail| (row::uuid(*id), detail)));
    }
    let events: Vec<Event<'_>> =
        details.iter().map(|(id, detail)| (*id, REQUEST_REFUSED, actor, Some(detail.as_str()))).collect();
    add_events(session, now, &events).await
}

async fn set_aside(session: &mut Session, faults: &[(i64, String)]) -> Answer<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let (requests, texts): (Vec<i64>, Vec<&str>) =
        faults.iter().map(|(request, fault)| (*request, fault.as_str())).unzip();
    for (request, fault) in faults {
        gristmill_core::log!(error, request, fault, "a request is set aside");
    }
    session.execute(sql!("fault_requests"), &[&requests, &texts]).await
}
