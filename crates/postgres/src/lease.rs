//! Workers: they register, renew all their leases at once, and retire.
//!
//! All of it uses the connections for heartbeats, so that no load keeps a worker from renewing its leases.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

use gristmill_core::{
    BackendError, Call, ClaimId, End, Name, RegisterWorker, RenewReply, RenewRequest, Timestamp, WorkerId,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::end::{self, EndedRun, IfLocked, OpenMember};
use crate::error::{Answer, Fail};
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::inflight::Renewing;
use crate::migrate;
use crate::place::Put;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

pub(crate) async fn register_worker(inner: &Inner, call: Call, request: &RegisterWorker) -> Answer<()> {
    let given = call.now.map(Timestamp::as_millis);
    let worker = row::worker_uuid(request.worker);
    let (queues, kinds) = (row::write_names(&request.queues), row::write_names(&request.kinds));
    let (label, lease_ms) = (row::storable(&request.label), row::millis(request.lease));
    let slots = i64::from(request.slots);
    inner.shortest_lease_ms.fetch_min(lease_ms.cast_unsigned().max(1), Ordering::Relaxed);
    let mut session = inner.control().await?;
    let registered = session
        .query_opt(sql!("register_worker"), &[&given, &worker, &label, &lease_ms, &slots, &queues, &kinds])
        .await?;
    let registered = registered.ok_or_else(|| BackendError::worker_gone(request.worker))?;
    learn_clock(inner, call, row::timestamp(&registered, 0)?);
    inner.parked.registers(request.worker, &request.kinds);
    Ok(())
}

pub(crate) async fn renew(inner: &Inner, call: Call, request: &RenewRequest) -> Answer<RenewReply> {
    let renewing = inner.renewals.renew_begins(request.worker);
    let given = call.now.map(Timestamp::as_millis);
    let worker = row::worker_uuid(request.worker);
    let mut session = inner.control().await?;
    let (reading, began) = (renewing.reading(&request.known_claims), Instant::now());
    let rows = session.query(sql!("renew"), &[&given, &worker, &reading.behind, &reading.exact]).await?;
    let Some(renewed) = rows.first() else {
        inner.renewals.forget(request.worker);
        return Err(BackendError::worker_gone(request.worker).into());
    };
    learn_clock(inner, call, row::timestamp(renewed, 0)?);
    if !inner.is_same_life(renewed.try_get(3)?) {
        gristmill_core::log!(warn, "the store was exchanged under a worker, which starts afresh");
        return Err(BackendError::worker_gone(request.worker).into());
    }
    if migrate::number(renewed.try_get(4)?)? > migrate::latest() {
        // The error that names the versions; calls on other connections return it, too.
        inner.checked.refused();
        inner.check(&mut session).await?;
    }
    inner.checked.passed();
    let claims = rows.iter().filter_map(|row| OwnClaim::read(row, 5).transpose());
    let claims = claims.collect::<Answer<Vec<_>>>()?;

    let mut reply = RenewReply::default();
    reply.expires_in = row::duration(renewed.try_get(1)?);
    for name in renewed.try_get::<_, Vec<&str>>(2)? {
        // A queue without a readable name is none that the worker fetches from.
        reply.paused.extend(Name::new(name).ok());
    }
    let granted: BTreeSet<u64> = claims.iter().map(|claim| claim.number.0).collect();
    renewing.read(&reading, began, &granted);
    reply.lost = request.known_claims.iter().copied().filter(|claim| !granted.contains(&claim.0)).collect();
    let unknown = unknown(&claims, &request.known_claims, &renewing);
    reply.given_back = give_back_unknown(inner, &mut session, call, &unknown).await?;
    let cancelled = claims.iter().filter(|claim| claim.may_be_cancelled);
    let cancelled: Vec<Uuid> = cancelled.map(|claim| claim.nonce).collect();
    if !cancelled.is_empty() {
        for row in session.query(sql!("cancels_of_claims"), &[&cancelled]).await? {
            reply.cancels.push((row::job_id(row.try_get(0)?), row::count32(row.try_get(1)?)));
        }
    }
    Ok(reply)
}

/// A claim of a worker.
#[derive(Debug, Clone, Copy)]
struct OwnClaim {
    nonce: Uuid,
    number: ClaimId,
    may_be_cancelled: bool,
}

impl OwnClaim {
    /// From three columns of a row, the first of which is NULL where there is none.
    fn read(row: &Row, column: usize) -> Answer<Option<Self>> {
        let Some(nonce) = row.try_get(column)? else { return Ok(None) };
        let number = ClaimId(row.try_get::<_, i64>(column + 1)?.cast_unsigned());
        Ok(Some(Self { nonce, number, may_be_cancelled: row.try_get(column + 2)? }))
    }
}

/// The claims that were granted to a reply that never arrived. Their fetches are over: one that is in flight
/// is the worker's, although it did not know of it when it wrote its request.
fn unknown(claims: &[OwnClaim], known: &[ClaimId], renewing: &Renewing<'_>) -> Vec<OwnClaim> {
    let kept = renewing.kept();
    let is_unknown = |claim: &&OwnClaim| !known.contains(&claim.number) && !kept.contains(&claim.number);
    claims.iter().filter(is_unknown).copied().collect()
}

/// Gives back claims a renewed worker does not know, and tells their numbers. What fails, and what another
/// transaction has locked, is left to the next renewal: the worker's leases are renewed, and it has to hear
/// of that.
async fn give_back_unknown(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    unknown: &[OwnClaim],
) -> Answer<Vec<ClaimId>> {
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let nonces = sorted(unknown);
    session.begin().await?;
    match give_back(session, call, &nonces, IfLocked::Leave).await {
        Ok(GivenBack { claims, puts }) => {
            session.commit().await?;
            send_hints(inner, &puts);
            // A fetch of several queues made a claim of each.
            let is_left = |claim: &OwnClaim| !claims.contains(&claim.nonce);
            let left: BTreeSet<u64> =
                unknown.iter().filter(|claim| is_left(claim)).map(|claim| claim.number.0).collect();
            let numbers = unknown.iter().map(|claim| claim.number.0).collect::<BTreeSet<u64>>();
            Ok(numbers.difference(&left).copied().map(ClaimId).collect())
        }
        Err(Fail::Broken(error)) if error.as_db_error().is_some() => {
            gristmill_core::log!(warn, %error, "claims that their worker does not know could not be given back");
            session.roll_back().await?;
            Ok(Vec::new())
        }
        Err(fail) => Err(fail),
    }
}

/// Releases in a first transaction the claims that no other transaction has locked. A second one waits for
/// the worker's fetches in progress, forgets the worker and releases the rest. Later fetches of that worker
/// grant nothing.
pub(crate) async fn retire_worker(inner: &Inner, call: Call, request: &WorkerId) -> Answer<()> {
    let worker = row::worker_uuid(*request);
    let mut session = inner.control().await?;
    let claims = claims_of(&mut session, worker).await?;
    if !claims.is_empty() {
        session.begin().await?;
        let given_back = give_back(&mut session, call, &sorted(&claims), IfLocked::Leave).await?;
        session.commit().await?;
        send_hints(inner, &given_back.puts);
    }
    session.begin().await?;
    session.execute(sql!("forget_worker"), &[&worker]).await?;
    let claims = claims_of(&mut session, worker).await?;
    let given_back = give_back(&mut session, call, &sorted(&claims), IfLocked::Wait).await?;
    session.commit().await?;
    inner.renewals.forget(*request);
    inner.parked.retires(*request);
    send_hints(inner, &given_back.puts);
    Ok(())
}

async fn claims_of(session: &mut Session, worker: Uuid) -> Answer<Vec<OwnClaim>> {
    let rows = session.query(sql!("claims_of_worker"), &[&worker]).await?;
    rows.iter().filter_map(|row| OwnClaim::read(row, 0).transpose()).collect()
}

fn sorted(claims: &[OwnClaim]) -> Vec<Uuid> {
    let mut nonces: Vec<Uuid> = claims.iter().map(|claim| claim.nonce).collect();
    nonces.sort_unstable();
    nonces
}

/// Claims that are gone, and what became of the jobs that their worker had.
#[derive(Debug, Default)]
struct GivenBack {
    claims: Vec<Uuid>,
    puts: Vec<Put<'static>>,
}

/// Ends the open runs of claims as released, their attempts refunded, in the session's transaction.
async fn give_back(
    session: &mut Session,
    call: Call,
    nonces: &[Uuid],
    if_locked: IfLocked,
) -> Answer<GivenBack> {
    if nonces.is_empty() {
        return Ok(GivenBack::default());
    }
    let mut left = end::lock_jobs_of_claims(session, nonces, if_locked).await?;
    let (now, locked) = end::lock_claims(session, call.now, nonces, if_locked).await?;
    let nonces: Vec<Uuid> = locked.into_keys().collect();
    let members = end::open_members(session, &nonces).await?;
    let is_free = |member: &&OpenMember| !left.contains(&member.job);
    let mut ended: Vec<EndedRun<'_>> =
        members.iter().filter(is_free).map(|member| released(member, now)).collect();
    // What is left of a worker that retires is rescued.
    end::leave_listed(session, &mut ended, &mut left).await?;
    let puts = end::end_runs(session, now, &ended).await?;
    let claims = end::drop_claims(session, &members, &nonces, &ended, &puts, &left).await?;
    Ok(GivenBack { claims, puts })
}

fn released(member: &OpenMember, now: Timestamp) -> EndedRun<'static> {
    member.ended(End::of_give_back(member.facts(), now))
}

fn send_hints(inner: &Inner, puts: &[Put<'_>]) {
    let mut hints = HintSum::default();
    end::add_hints(&mut hints, puts, inner.wants_ends());
    inner.send_hints(hints);
}

fn learn_clock(inner: &Inner, call: Call, now: Timestamp) {
    if call.now.is_none() {
        inner.learn_clock(now);
    }
}
