//! Leases available jobs to a worker.
//!
//! One statement takes the jobs of all queues and makes their claims; a second one, behind it in the same round trip, tells
//! the rest of the reply. Rows of jobs that the first did not find cost a further round trip. Where a request names
//! priorities of a queue twice, the later wish is served from what the earlier one left, in further rounds of one
//! transaction.

mod jobs;
mod near;
mod round;
mod turn;

use gristmill_core::{
    BackendError, Call, FetchReply, FetchRequest, FetchedJob, FetchedQueue, FinishItem, Name, QueueWant,
    Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::Answer;
use crate::finish::finish_items;
use crate::handle::Inner;
use crate::row;
use crate::session::{Naming, Params, Session};
use crate::statement::sql;

use jobs::{Batch, Haul, Rows, Taken};
pub(crate) use near::Near;
use round::{Round, rounds};
pub(crate) use turn::Turns;

pub(crate) async fn fetch(inner: &Inner, call: Call, request: &FetchRequest) -> Answer<FetchReply> {
    let in_flight = inner.renewals.fetch_begins(request.worker, request.claim);
    let (reply, bad) = match attempt(inner, call, request).await {
        // Another call with this number came first; now its claim can be seen.
        Err(fail) if fail.is_unique_violation() => attempt(inner, call, request).await?,
        answer => answer?,
    };
    if !bad.is_empty() {
        set_aside(inner, call, &bad).await;
    }
    in_flight.answered();
    Ok(reply)
}

/// Ends the runs of jobs that do not decode. Where that fails the others are granted all the same, and these are given back
/// with their claim, so a later fetch meets them again.
async fn set_aside(inner: &Inner, call: Call, bad: &[FinishItem]) {
    let ended = finish_items(inner, call, bad).await;
    for item in bad {
        let (job, reason) = (item.lease.job, item.reason.as_deref().unwrap_or_default());
        tracing::error!(%job, reason, "a job cannot be read and is discarded");
    }
    if let Err(fail) = ended {
        tracing::warn!(
            ?fail,
            "jobs that cannot be read could not be discarded; a later fetch meets them again"
        );
    }
}

/// A wish for jobs of a queue that is there.
#[derive(Debug, Clone, Copy)]
struct Wish<'r> {
    /// Its place in the request.
    place: usize,
    queue: i32,
    want: &'r QueueWant,
    /// The claim's nonce, one for each queue.
    nonce: Uuid,
}

