//! Ends runs, each only if its token holds.
//!
//! Runs that completed and leave nothing else to do end by one statement, which takes a claim's runs all or none. What it
//! did not take, and all other ends, go through a transaction that looks at each of them.

mod quick;
mod thorough;

use std::collections::HashSet;

use gristmill_core::{
    BackendError, Call, FetchReply, FetchRequest, FinishItem, FinishReply, FinishRequest, Finished, JobState,
    NewJob,
};

use crate::enqueue;
use crate::error::{Answer, Fail, undecodable};
use crate::fetch::fetch;
use crate::handle::Inner;
use crate::member::Member;
use crate::session::Session;
use crate::told::Told;

/// How often a part is begun anew that was in another's way. The call as a whole is not, since what it has finished already
/// would then be told as a repeat.
const TRIES: u32 = 8;

pub(crate) async fn finish(inner: &Inner, call: Call, request: &FinishRequest) -> Answer<FinishReply> {
    let finished = finish_items(inner, call, &request.items).await?;
    let fetched = match &request.then_fetch {
        // The finishes stand, whatever becomes of the fetch behind them.
        Some(fetch) => Some(fetch_behind(inner, call, fetch).await.map_err(stored_before)?),
        None => None,
    };
    Ok(FinishReply::new(finished, fetched))
}

async fn fetch_behind(inner: &Inner, call: Call, request: &FetchRequest) -> Answer<FetchReply> {
    let mut tries = 1;
    loop {
        match fetch(inner, call, request).await {
            Err(fail) if fail.is_collision() && tries < TRIES => tries += 1,
            answer => return answer,
        }
    }
}

/// Ends one run in a transaction that has begun. Unless the answer is that it was accepted, nothing of the transaction is
/// to be stored; what is to be told is true once it has committed.
pub(crate) async fn finish_in(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    item: &FinishItem,
) -> Answer<(Finished, Told)> {
    let (answers, told) = thorough::within(inner, session, call, &[item]).await?;
    let answer = answers.into_iter().next().ok_or_else(|| undecodable("answer"))?;
    Ok((answer, told))
}

/// Notes a finish that came too late, where the transaction that found it out was rolled back.
pub(crate) async fn note_stale(session: &mut Session, call: Call, item: &FinishItem) -> Answer<()> {
    session.begin().await?;
    thorough::note_late(session, call, item).await?;
    session.commit().await
}

/// Ends runs; what is accepted of them.
pub(crate) async fn finish_items(inner: &Inner, call: Call, items: &[FinishItem]) -> Answer<Vec<Finished>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut answers: Vec<Option<Finished>> = vec![None; items.len()];
    let mut told = Told::default();
    // New queues are made before a transaction begins: what is learnt of them must not be rolled back.
    let effects: Vec<&NewJob> = items.iter().flat_map(|item| &item.effects).collect();
    enqueue::queues(inner, &effects).await?;
    let mut session = inner.work().await?;
    let simple = simple_items(items);
    if !simple.is_empty() {
        let accepted = quick::finish(inner, &mut session, call, items, &simple).await?;
        let wants_ends = inner.wants_ends();
        for place in accepted {
            answers[place] = Some(Finished::Accepted { state: JobState::Completed });
            if wants_ends {
                told.ended(items[place].lease.job);
            }
        }
    }
    let left: Vec<usize> = (0..items.len()).filter(|place| answers[*place].is_none()).collect();
    if !left.is_empty() {
        let looked_at = look_at(inner, &mut session, call, items, &left, &mut told).await;
        if looked_at.is_err() {
            // The others of the call are stored all the same.
            inner.tell(std::mem::take(&mut told));
        }
        let has_stored = left.len() < items.len();
        let looked_at = looked_at.map_err(|fail| if has_stored { stored_before(fail) } else { fail })?;
        for (place, answer) in left.into_iter().zip(looked_at) {
            answers[place] = Some(answer);
        }
    }
    inner.tell(told);
    Ok(answers.into_iter().flatten().collect())
}

/// The items that may end the quick way. A run that comes twice ends as its first item says, so both are looked at.
fn simple_items(items: &[FinishItem]) -> Vec<usize> {
    let (simple, others): (Vec<usize>, Vec<usize>) =
        (0..items.len()).partition(|place| quick::is_simple(&items[*place]));
    if others.is_empty() {
        return simple;
    }
    let jobs: HashSet<_> = others.into_iter().map(|place| items[place].lease.job).collect();
    simple.into_iter().filter(|place| !jobs.contains(&items[*place].lease.job)).collect()
}

async fn look_at(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[FinishItem],
    places: &[usize],
    told: &mut Told,
) -> Answer<Vec<Finished>> {
    let items: Vec<&FinishItem> = places.iter().map(|place| &items[*place]).collect();
    let mut answers = Vec::with_capacity(items.len());
    for part in in_turn(&items) {
        let ended = end_part(inner, session, call, part).await;
        let (answered, tells) = if answers.is_empty() { ended? } else { ended.map_err(stored_before)? };
        answers.extend(answered);
        told.merge(tells);
    }
    Ok(answers)
}

/// Cuts items where one may enqueue a job whose unique key a later one still holds: an item's follow-up jobs are stored
/// before the next item's run ends.
fn in_turn<'s, 'i>(items: &'s [&'i FinishItem]) -> Vec<&'s [&'i FinishItem]> {
    let is_unique = |item: &&FinishItem| Member::of_place(item.lease.place).is_unique;
    let takes_keys = |item: &FinishItem| item.effects.iter().any(|job| job.spec.unique_key.is_some());
    let last_key = items.iter().rposition(is_unique).unwrap_or(0);
    let mut parts = Vec::new();
    let mut start = 0;
    for (place, item) in items.iter().enumerate().take(last_key) {
        if takes_keys(item) {
            parts.push(&items[start..=place]);
            start = place + 1;
        }
    }
    parts.push(&items[start..]);
    parts
}

async fn end_part(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[&FinishItem],
) -> Answer<(Vec<Finished>, Told)> {
    let mut tries = 1;
    loop {
        match thorough::finish(inner, session, call, items).await {
            Err(fail) if (fail.is_collision() || matches!(fail, Fail::Exchanged)) && tries < TRIES => {
                session.roll_back().await?;
            }
            answer => return answer,
        }
        tries += 1;
    }
}

/// A part of the call was stored before this.
fn stored_before(fail: Fail) -> Fail {
    Fail::Refused(BackendError::from(fail).maybe_stored())
}
