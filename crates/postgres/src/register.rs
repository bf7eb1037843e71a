//! Registers: commit, pages, and the end of those that were forgotten.
//!
//! ```text
//! lock what stands, by key ─ decide ─ insert what is absent ─ store the jobs ─ write what stood ─ commit
//!         ▲                                    │
//!         └──── another one was quicker ───────┘
//! ```
//!
//! A decision is made on locked rows. What is absent cannot be locked: where an insert finds that another
//! transaction was quicker, this one begins anew instead of waiting for a lock while it holds others.

mod columns;
mod list;

use std::time::Instant;

use bytes::Bytes;
use gristmill_core::{
    BackendError, BackendErrorKind, Call, Change, CommitVerdict, Committed, Enqueued, NewJob, Register,
    Stamp, Timestamp, commit_on,
};
use tokio_postgres::Row;

use crate::enqueue::{self, IfUnknown};
use crate::error::{Answer, Fail};
use crate::finish::stored_before;
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::locked::PATIENCE;
use crate::row;
use crate::session::{Haste, Session};
use crate::statement::sql;

use self::columns::Columns;
pub(crate) use self::list::list_registers;

/// How often a commit begins anew because registers appeared under it.
const TRIES: usize = 16;

pub(crate) async fn commit(inner: &Inner, call: Call, changes: &[Change]) -> Answer<Vec<Committed>> {
    Change::check_call(changes)?;
    let mut answers: Vec<Committed> = vec![Committed::Busy; changes.len()];
    let mut jobs: Vec<&NewJob> = Vec::new();
    for (change, answer) in changes.iter().zip(&mut answers) {
        let of_change: Vec<&NewJob> = change.effects.jobs.iter().collect();
        match enqueue::check_ids(inner, call, &of_change) {
            Ok(()) => jobs.extend(of_change),
            Err(error) => *answer = Committed::Refused { why: error.to_string() },
        }
    }
    if !jobs.is_empty() {
        // What is learnt of a queue must not be rolled back.
        enqueue::queues(inner, &jobs).await?;
    }
    let mut session = inner.work().await?;
    let mut hints = HintSum::default();
    let made = make(inner, &mut session, call, changes, &mut answers, &mut hints).await;
    drop(session);
    // Whatever became of the others, those that are stored are.
    inner.send_hints(hints);
    if let Err(fail) = made {
        // A repeat of the whole call would find its own changes, and not say what became of their jobs.
        let has_stored = answers.iter().any(|answer| matches!(answer, Committed::Done(_)));
        return Err(if has_stored { stored_before(fail) } else { fail });
    }
    inner.until_told().await;
    Ok(answers)
}

/// Makes changes that are not refused: those without unique keys in one transaction, then each of the others
/// in one of its own. The answers of those that were not made stay as they are.
async fn make(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    changes: &[Change],
    answers: &mut [Committed],
    hints: &mut HintSum,
) -> Answer<()> {
    let has_keys = |change: &Change| change.effects.jobs.iter().any(|job| job.spec.unique_key.is_some());
    let (keyed, plain): (Vec<usize>, Vec<usize>) = (0..changes.len())
        .filter(|place| answers[*place] == Committed::Busy)
        .partition(|place| has_keys(&changes[*place]));
    if !plain.is_empty() {
        let chosen: Vec<&Change> = plain.iter().map(|place| &changes[*place]).collect();
        let done = transaction(inner, session, call, &chosen, Haste::None, hints).await?;
        plain.into_iter().zip(done).for_each(|(place, answer)| answers[place] = answer);
    }
    // An open transaction elsewhere may hold a unique key for long: no other change waits for it.
    let begun = Instant::now();
    for place in keyed {
        let haste = if begun.elapsed() < PATIENCE { Haste::None } else { Haste::Much };
        match transaction(inner, session, call, &[&changes[place]], haste, hints).await {
            Ok(done) => done.into_iter().for_each(|answer| answers[place] = answer),
            Err(fail) if is_in_the_way(&fail) => session.roll_back().await?,
            Err(fail) => return Err(fail),
        }
    }
    Ok(())
}

/// Whether others hold, or keep exchanging, what a change needs.
fn is_in_the_way(fail: &Fail) -> bool {
    let is_busy = matches!(fail, Fail::Refused(error) if error.kind() == BackendErrorKind::Busy);
    is_busy || fail.is_end_of_turn() || fail.is_collision()
}

/// Makes changes in one transaction; one answer a change, in their order.
async fn transaction(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    changes: &[&Change],
    haste: Haste,
    hints: &mut HintSum,
) -> Answer<Vec<Committed>> {
    for _ in 0..TRIES {
        session.begin_brief(haste).await?;
        let mut added = HintSum::default();
        if let Some(answers) = attempt(inner, session, call, changes, &mut added).await? {
            session.commit().await?;
            hints.merge(added);
            return Ok(answers);
        }
        session.roll_back().await?;
    }
    let message = "a register appears and disappears all the time";
    Err(BackendError::new(BackendErrorKind::Busy, message)
        .with_hint("the same call may succeed later")
        .into())
}

