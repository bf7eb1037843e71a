//! Kinds that a worker has no handler for: their jobs are taken out of the claim again and parked, and the
//! worker that has a handler is given them before anything else.

use std::collections::HashSet;

use gristmill_core::{Call, FetchRequest, KindSet, Name, Priority, Reason};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::end::{self, IfLocked};
use crate::error::Answer;
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::parked::{self, DueLook, Line};
use crate::row;
use crate::session::Session;
use crate::statement::sql;

use super::jobs::{Batch, Key};
use super::{Ask, Head, Wish, add_rows};

/// What a look at the parked jobs came to.
pub(super) enum Look<'n> {
    /// These are leased.
    Leased(Batch<'n>, Head),
    /// There are none for the worker in these lines, unless its fetch is a repeat.
    Nothing(Vec<DueLook>),
}

/// Leases parked jobs of the worker's kinds, where a look is due.
pub(super) async fn take<'n>(
    inner: &'n Inner,
    session: &mut Session,
    request: &FetchRequest,
    ask: &Ask,
    (wishes, kinds): (&[Wish<'_>], &'n KindSet),
) -> Answer<Look<'n>> {
    let lines = wishes.iter().map(|wish| {
        let (first, last) = wish.range();
        // A stored priority outside the scale counts as its nearest end. No other range would find it.
        let first = if first == Priority::FIRST { i16::MIN } else { first.get().into() };
        let last = if last == Priority::LAST { i16::MAX } else { last.get().into() };
        Line { queue: wish.queue, first, last }
    });
    let looks = inner.parked.due(request.worker, lines);
    let due: Vec<(&Wish<'_>, DueLook)> =
        wishes.iter().zip(looks).filter_map(|(wish, look)| Some((wish, look?))).collect();
    if due.is_empty() {
        return Ok(Look::Nothing(Vec::new()));
    }
    let queues: Vec<i32> = due.iter().map(|(wish, _)| wish.queue).collect();
    let handled = handled(session, &queues, kinds).await?;
    let nothing = || Look::Nothing(due.iter().map(|(_, look)| *look).collect());
    if handled.is_empty() {
        return Ok(nothing());
    }
    let most: Vec<i64> = due.iter().map(|(wish, _)| row::size(wish.want.max)).collect();
    let nonces: Vec<Uuid> = due.iter().map(|(wish, _)| wish.nonce).collect();
    let (first, last): (Vec<i16>, Vec<i16>) =
        due.iter().map(|(_, look)| (look.line.first, look.line.last)).unzip();
    let rows = session
        .query(
            sql!("fetch_parked"),
            &[&ask.now, &ask.worker, &ask.claim, &queues, &most, &nonces, &first, &last, &handled, &ask.lock],
        )
        .await?;
    if rows.is_empty() {
        return Ok(nothing());
    }
    note(inner, request, &due, &rows)?;
    let about = ask.about();
    let head = Head::of(&session.query(sql!("fetch_head"), &about).await?)?;
    let mut batch = Batch::new(&inner.names, kinds, request.claim, rows.len());
    let numbers: Vec<Option<i32>> = numbers(request, &due);
    add_rows(inner, session, request, &numbers, &rows, &mut batch).await?;
    Ok(Look::Leased(batch, head))
}