/// The reply, and the ends of jobs that do not decode.
async fn attempt(inner: &Inner, call: Call, request: &FetchRequest) -> Answer<(FetchReply, Vec<FinishItem>)> {
    let mut session = inner.work().await?;
    let names: Vec<Name> = request.queues.iter().map(|want| want.queue.clone()).collect();
    let numbers = inner.names.find(&mut session, &names).await?;
    let wishes = wishes(request, &numbers);
    let ask = Ask {
        now: call.now.map(Timestamp::as_millis),
        worker: row::worker_uuid(request.worker),
        claim: claim_number(request),
        lock: lock_of(request),
        range_from: match inner.naming {
            Naming::Prepared => inner.near.least(),
            // Behind a pooler plans are not bound to an index: one might sort the whole range first.
            Naming::Unnamed => i64::MAX,
        },
        head_ms: match call.now {
            Some(_) => i64::MIN,
            None => inner.promotions.head_ms(inner.server_now()),
        },
        queues: wishes.iter().map(|wish| wish.queue).collect(),
        nonces: wishes.iter().map(|wish| wish.nonce).collect(),
    };
    let turn = match ask.queues.iter().min() {
        Some(queue) => inner.turns.wait(*queue).await,
        None => None,
    };
    let mut rounds = rounds(&inner.cursors, wishes);
    let (hauls, head) = ask.run(&mut session, &rounds, turn).await?;
    if call.now.is_none() {
        inner.learn_clock(head.now);
    }
    let expires_at = head.lease_expires_at.filter(|at| *at > head.now);
    let lease = expires_at.ok_or_else(|| BackendError::worker_gone(request.worker))?.since(head.now);
    if head.is_repeat {
        rounds.into_iter().for_each(Round::leave);
        let (jobs, bad) = repeat(inner, &mut session, request, &ask, &numbers).await?;
        let queues = request.queues.iter().zip(&numbers).map(|(want, number)| head.look(want, *number));
        return Ok((FetchReply::new(jobs, queues.collect(), lease), bad));
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
    let mut batch = Batch::new(&inner.names, request.claim, jobs);
    let mut given = vec![0; request.queues.len()];
    for (round, haul) in rounds.drain(..).zip(&hauls) {
        let rows = Rows::of(haul, &again)?;
        round.hand_out(&haul.taken, rows, &head.paused, &mut given, &mut batch)?;
    }
    let queues = request.queues.iter().zip(&numbers).zip(given).map(|((want, number), given)| {
        let mut state = head.look(want, *number);
        state.exhausted = given < want.max && !state.paused;
        state.next_due = head.next_due;
        state
    });
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

/// The jobs of the claims that are there already. A repeat that began while the first call was under way may have made some
/// of them itself, for queues of which the first took nothing.
async fn repeat(
    inner: &Inner,
    session: &mut Session,
    request: &FetchRequest,
    ask: &Ask,
    numbers: &[Option<i32>],
) -> Answer<(Vec<FetchedJob>, Vec<FinishItem>)> {
    let rows = session.query(sql!("fetch_again"), &[&ask.worker, &ask.claim]).await?;
    let place = |queue: i32| numbers.iter().position(|number| *number == Some(queue));
    let mut order = Vec::with_capacity(rows.len());
    for row in &rows {
        let job = Taken::of(row)?;
        order.push((place(job.key.queue).unwrap_or(numbers.len()), job, row));
    }
    order.sort_unstable_by_key(|(place, job, _)| (*place, job.key));
    let mut batch = Batch::new(&inner.names, request.claim, rows.len());
    for (place, job, row) in order {
        let name = match request.queues.get(place) {
            Some(want) => want.queue.clone(),
            None => inner.names.name(session, job.key.queue).await?,
        };
        batch.add(&name, row.try_get(11)?, &job, row)?;
    }
    Ok(batch.into_jobs())
}

fn claim_number(request: &FetchRequest) -> i64 {
    request.claim.0.cast_signed()
}

/// The key of the advisory lock of a fetch's number. That two numbers share one costs a wait, no more.
fn lock_of(request: &FetchRequest) -> i64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (_, low) = row::worker_uuid(request.worker).as_u64_pair();
    (low ^ request.claim.0.wrapping_mul(ODD)).cast_signed()
}

/// The parameters that all statements of a fetch share.
struct Ask {
    now: Option<i64>,
    worker: Uuid,
    claim: i64,
    lock: i64,
    /// Of how many jobs on their rows are read as a range of ids.
    range_from: i64,
    /// From when on waiting jobs are looked at.
    head_ms: i64,
    queues: Vec<i32>,
    nonces: Vec<Uuid>,
}

impl Ask {
    /// What each round took, and the rest of the reply.
    async fn run<T>(
        &self,
        session: &mut Session,
        rounds: &[Round<'_>],
        turn: Option<T>,
    ) -> Answer<(Vec<Haul>, Head)> {
        let about: &Params<'_> =
            &[&self.now, &self.worker, &self.claim, &self.queues, &self.nonces, &self.head_ms];
        let (mut hauls, mut claimed) = (Vec::new(), Vec::new());
        if let [only] = rounds {
            let fetch = only.params(self, &claimed);
            let (mut haul, mut turn) = (Haul::default(), turn);
            let each = |row| {
                let taken = haul.add(row)?;
                if !taken.is_empty() {
                    only.reached(taken);
                    turn = None;
                }
                Ok(())
            };
            let head =
                session.query_each_and((sql!("fetch"), &fetch), each, (sql!("fetch_head"), about)).await?;
            return Ok((vec![haul], Head::of(&head)?));
        }
        if rounds.is_empty() {
            return Ok((hauls, Head::of(&session.query(sql!("fetch_head"), about).await?)?));
        }
        session.begin().await?;
        for round in rounds {
            let rows = session.query(sql!("fetch"), &round.params(self, &claimed)).await?;
            let mut haul = Haul::default();
            for row in rows {
                haul.add(row)?;
            }
            for job in &haul.taken {
                if !claimed.contains(&job.key.queue) {
                    claimed.push(job.key.queue);
                }
            }
            hauls.push(haul);
        }
        let head = session.query(sql!("fetch_head"), about).await?;
        session.commit().await?;
        Ok((hauls, Head::of(&head)?))
    }
}

/// What a fetch tells beside the jobs.
struct Head {
    now: Timestamp,
    lease_expires_at: Option<Timestamp>,
    next_due: Option<Timestamp>,
    paused: Vec<i32>,
    /// The number has a claim of another call.
    is_repeat: bool,
}

impl Head {
    fn of(rows: &[Row]) -> Answer<Self> {
        let row = rows.first().ok_or_else(|| crate::error::undecodable("answer"))?;
        Ok(Self {
            now: row::timestamp(row, 0)?,
            lease_expires_at: row::optional_timestamp(row, 1)?,
            next_due: row::optional_timestamp(row, 2)?,
            paused: row.try_get(3)?,
            is_repeat: row.try_get(4)?,
        })
    }

    fn look(&self, want: &QueueWant, number: Option<i32>) -> FetchedQueue {
        let mut state = FetchedQueue::new(want.queue.clone());
        state.paused = number.is_some_and(|number| self.paused.contains(&number));
        state
    }
}
