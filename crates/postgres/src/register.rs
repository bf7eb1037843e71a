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

use std::time::Instant;

use bytes::Bytes;
use gristmill_core::{
    BackendError, BackendErrorKind, Call, Change, CommitVerdict, Committed, Enqueued, NewJob, Register,
    RegisterPage, RegisterQuery, RegisterSelect, Stamp, Timestamp, commit_on,
};
use tokio_postgres::Row;

use crate::enqueue::{self, IfUnknown};
use crate::error::Answer;
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::locked::PATIENCE;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// How often a commit begins anew because registers appeared under it.
const TRIES: usize = 16;

pub(crate) async fn commit(inner: &Inner, call: Call, changes: &[Change]) -> Answer<Vec<Committed>> {
    Change::check_call(changes)?;
    let jobs: Vec<&NewJob> = changes.iter().flat_map(|change| &change.effects.jobs).collect();
    enqueue::check_ids(inner, call, &jobs)?;
    if !jobs.is_empty() {
        // What is learnt of a queue must not be rolled back.
        enqueue::queues(inner, &jobs).await?;
    }
    let has_keys = |change: &Change| change.effects.jobs.iter().any(|job| job.spec.unique_key.is_some());
    let (keyed, plain): (Vec<usize>, Vec<usize>) =
        (0..changes.len()).partition(|place| has_keys(&changes[*place]));
    let mut answers: Vec<Committed> = vec![Committed::Busy; changes.len()];
    let mut session = inner.work().await?;
    let mut hints = HintSum::default();
    if !plain.is_empty() {
        let chosen: Vec<&Change> = plain.iter().map(|place| &changes[*place]).collect();
        let done = transaction(inner, &mut session, call, &chosen, Haste::None, &mut hints).await?;
        plain.into_iter().zip(done).for_each(|(place, answer)| answers[place] = answer);
    }
    // An open transaction elsewhere may hold a unique key for long: no other change waits for it.
    let (begun, mut has_stored) = (Instant::now(), false);
    for place in keyed {
        let haste = if begun.elapsed() < PATIENCE { Haste::None } else { Haste::Much };
        match transaction(inner, &mut session, call, &[&changes[place]], haste, &mut hints).await {
            Ok(mut done) => {
                has_stored = true;
                answers[place] = done.pop().unwrap_or(Committed::Busy);
            }
            Err(fail) if fail.is_end_of_turn() || fail.is_collision() => session.roll_back().await?,
            Err(fail) if has_stored => {
                inner.send_hints(hints);
                return Err(crate::finish::stored_before(fail));
            }
            Err(fail) => return Err(fail),
        }
    }
    drop(session);
    inner.send_hints(hints);
    inner.until_told().await;
    Ok(answers)
}

/// Whether a transaction waits for locks for a turn, or hardly at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Haste {
    None,
    Much,
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
        match haste {
            Haste::None => session.begin().await?,
            Haste::Much => session.begin_hasty().await?,
        }
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
    let (mut absent, mut stood) = (Vec::new(), Vec::new());
    for place in places {
        let (change, standing) = (changes[place], standing[place].as_ref());
        if let Err(why) = change.check(now) {
            answers[place] = Committed::Refused { why };
            continue;
        }
        match commit_on(standing, change, now) {
            CommitVerdict::Again => {}
            CommitVerdict::Stale => {
                let live = standing.filter(|standing| !standing.is_forgotten(now));
                answers[place] = Committed::Stale(live.cloned());
            }
            CommitVerdict::Write if standing.is_none() => absent.push(place),
            CommitVerdict::Write => stood.push(place),
        }
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

/// Registers as columns of arrays.
struct Columns<'c> {
    spaces: Vec<&'c str>,
    keys: Vec<&'c [u8]>,
    stamps: Vec<i64>,
    values: Vec<&'c str>,
    dues: Vec<Option<i64>>,
    forget_ats: Vec<Option<i64>>,
}

impl<'c> Columns<'c> {
    fn of(changes: impl Iterator<Item = &'c Change>) -> Self {
        let mut columns = Self {
            spaces: Vec::new(),
            keys: Vec::new(),
            stamps: Vec::new(),
            values: Vec::new(),
            dues: Vec::new(),
            forget_ats: Vec::new(),
        };
        for Change { space, key, put, .. } in changes {
            columns.spaces.push(space.as_str());
            columns.keys.push(key);
            columns.stamps.push(put.stamp.get().cast_signed());
            columns.values.push(std::str::from_utf8(&put.value).expect("JSON is UTF-8"));
            columns.dues.push(put.due.map(Timestamp::as_millis));
            columns.forget_ats.push(put.forget_at.map(Timestamp::as_millis));
        }
        columns
    }

    fn params(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 6] {
        [&self.spaces, &self.keys, &self.stamps, &self.values, &self.dues, &self.forget_ats]
    }
}

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

pub(crate) async fn list_registers(inner: &Inner, call: Call, query: &RegisterQuery) -> Answer<RegisterPage> {
    let (space, now) = (query.space.as_str(), call.now.map(Timestamp::as_millis));
    // One more than wanted says whether more follow.
    let limit = row::size(query.limit.min(RegisterQuery::MAX_LIMIT) + 1);
    let mut session = inner.reads().await?;
    let rows = match &query.select {
        RegisterSelect::Keys(keys) => {
            let range = query.keys();
            let is_in_range = |key: &&[u8]| *key >= range.from.as_slice() && *key < range.before.as_slice();
            let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).filter(is_in_range).collect();
            session.query(sql!("registers_of_keys"), &[&space, &keys, &now]).await?
        }
        RegisterSelect::DueBefore(before) => {
            let range = query.dues(*before);
            let statement =
                if query.descending { sql!("registers_by_due_descending") } else { sql!("registers_by_due") };
            let (from, before) = (range.from.0.as_millis(), range.before.0.as_millis());
            session
                .query(statement, &[&space, &from, &range.from.1, &before, &range.before.1, &now, &limit])
                .await?
        }
        RegisterSelect::All | RegisterSelect::Prefix(_) => {
            let range = query.keys();
            let statement =
                if query.descending { sql!("registers_by_key_descending") } else { sql!("registers_by_key") };
            session.query(statement, &[&space, &range.from, &range.before, &now, &limit]).await?
        }
    };
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push((Bytes::from(row.try_get::<_, Vec<u8>>(0)?), read(row, 1)?));
    }
    if matches!(query.select, RegisterSelect::Keys(_)) {
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        if query.descending {
            found.reverse();
        }
    }
    Ok(query.page(found))
}

/// Deletes registers that were forgotten long enough ago; returns when the next one is due to go.
pub(crate) async fn prune(session: &mut Session, now: Timestamp, limit: usize) -> Answer<Option<Timestamp>> {
    let latest = (now - Register::KEPT_FORGOTTEN).as_millis();
    let row = session.query_one(sql!("prune_registers"), &[&latest, &row::size(limit)]).await?;
    Ok(row::optional_timestamp(&row, 0)?.map(|at| at + Register::KEPT_FORGOTTEN))
}