/// The kinds to look for, none where no job of them is parked: the worker's, or all there are for one that
/// takes everything.
async fn handled(session: &mut Session, queues: &[i32], kinds: &KindSet) -> Answer<Vec<String>> {
    let text = |kind: &Name| kind.as_str().to_owned();
    if !kinds.is_every() {
        let all: Vec<String> = kinds.iter().map(text).collect();
        let is_parked: bool = session.query_one(sql!("is_parked"), &[&queues, &all]).await?.try_get(0)?;
        return Ok(if is_parked { all } else { Vec::new() });
    }
    let there = parked::kinds(session, Some(queues), Some(1)).await?;
    let mut all: Vec<String> = there.values().flatten().map(|known| text(&known.kind)).collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// A look that gave all that was wanted may have left some.
fn note(inner: &Inner, request: &FetchRequest, due: &[(&Wish<'_>, DueLook)], rows: &[Row]) -> Answer<()> {
    let mut given: Vec<(i32, i16)> = Vec::with_capacity(rows.len());
    for row in rows {
        given.push((row.try_get(0)?, row.try_get(1)?));
    }
    for (wish, look) in due {
        let given = given.iter().filter(|(queue, priority)| look.line.has(*queue, *priority)).count();
        if given < wish.want.max {
            inner.parked.looked(request.worker, *look);
        }
    }
    Ok(())
}

/// The numbers of the request's queues, as far as they were looked at.
fn numbers(request: &FetchRequest, due: &[(&Wish<'_>, DueLook)]) -> Vec<Option<i32>> {
    let of = |place| due.iter().find(|(wish, _)| wish.place == place).map(|(wish, _)| wish.queue);
    (0..request.queues.len()).map(of).collect()
}

/// Parks those jobs of a batch that the worker has no handler for. One that cannot be taken out of its claim
/// now, because its cancel was asked for or another transaction has locked the claim, stays in the batch: the
/// worker gives it back.
pub(super) async fn park(inner: &Inner, call: Call, kinds: &KindSet, batch: &mut Batch<'_>) -> Answer<()> {
    let unknown = batch.unknown();
    if unknown.is_empty() {
        return Ok(());
    }
    let mut nonces: Vec<Uuid> = unknown.iter().map(|job| job.nonce).collect();
    nonces.sort_unstable();
    nonces.dedup();
    let ids: Vec<Uuid> = unknown.iter().map(|job| job.key.id).collect();
    let mut session = inner.work().await?;
    session.begin().await?;
    let (_, locked) = end::lock_claims(&mut session, call.now, &nonces, IfLocked::Leave).await?;
    let nonces: Vec<Uuid> = locked.into_keys().collect();
    let rows = session.query(sql!("park"), &[&nonces, &ids, &Reason::NoHandler.as_str()]).await?;
    session.commit().await?;
    let mut hints = HintSum::default();
    let mut parked = HashSet::with_capacity(rows.len());
    for row in &rows {
        parked.insert(row.try_get(0)?);
        hints.parked(row.try_get(1)?);
    }
    let last = unknown.iter().map(|job| job.key).filter(|key| parked.contains(&key.id)).max();
    batch.leave_out(&parked);
    inner.send_hints(hints);
    // Where most were parked, there are more of them.
    if let Some(last) = last.filter(|_| parked.len() > batch.len()) {
        // What has been leased is granted, whatever becomes of the jobs behind it.
        if let Err(fail) = park_ahead(inner, &mut session, kinds, &last, parked.len()).await {
            gristmill_core::log!(
                warn,
                ?fail,
                "jobs without a handler could not be parked ahead; later fetches meet them"
            );
        }
    }
    Ok(())
}

/// Parks what stands behind a job that was parked: where there are many, a statement moves more of them than
/// a fetch.
async fn park_ahead(
    inner: &Inner,
    session: &mut Session,
    kinds: &KindSet,
    last: &Key,
    parked: usize,
) -> Answer<()> {
    let kinds: Vec<&str> = kinds.iter().map(Name::as_str).collect();
    let jobs = inner.parked.ahead(last.queue, parked);
    let (limit, reason) = (row::size(jobs), Reason::NoHandler.as_str());
    let row = session
        .query_one(
            sql!("park_ahead"),
            &[&last.queue, &last.priority, &last.run_at_ms, &last.id, &limit, &kinds, &reason],
        )
        .await?;
    let all: i64 = row.try_get(0)?;
    inner.parked.looked_ahead(last.queue, jobs, all == limit);
    if all > 0 {
        let mut hints = HintSum::default();
        hints.parked(last.queue);
        inner.send_hints(hints);
    }
    Ok(())
}
