//! Jobs, locked where they are.
//!
//! A job may be fetched, finished or promoted between the statement that locks it and the one that tells
//! where it is. Then both do not fit together, and it is looked for again. A job that was locked in a place,
//! or in its claim, and is found there by a later statement stays there until the transaction ends.

use std::collections::{BTreeSet, HashMap, HashSet};

use gristmill_core::{Act, BackendError, BackendErrorKind, JobState, Stay, Timestamp, Verb, operate};
use uuid::Uuid;

use crate::error::Answer;
use crate::locate::{Detail, Located, locate};
use crate::session::Session;
use crate::statement::sql;

/// How often a job is looked for that moves all the time.
const ROUNDS: usize = 10;

/// Whether claims are locked, too: needed only to change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claims {
    /// Those of running jobs, and together with them those that list a job which disappears when it is
    /// cancelled.
    OfCancel,
    Leave,
}

/// Locks the jobs that are there and tells where they are. The caller has locked their rows in `jobs`, which
/// is enough for completed ones.
pub(super) async fn hold(
    session: &mut Session,
    ids: &[Uuid],
    claims: Claims,
) -> Answer<HashMap<Uuid, Located>> {
    let mut held = HashMap::with_capacity(ids.len());
    let mut open = ids.to_vec();
    let mut nonces = BTreeSet::new();
    let mut fleeting = BTreeSet::new();
    for _ in 0..ROUNDS {
        let places = uuids(session.query(sql!("lock_places"), &[&open]).await?)?;
        let locked = lock_claims(session, &nonces, &fleeting).await?;
        let unlisted = fleeting.clone();
        let jobs = locate(session, &open, Detail::Place).await?;
        open.clear();
        for job in jobs.into_iter().flatten() {
            let is_held = match job.state {
                JobState::Completed => true,
                JobState::Running => match job.held.filter(|_| claims == Claims::OfCancel) {
                    Some(claim) => {
                        nonces.insert(claim.nonce);
                        locked.contains(&claim.nonce)
                    }
                    None => true,
                },
                _ if claims == Claims::OfCancel && disappears(&job) => {
                    fleeting.insert(job.id);
                    places.contains(&job.id) && unlisted.contains(&job.id)
                }
                _ => places.contains(&job.id),
            };
            if is_held {
                held.insert(job.id, job);
            } else {
                open.push(job.id);
            }
        }
        if open.is_empty() {
            return Ok(held);
        }
    }
    Err(BackendError::new(BackendErrorKind::Busy, "a job moves faster than it can be locked")
        .with_hint("the same call may succeed a moment later")
        .into())
}

/// Whether a cancel erases the job and claims may list it: one that has not run is in none.
fn disappears(job: &Located) -> bool {
    let act = operate(Verb::Cancel, job.standing(), None, Timestamp::EPOCH);
    job.run > 0 && matches!(act, Act::End(end) if end.stay == Stay::Erased)
}

async fn lock_claims(
    session: &mut Session,
    nonces: &BTreeSet<Uuid>,
    fleeting: &BTreeSet<Uuid>,
) -> Answer<HashSet<Uuid>> {
    if nonces.is_empty() && fleeting.is_empty() {
        return Ok(HashSet::new());
    }
    let [nonces, fleeting] = [nonces, fleeting].map(|ids| ids.iter().copied().collect::<Vec<Uuid>>());
    uuids(session.query(sql!("lock_claims_of_runs"), &[&nonces, &fleeting]).await?)
}

fn uuids(rows: Vec<tokio_postgres::Row>) -> Answer<HashSet<Uuid>> {
    rows.into_iter().map(|row| Ok(row.try_get(0)?)).collect()
}
