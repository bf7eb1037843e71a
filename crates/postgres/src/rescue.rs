//! Takes back the jobs of claims whose worker is not known.
//!
//! The lock of a claim decides between the rescue and a finish: the runs that are still open are read in a
//! statement that begins once the lock is held, so a finish that came first is seen, and only what is ended
//! here is put back. A claim is a transaction, and if it fails each of its runs is one: neither a claim nor a
//! run that cannot be ended keeps the others. Nor does a job that another transaction has locked, which may
//! be a user's and stay open, or one that is to disappear from a locked claim, too: it is left to a later
//! rescue.

use gristmill_core::{Call, End, RescueReply, Rescued, Timestamp};
use uuid::Uuid;

use crate::end::{
    self, EndedRun, IfLocked, OpenMember, drop_claims, end_runs, leave_listed, lock_jobs_of_claims,
    open_members, shrink_claims,
};
use crate::error::{Answer, Fail};
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::place::Put;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// How often a claim is tried anew when another transaction was in the way; then it is left to the next
/// round.
const TRIES: u32 = 4;

/// Which of a claim's runs to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// The run of this job.
    Only(Uuid),
}

/// Takes back the jobs of claims whose worker is not known, a claim at a time until there are `limit` jobs.
pub(crate) async fn orphans(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    limit: usize,
    reply: &mut RescueReply,
) -> Answer<()> {
    let (mut worker, mut number, mut queue): (Option<Uuid>, Option<i64>, Option<i32>) = (None, None, None);
    while let Some(next) = session.query_opt(sql!("next_orphan"), &[&worker, &number, &queue]).await? {
        let fetch = (Some(next.try_get(1)?), Some(next.try_get(2)?));
        // A fetch from several queues made a claim of each: a round ends with a fetch, not within.
        if reply.jobs.len() >= limit && fetch != (worker, number) {
            reply.more = true;
            break;
        }
        let nonce: Uuid = next.try_get(0)?;
        (worker, number) = fetch;
        queue = Some(next.try_get(3)?);
        let puts = match claim(session, call, nonce).await {
            Ok(puts) => puts,
            Err(fail) if is_of_the_row(&fail) => run_by_run(session, call, nonce, fail).await?,
            Err(fail) => return Err(fail),
        };
        send_hints(inner, &puts);
        for put in puts {
            let queue = inner.names.name(session, put.queue).await?;
            reply.jobs.push(Rescued::new(row::job_id(put.id), queue, put.state));
        }
    }
    Ok(())
}

/// Whether the server refused a statement and would take others.
fn is_of_the_row(fail: &Fail) -> bool {
    matches!(fail, Fail::Refused(_)) || matches!(fail, Fail::Broken(error) if error.as_db_error().is_some())
}

async fn claim(session: &mut Session, call: Call, nonce: Uuid) -> Answer<Vec<Put<'static>>> {
    let mut tries = 1;
    loop {
        match transaction(session, call, nonce, Which::All).await {
            Err(fail) if fail.is_collision() && tries < TRIES => {
                tries += 1;
                session.roll_back().await?;
            }
            answer => return answer,
        }
    }
}

/// The fallback for a claim that cannot be ended as a whole: each run is ended by itself, and what cannot be
/// is left.
async fn run_by_run(session: &mut Session, call: Call, nonce: Uuid, fail: Fail) -> Answer<Vec<Put<'static>>> {
    session.roll_back().await?;
    gristmill_core::log!(
        warn,
        ?fail,
        "a claim of a dead worker cannot be taken back as a whole; its jobs are, one by one"
    );
    let members = match open_members(session, &[nonce]).await {
        Err(fail) if is_of_the_row(&fail) => {
            gristmill_core::log!(
                warn,
                ?fail,
                "the jobs of a dead worker's claim cannot be read; the claim is left"
            );
            return Ok(Vec::new());
        }
        answer => answer?,
    };
    let mut puts = Vec::new();
    for member in members {
        match transaction(session, call, nonce, Which::Only(member.job)).await {
            Ok(put) => puts.extend(put),
            Err(fail) if is_of_the_row(&fail) => {
                session.roll_back().await?;
                gristmill_core::log!(warn, job = %row::job_id(member.job), ?fail, "a dead worker's job cannot be taken back");
            }
            Err(fail) => return Err(fail),
        }
    }
    Ok(puts)
}

/// Ends runs of a claim as crashed, and returns what became of their jobs. Does nothing if another
/// transaction has locked the claim.
async fn transaction(
    session: &mut Session,
    call: Call,
    nonce: Uuid,
    which: Which,
) -> Answer<Vec<Put<'static>>> {
    session.begin().await?;
    let mut left = lock_jobs_of_claims(session, &[nonce], IfLocked::Leave).await?;
    let given = call.now.map(Timestamp::as_millis);
    let Some(locked) = session.query_opt(sql!("lock_orphan"), &[&nonce, &given]).await? else {
        session.roll_back().await?;
        return Ok(Vec::new());
    };
    let now = row::timestamp(&locked, 0)?;
    let members = open_members(session, &[nonce]).await?;
    let is_wanted = |member: &&OpenMember| {
        !left.contains(&member.job) && (which == Which::All || which == Which::Only(member.job))
    };
    let mut ended: Vec<EndedRun<'_>> =
        members.iter().filter(is_wanted).map(|member| crashed(member, now)).collect();
    leave_listed(session, &mut ended, &mut left).await?;
    let puts = end_runs(session, now, &ended).await?;
    match which {
        Which::All => drop(drop_claims(session, &members, &[nonce], &ended, &puts, &left).await?),
        Which::Only(_) => shrink_claims(session, &ended, &puts).await?,
    }
    session.commit().await?;
    Ok(puts)
}

fn crashed(member: &OpenMember, now: Timestamp) -> EndedRun<'static> {
    member.ended(End::of_crash(&member.retry, member.facts(), fastrand::f64(), now))
}

fn send_hints(inner: &Inner, puts: &[Put<'_>]) {
    let mut hints = HintSum::default();
    end::add_hints(&mut hints, puts, inner.wants_ends());
    inner.send_hints(hints);
}
