//! Ends of which one may need a row or a key that somebody's open transaction holds.
//!
//! Claims and jobs that are locked are found by one look that waits for nothing. A unique key that another transaction
//! is taking is found by trying: with hardly any patience, and in halves.

use std::collections::HashSet;
use std::ops::Range;

use gristmill_core::{Call, FinishItem, Finished};
use uuid::Uuid;

use super::{TRIES, in_turn, learn_queues, stored_before, thorough};
use crate::error::{Answer, Fail};
use crate::handle::Inner;
use crate::locked::{self, Parts};
use crate::member::{self, Member};
use crate::row;
use crate::session::Session;
use crate::told::Told;

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
    told: &mut Told,
) -> Answer<Vec<Finished>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let held = held(session, items).await?;
    let is_free = |place: &usize| !rows(items[*place]).iter().any(|row| held.contains(row));
    let free: Vec<usize> = (0..items.len()).filter(is_free).collect();
    let mut answers = vec![Finished::Busy; items.len()];
    let mut busy: Vec<Uuid> = held.into_iter().collect();
    let chosen: Vec<&FinishItem> = free.iter().map(|place| items[*place]).collect();
    let mut parts = Parts::of(ranges(&in_turn(&chosen)));
    let mut has_stored = false;
    while let Some(part) = parts.next() {
        match learn_and_finish(inner, session, call, &chosen[part.clone()]).await {
            Ok((answered, tells)) => {
                has_stored = true;
                told.merge(tells);
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
) -> Answer<(Vec<Finished>, Told)> {
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
