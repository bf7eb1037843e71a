//! Leases available jobs to a worker.
//!
//! ```text
//! request ── wants no jobs ──▶ one statement: which of its queues have some ──▶ reply
//!   │
//!   ▼
//! 1 notes the claim number as in flight; draws a random nonce for the claim of each queue
//! 2 waits for its turn, 20 ms at most, then takes a connection
//! 3 leases parked jobs, if a look at them is due ── some leased ──▶ reply with these alone
//! 4 begins a scan for each wish: from the cursor, from before it or from the start
//! 5 fetch.sql: checks the worker's lease, locks the claim number, takes the first jobs, inserts the claims;
//!   the first row with jobs advances the cursors and ends the turn
//! 6 fetch_head.sql, in the same round trip: the lease, the next due time, paused queues
//!     ├─ repeat: fetch_again.sql reads the jobs of the claim that have not ended ──▶ reply with these alone
//!     └─ rows of jobs are missing: fetch_again.sql reads them
//! 7 sorts the jobs, builds their leases, advances the cursors
//! 8 parks jobs of kinds without a handler, discards jobs that do not decode ──▶ reply
//! ```
//!
//! A request may name priorities of a queue twice. The later wish is then served from what the earlier one
//! left, by a further `fetch.sql` in the same transaction; that is called a *round*.
//!
//! The modules by step: [`look`] for a request of no jobs, [`turn`] 2, [`parked`] 3 and 8, [`round`] 4 and 7,
//! [`ask`] 5 and 6, [`near`] and [`jobs`] for the rows of the jobs. `docs/design/fetch.md` says what a repeat
//! does.

mod ask;
mod jobs;
mod look;
mod near;
mod parked;
mod round;
mod turn;

use gristmill_core::{Call, FetchReply, FetchRequest, FinishItem, Finished, Name, QueueWant};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::Answer;
use crate::finish::finish_items;
use crate::handle::Inner;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

use ask::{Ask, Head};
use jobs::{Batch, Haul, Rows, Taken};
pub(crate) use near::Near;
use round::{Round, rounds};
pub(crate) use turn::Turns;

pub(crate) async fn fetch(inner: &Inner, call: Call, request: &FetchRequest) -> Answer<FetchReply> {
    if look::is_one(request) {
        return look::look(inner, call, request).await;
    }
    let in_flight = inner.renewals.fetch_begins(request.worker, request.claim);
    let (reply, bad) = match try_fetch(inner, call, request).await {
        // Another call with this number committed first. The second try sees its claim.
        Err(fail) if fail.is_unique_violation() => try_fetch(inner, call, request).await?,
        // The worker was forgotten, or its lease changed, after the snapshot. The second try sees that.
        Err(fail) if fail.is_null_violation() => try_fetch(inner, call, request).await?,
        answer => answer?,
    };
    if !bad.is_empty() {
        set_aside(inner, call, &bad).await;
    }
    in_flight.answered();
    Ok(reply)
}

/// Ends the runs of jobs that do not decode. Where that fails the others are granted all the same, and these
/// are given back with their claim, so a later fetch meets them again.
async fn set_aside(inner: &Inner, call: Call, bad: &[FinishItem]) {
    let answers = match finish_items(inner, call, bad).await {
        Ok(answers) => answers,
        Err(fail) => {
            gristmill_core::log!(
                warn,
                ?fail,
                "jobs that cannot be read could not be discarded; a later fetch meets them again"
            );
            return;
        }
    };
    for (item, answer) in bad.iter().zip(answers) {
        let (job, reason) = (item.lease.job, item.reason.as_deref().unwrap_or_default());
        match answer {
            Finished::Accepted { .. } | Finished::AlreadyAccepted => {
                gristmill_core::log!(error, %job, reason, "a job cannot be read and is discarded");
            }
            Finished::LeaseLost { .. } | Finished::Busy => gristmill_core::log!(
                warn,
                %job,
                reason,
                ?answer,
                "a job cannot be read and could not be discarded"
            ),
        }
    }
}

/// The wanted jobs of one queue that exists.
#[derive(Debug, Clone, Copy)]
struct Wish<'r> {
    /// Its place in the request.
    place: usize,
    queue: i32,
    want: &'r QueueWant,
    /// Nonce of the claim, new for each try; two wishes for one queue share it.
    nonce: Uuid,
}