/// One attempt; `None` where a register appeared meanwhile.
async fn attempt(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    changes: &[&Change],
    hints: &mut HintSum,
) -> Answer<Option<Vec<Committed>>> {
    let mut places: Vec<usize> = (0..changes.len()).collect();
    places.sort_by_key(|place| (&changes[*place].space, &changes[*place].key));
    let standing = lock(session, changes, &places).await?;
    // Read after the locks: the wait for one may have been long.
    let now = session.query_one(sql!("now"), &[&call.now.map(Timestamp::as_millis)]).await?;
    let now = row::timestamp(&now, 0)?;
    let mut answers = vec![Committed::Again; changes.len()];
    let (mut absent, mut stood, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for place in places {
        let (change, standing) = (changes[place], standing[place].as_ref());
        match commit_on(standing, change, now) {
            CommitVerdict::Refused { why } => answers[place] = Committed::Refused { why },
            CommitVerdict::Again => {}
            CommitVerdict::Stale => {
                if standing.is_none() {
                    missing.push(change);
                }
                let live = standing.filter(|standing| !standing.is_forgotten(now));
                answers[place] = Committed::Stale(live.cloned());
            }
            CommitVerdict::Write if standing.is_none() => absent.push(place),
            CommitVerdict::Write => stood.push(place),
        }
    }
    if are_there(session, &missing, now).await? {
        return Ok(None);
    }
    if !absent.is_empty() {
        let columns = Columns::of(absent.iter().map(|place| changes[*place]));
        let made = session.query(sql!("insert_registers"), &columns.params()).await?;
        if made.len() < absent.len() {
            return Ok(None);
        }
    }
    let mut written = absent;
    written.extend(&stood);
    let jobs: Vec<&NewJob> = written.iter().flat_map(|place| &changes[*place].effects.jobs).collect();
    let mut stored: std::vec::IntoIter<Enqueued> = if jobs.is_empty() {
        Vec::new()
    } else {
        enqueue::store_jobs(inner, session, now, &jobs, IfUnknown::BeginAnew, hints).await?
    }
    .into_iter();
    for place in &written {
        let jobs = changes[*place].effects.jobs.len();
        answers[*place] = Committed::Done(stored.by_ref().take(jobs).map(Some).collect());
    }
    if !stood.is_empty() {
        let columns = Columns::of(stood.iter().map(|place| changes[*place]));
        session.execute(sql!("put_registers"), &columns.params()).await?;
    }
    Ok(Some(answers))
}

/// Whether any of these stands that the locks did not find: it was deleted and made again while they waited,
/// and the statement that waits sees the store as it was before.
async fn are_there(session: &mut Session, missing: &[&Change], now: Timestamp) -> Answer<bool> {
    for of_space in missing.chunk_by(|one, other| one.space == other.space) {
        let keys: Vec<&[u8]> = of_space.iter().map(|change| change.key.as_ref()).collect();
        let (space, now) = (of_space[0].space.as_str(), now.as_millis());
        if !session.query(sql!("registers_of_keys"), &[&space, &keys, &now]).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Locks the registers of changes, in the order of `places`; what stands, one a change.
async fn lock(session: &mut Session, changes: &[&Change], places: &[usize]) -> Answer<Vec<Option<Register>>> {
    let spaces: Vec<&str> = places.iter().map(|place| changes[*place].space.as_str()).collect();
    let keys: Vec<&[u8]> = places.iter().map(|place| changes[*place].key.as_ref()).collect();
    let mut standing = vec![None; changes.len()];
    for row in session.query(sql!("lock_registers"), &[&spaces, &keys]).await? {
        let place = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(1) - 1;
        standing[places[place]] = Some(read(&row, 1)?);
    }
    Ok(standing)
}

/// A register, from the column of its stamp on.
fn read(row: &Row, first: usize) -> Answer<Register> {
    // Zero is no stamp: a value that another program has written by hand.
    let stamp = Stamp::from_stored(row.try_get::<_, i64>(first)?.cast_unsigned());
    Ok(Register::from_stored(
        stamp.unwrap_or_else(Stamp::random),
        Bytes::from(row.try_get::<_, String>(first + 1)?),
        row::optional_timestamp(row, first + 2)?,
        row::optional_timestamp(row, first + 3)?,
    ))
}

/// What a round has deleted of registers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pruned {
    /// It reached its limit.
    pub(crate) is_full: bool,
    /// When the next one is due to go.
    pub(crate) next: Option<Timestamp>,
}

/// Deletes registers that were forgotten long enough ago.
pub(crate) async fn prune(session: &mut Session, now: Timestamp, limit: usize) -> Answer<Pruned> {
    let latest = (now - Register::KEPT_FORGOTTEN).as_millis();
    let row = session.query_one(sql!("prune_registers"), &[&latest, &row::size(limit)]).await?;
    let is_full = row.try_get::<_, i64>(0)? >= row::size(limit).max(1);
    let next = row::optional_timestamp(&row, 1)?.map(|at| at + Register::KEPT_FORGOTTEN);
    Ok(Pruned { is_full, next })
}
