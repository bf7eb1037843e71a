//! Ends runs, each only if its token holds.
//!
//! Runs that completed and leave nothing else to do end by one statement, which takes a claim's runs all or
//! none. What it did not take, and all other ends, go through a transaction that looks at each of them. An
//! end that needs a row locked by a user's open transaction goes [`apart`]: it is busy, and the others end.

mod apart;
mod quick;
mod thorough;

use std::collections::HashSet;

use gristmill_core::{
    BackendError, Call, FinishItem, FinishReply, FinishRequest, Finished, JobState, NewJob,
};
use uuid::Uuid;

use crate::enqueue::{self, IfUnknown};
use crate::error::{Answer, Fail, undecodable};
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::locked;
use crate::member::{self, Member};
use crate::session::Session;

/// How often a part is repeated after a collision with another transaction. The whole call is never repeated:
/// its items that are already finished would then be reported as repeats.
const TRIES: u32 = 8;

pub(crate) async fn finish(inner: &Inner, call: Call, request: &FinishRequest) -> Answer<FinishReply> {
    Ok(FinishReply::new(finish_items(inner, call, &request.items).await?))
}

/// Ends one run in an open transaction. Unless the run was accepted, the caller must roll the transaction
/// back. The returned hints become true with the commit.
pub(crate) async fn finish_in(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    item: &FinishItem,
) -> Answer<(Finished, HintSum)> {
    let (answers, hints) = thorough::within(inner, session, call, &[item], IfUnknown::Read).await?;
    let answer = answers.into_iter().next().ok_or_else(|| undecodable("answer"))?;
    Ok((answer, hints))
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
    let mut hints = HintSum::default();
    let mut session = inner.work().await?;
    let mut slow = inner.locked.lately(items.iter().map(apart::rows));
    let mut simple = simple_items(items);
    simple.retain(|place| !slow.contains(place));
    for place in quick_items(inner, &mut session, call, items, &simple, &mut slow).await? {
        answers[place] = Some(Finished::Accepted { state: JobState::Completed });
        if inner.wants_ends() {
            hints.ended(items[place].lease.job);
        }
    }
    let has_stored = answers.iter().any(Option::is_some);
    let left = |is_slow: bool| -> Vec<usize> {
        let is_left = |place: &usize| answers[*place].is_none() && slow.contains(place) == is_slow;
        (0..items.len()).filter(is_left).collect()
    };
    let (plain, slow) = (left(false), left(true));
    let ended = others(inner, &mut session, call, items, [&plain, &slow], &mut hints).await;
    // Whatever became of them, those that are stored are.
    inner.send_hints(hints);
    let ended = ended.map_err(|fail| if has_stored { stored_before(fail) } else { fail })?;
    for (place, answer) in plain.into_iter().chain(slow).zip(ended) {
        answers[place] = Some(answer);
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Ends what ends the quick way, and gives the places. Those that are found locked become slow.
async fn quick_items(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[FinishItem],
    simple: &[usize],
    slow: &mut HashSet<usize>,
) -> Answer<Vec<usize>> {
    let mut simple = simple.to_vec();
    while !simple.is_empty() {
        match quick::finish(inner, session, call, items, &simple).await {
            Err(fail) if fail.is_end_of_turn() => {}
            answer => return answer,
        }
        let nonces: Vec<Uuid> = simple.iter().map(|place| member::nonce(&items[*place].lease)).collect();
        let held = locked::held(session, &nonces, &[]).await?;
        if held.is_empty() {
            break;
        }
        let (aside, free): (Vec<usize>, Vec<usize>) =
            simple.into_iter().partition(|place| held.contains(&member::nonce(&items[*place].lease)));
        slow.extend(aside);
        inner.locked.note(held);
        simple = free;
    }
    Ok(Vec::new())
}

/// Ends the others, first the plain ones, then the slow ones; the answers in that order.
async fn others(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[FinishItem],
    [plain, slow]: [&[usize]; 2],
    hints: &mut HintSum,
) -> Answer<Vec<Finished>> {
    let items = |places: &[usize]| places.iter().map(|place| &items[*place]).collect::<Vec<_>>();
    let (plain, slow) = (items(plain), items(slow));
    let mut answers = Vec::with_capacity(plain.len() + slow.len());
    for part in in_turn(&plain) {
        let ended = match end_part(inner, session, call, part).await {
            Err(fail) if fail.is_end_of_turn() => {
                session.roll_back().await?;
                apart::finish(inner, session, call, part, hints).await
            }
            Err(fail) => Err(fail),
            Ok((answered, added)) => {
                hints.merge(added);
                Ok(answered)
            }
        };
        answers.extend(if answers.is_empty() { ended? } else { ended.map_err(stored_before)? });
    }
    let ended = apart::finish(inner, session, call, &slow, hints).await;
    answers.extend(if answers.is_empty() { ended? } else { ended.map_err(stored_before)? });
    Ok(answers)
}

/// The items that may end the quick way. A run that comes twice ends as its first item says, so both are
/// looked at.
fn simple_items(items: &[FinishItem]) -> Vec<usize> {
    let (simple, others): (Vec<usize>, Vec<usize>) =
        (0..items.len()).partition(|place| quick::is_simple(&items[*place]));
    if others.is_empty() {
        return simple;
    }
    let jobs: HashSet<_> = others.into_iter().map(|place| items[place].lease.job).collect();
    simple.into_iter().filter(|place| !jobs.contains(&items[*place].lease.job)).collect()
}

/// Cuts items where one may enqueue a job whose unique key a later one still holds: an item's follow-up jobs
/// are stored before the next item's run ends.
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
    if start < items.len() {
        parts.push(&items[start..]);
    }
    parts
}

async fn end_part(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[&FinishItem],
) -> Answer<(Vec<Finished>, HintSum)> {
    let mut tries = 1;
    loop {
        match learn_and_finish(inner, session, call, items).await {
            Err(fail) if (fail.is_collision() || matches!(fail, Fail::Exchanged)) && tries < TRIES => {
                session.roll_back().await?;
            }
            answer => return answer,
        }
        tries += 1;
    }
}

async fn learn_and_finish(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[&FinishItem],
) -> Answer<(Vec<Finished>, HintSum)> {
    learn_queues(inner, session, items).await?;
    thorough::finish(inner, session, call, items).await
}

/// New queues are made before a transaction begins: what is learnt of them must not be rolled back.
async fn learn_queues(inner: &Inner, session: &mut Session, items: &[&FinishItem]) -> Answer<()> {
    let effects: Vec<&NewJob> = items.iter().flat_map(|item| &item.effects).collect();
    enqueue::learn_queues(inner, session, &effects).await
}

/// A part of the call was stored before this.
pub(crate) fn stored_before(fail: Fail) -> Fail {
    Fail::Refused(BackendError::from(fail).maybe_stored())
}