/// Fetches once: the reply, and the finishes of jobs that do not decode.
async fn try_fetch(
    inner: &Inner,
    call: Call,
    request: &FetchRequest,
) -> Answer<(FetchReply, Vec<FinishItem>)> {
    let names: Vec<Name> = request.queues.iter().map(|want| want.queue.clone()).collect();
    let numbers = match inner.names.known_numbers(&names) {
        Some(known) => known.into_iter().map(Some).collect(),
        None => inner.names.find(&mut inner.work().await?, &names).await?,
    };
    let wishes = wishes(request, &numbers);
    let ask = Ask::new(inner, call, request, &wishes);
    let turn = match ask.queues.iter().min() {
        Some(queue) => inner.turns.wait(*queue).await,
        None => None,
    };
    // A fetch that waits for its turn has no connection that another call could use.
    let mut session = inner.work().await?;
    let kinds = inner.parked.kinds_of(&mut session, request.worker).await?;
    let looks = match parked::take(inner, &mut session, request, &ask, (&wishes, &kinds)).await? {
        parked::Look::Nothing(looks) => looks,
        parked::Look::Leased(batch, head) => {
            let lease = head.lease(inner, call, request)?;
            let looked = request.queues.iter().zip(&numbers);
            let queues = looked.map(|(want, number)| head.state(want, *number, false));
            let (jobs, bad) = batch.into_jobs();
            return Ok((FetchReply::new(jobs, queues.collect(), lease), bad));
        }
    };
    let mut rounds = rounds(&inner.cursors, wishes);
    let (hauls, head) = ask.run(&mut session, &rounds, turn).await?;
    let lease = head.lease(inner, call, request)?;
    if head.is_repeat {
        rounds.into_iter().for_each(Round::leave);
        let rows = session.query(sql!("fetch_again"), &[&ask.worker, &ask.claim]).await?;
        let mut batch = Batch::new(&inner.names, &kinds, request.claim, rows.len());
        add_rows(inner, &mut session, request, &numbers, &rows, &mut batch).await?;
        // Jobs of kinds without a handler are not parked here: the first reply may have handed them out. The
        // worker releases them.
        let queues =
            request.queues.iter().zip(&numbers).map(|(want, number)| head.queue_reply(want, *number));
        let (jobs, bad) = batch.into_jobs();
        return Ok((FetchReply::new(jobs, queues.collect(), lease), bad));
    }
    // A paused queue was not searched for parked jobs.
    for look in looks.into_iter().filter(|look| !head.paused.contains(&look.line.queue)) {
        inner.parked.looked(request.worker, look);
    }
    let jobs = hauls.iter().map(|haul| haul.taken.len()).sum();
    let is_short = hauls.iter().any(Haul::is_short);
    inner.near.learn(ask.range_from, jobs, is_short);
    let again = if is_short {
        session.query(sql!("fetch_again"), &[&ask.worker, &ask.claim]).await?
    } else {
        Vec::new()
    };
    drop(session);
    let mut batch = Batch::new(&inner.names, &kinds, request.claim, jobs);
    let mut given = vec![0; request.queues.len()];
    for (round, haul) in rounds.drain(..).zip(&hauls) {
        let rows = Rows::of(haul, &again)?;
        round.hand_out(&haul.taken, rows, &head.paused, &mut given, &mut batch)?;
    }
    if call.now.is_none() {
        ask.queues.iter().for_each(|queue| inner.look_before_cursors(*queue));
    }
    parked::park(inner, call, &kinds, &mut batch).await?;
    let queues = request.queues.iter().zip(&numbers).zip(given);
    let queues = queues.map(|((want, number), given)| head.state(want, *number, given < want.max));
    let queues = queues.collect();
    let (jobs, bad) = batch.into_jobs();
    Ok((FetchReply::new(jobs, queues, lease), bad))
}

fn wishes<'r>(request: &'r FetchRequest, numbers: &[Option<i32>]) -> Vec<Wish<'r>> {
    let mut wishes: Vec<Wish<'r>> = Vec::with_capacity(numbers.len());
    for (place, (want, number)) in request.queues.iter().zip(numbers).enumerate() {
        if let Some(queue) = number.filter(|_| want.max > 0) {
            let same = wishes.iter().find(|wish| wish.queue == queue).map(|wish| wish.nonce);
            // 122 random bits, as a worker's id has.
            let nonce = same.unwrap_or_else(|| row::worker_uuid(gristmill_core::WorkerId::random()));
            wishes.push(Wish { place, queue, want, nonce });
        }
    }
    wishes
}

/// Adds the jobs of rows of `fetch_again.sql` or `fetch_parked.sql`, in the order of the request. A repeat
/// may find jobs of a queue that this request does not name.
async fn add_rows(
    inner: &Inner,
    session: &mut Session,
    request: &FetchRequest,
    numbers: &[Option<i32>],
    rows: &[Row],
    batch: &mut Batch<'_>,
) -> Answer<()> {
    let place = |queue: i32| numbers.iter().position(|number| *number == Some(queue));
    let mut order = Vec::with_capacity(rows.len());
    for row in rows {
        let job = Taken::of(row)?;
        order.push((place(job.key.queue).unwrap_or(numbers.len()), job, row));
    }
    order.sort_unstable_by_key(|(place, job, _)| (*place, job.key));
    for (place, job, row) in order {
        let name = match request.queues.get(place) {
            Some(want) => want.queue.clone(),
            None => inner.names.name(session, job.key.queue).await?,
        };
        batch.add(&name, row.try_get(11)?, &job, row)?;
    }
    Ok(())
}
