//! Batches of ends in which one may need a row or a key that a user's open transaction holds.
//!
//! Claims and jobs that are locked are found by one look that waits for nothing. What another transaction is
//! making is found by trying, with hardly any patience: a new queue by its name, a unique key by halves of
//! the ends.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Instant;

use gristmill_core::{Call, FinishItem, Finished, Name, NewJob};
use uuid::Uuid;

use super::{TRIES, in_turn, learn_queues, stored_before, thorough};
use crate::enqueue;
use crate::error::{Answer, Fail};
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::locked::{self, PATIENCE, Parts};
use crate::member::{self, Member};
use crate::row;
use crate::session::Session;

/// The rows by which an end is known to have met a lock: its claim and its job.
pub(super) fn rows(item: &FinishItem) -> [Uuid; 2] {
    [member::nonce(&item.lease), row::uuid(item.lease.job)]
}

/// Ends those that are free; the others are [`Busy`](Finished::Busy). One answer an item, in their order.
pub(super) async fn finish(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[&FinishItem],
    hints: &mut HintSum,
) -> Answer<Vec<Finished>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let held = held(session, items).await?;
    let unknown = queues_being_made(inner, session, items).await?;
    let waits_for_queue =
        |item: &FinishItem| item.effects.iter().any(|job| unknown.contains(&job.spec.queue));
    let is_free = |place: &usize| {
        !rows(items[*place]).iter().any(|row| held.contains(row)) && !waits_for_queue(items[*place])
    };
    let free: Vec<usize> = (0..items.len()).filter(is_free).collect();
    let mut answers = vec![Finished::Busy; items.len()];
    let mut busy: Vec<Uuid> = held.into_iter().collect();
    busy.extend(items.iter().filter(|item| waits_for_queue(item)).map(|item| row::uuid(item.lease.job)));
    let chosen: Vec<&FinishItem> = free.iter().map(|place| items[*place]).collect();
    let mut parts = Parts::of(ranges(&in_turn(&chosen)));
    let mut has_stored = false;
    while let Some(part) = parts.next() {
        match learn_and_finish(inner, session, call, &chosen[part.clone()]).await {
            Ok((answered, added)) => {
                has_stored = true;
                hints.merge(added);
                for (place, answer) in part.zip(answered) {
                    answers[free[place]] = answer;
                }
            }
            Err(fail) if fail.is_end_of_turn() || fail.is_collision() => {
                session.roll_back().await?;
                if parts.is_set_aside(&part) {
                    busy.extend(chosen[part].iter().map(|item| row::uuid(item.lease.job)));
                }
            }
            Err(fail) if has_stored => return Err(stored_before(fail)),
            Err(fail) => return Err(fail),
        }
    }
    inner.locked.note(busy);
    Ok(answers)
}

/// With the queues learnt once more where they are not those the process knew.
async fn learn_and_finish(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[&FinishItem],
) -> Answer<(Vec<Finished>, HintSum)> {
    let mut tries = 1;
    loop {
        learn_queues(inner, session, items).await?;
        match thorough::finish_hastily(inner, session, call, items).await {
            Err(Fail::Exchanged) if tries < TRIES => session.roll_back().await?,
            answer => return answer,
        }
        tries += 1;
    }
}

/// The queues of follow-up jobs that are new and that another transaction is making. Each is tried by itself,
/// with hardly any patience; when that has taken too long the rest counts as being made.
async fn queues_being_made(
    inner: &Inner,
    session: &mut Session,
    items: &[&FinishItem],
) -> Answer<HashSet<Name>> {
    let effects: Vec<&NewJob> = items.iter().flat_map(|item| &item.effects).collect();
    let (mut names, _) = enqueue::names_of(&effects);
    names.retain(|name| inner.names.known_numbers(std::slice::from_ref(name)).is_none());
    let begun = Instant::now();
    let mut held = HashSet::new();
    for name in &names {
        if begun.elapsed() >= PATIENCE {
            held.insert(name.clone());
            continue;
        }
        session.begin_hasty().await?;
        match inner.names.numbers(session, std::slice::from_ref(name)).await {
            Ok(_) => {
                if let Err(fail) = session.commit().await {
                    inner.names.forget();
                    return Err(fail);
                }
            }
            Err(fail) if fail.is_end_of_turn() || fail.is_collision() => {
                session.roll_back().await?;
                held.insert(name.clone());
            }
            Err(fail) => return Err(fail),
        }
    }
    Ok(held)
}

/// Where each of the parts lies, one after the other.
fn ranges<T>(parts: &[&[T]]) -> Vec<Range<usize>> {
    let mut end = 0;
    let range = |part: &&[T]| {
        let start = end;
        end += part.len();
        start..end
    };
    parts.iter().map(range).collect()
}

/// The claims and jobs of ends that are locked now. Only a job that may disappear is locked by its end.
async fn held(session: &mut Session, items: &[&FinishItem]) -> Answer<HashSet<Uuid>> {
    let nonces: Vec<Uuid> = items.iter().map(|item| member::nonce(&item.lease)).collect();
    let may_disappear = |item: &&&FinishItem| Member::of_place(item.lease.place).has_retention;
    let jobs: Vec<Uuid> = items.iter().filter(may_disappear).map(|item| row::uuid(item.lease.job)).collect();
    locked::held(session, &nonces, &jobs).await
}
