//! The operator's acts: cancel, retry, delete, update, release.
//!
//! An act is one transaction. It locks the rows of `jobs`, in the order of the ids, which keeps other
//! operators, the pruner and the audit away; then the jobs where they are, see [`hold`]; and then it applies
//! what core decides to all of them at once, in a number of statements that does not grow with their number.

mod apply;
mod hold;
mod unique;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{
    Call, Cursor, JobFilter, JobId, JobPatch, Order, Select, Timestamp, Verb, VerbReply, VerbRequest, Verdict,
};
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::hint_sum::HintSum;
use crate::list::scan;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

pub(crate) async fn cancel(inner: &Arc<Inner>, call: Call, request: &VerbRequest) -> Answer<VerbReply> {
    operate(inner, call, Verb::Cancel, request, None).await
}

pub(crate) async fn retry(inner: &Arc<Inner>, call: Call, request: &VerbRequest) -> Answer<VerbReply> {
    operate(inner, call, Verb::Retry, request, None).await
}

pub(crate) async fn delete(inner: &Arc<Inner>, call: Call, request: &VerbRequest) -> Answer<VerbReply> {
    operate(inner, call, Verb::Delete, request, None).await
}

pub(crate) async fn update(
    inner: &Arc<Inner>,
    call: Call,
    (request, patch): &(VerbRequest, JobPatch),
) -> Answer<VerbReply> {
    operate(inner, call, Verb::Update, request, Some(patch)).await
}

pub(crate) async fn release_hold(inner: &Arc<Inner>, call: Call, request: &VerbRequest) -> Answer<VerbReply> {
    operate(inner, call, Verb::ReleaseHold, request, None).await
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
struct Acting<'r> {
    verb: Verb,
    patch: Option<&'r JobPatch>,
    actor: Option<&'r str>,
    /// The jobs were chosen by it, before they were locked.
    filter: Option<&'r JobFilter>,
    now: Timestamp,
    /// A listener, here or in another process, watches ends.
    wants_ends: bool,
}

async fn operate(
    inner: &Arc<Inner>,
    call: Call,
    verb: Verb,
    request: &VerbRequest,
    patch: Option<&JobPatch>,
) -> Answer<VerbReply> {
    let mut reply = VerbReply::default();
    let (ids, next) = select(inner, &request.select).await?;
    reply.next = next;
    if ids.is_empty() {
        return Ok(reply);
    }
    let mut session = inner.work().await?;
    session.begin().await?;
    let acted = within(inner, &mut session, call, verb, request, patch, &ids).await?;
    session.commit().await?;
    drop(session);
    inner.send_hints(acted.hints);
    inner.until_told().await;
    reply.jobs = acted.jobs;
    Ok(reply)
}

/// The result of a verb. Its hints become true when its transaction commits.
pub(crate) struct Acted {
    pub(crate) jobs: Vec<(JobId, Verdict)>,
    pub(crate) hints: HintSum,
}

/// Applies a verb in a transaction that has begun and that is the caller's to commit.
pub(crate) async fn within(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    verb: Verb,
    request: &VerbRequest,
    patch: Option<&JobPatch>,
    ids: &[Uuid],
) -> Answer<Acted> {
    let now = session.query_one(sql!("now"), &[&call.now.map(Timestamp::as_millis)]).await?;
    let acting = Acting {
        verb,
        patch,
        actor: request.actor.as_deref(),
        filter: match &request.select {
            Select::Filter { filter, .. } => Some(filter),
            Select::Ids(_) => None,
        },
        now: row::timestamp(&now, 0)?,
        wants_ends: inner.wants_ends(),
    };
    let mut hints = HintSum::default();
    let mut verdicts = vec![None; ids.len()];
    session.execute(sql!("lock_jobs"), &[&ids]).await?;
    for places in rounds(ids) {
        let jobs: Vec<Uuid> = places.iter().map(|place| ids[*place]).collect();
        let round = apply::apply(session, &acting, &jobs, &mut hints).await?;
        for (place, verdict) in places.into_iter().zip(round) {
            verdicts[place] = verdict;
        }
    }
    let answered = ids.iter().copied().map(row::job_id).zip(verdicts);
    Ok(Acted { jobs: answered.filter_map(|(id, verdict)| Some((id, verdict?))).collect(), hints })
}

/// The places of ids, cut so that each round has an id once: who is named twice is looked at again after the
/// first act.
fn rounds(ids: &[Uuid]) -> Vec<Vec<usize>> {
    let mut seen: HashMap<Uuid, usize> = HashMap::new();
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        let times = seen.entry(*id).or_default();
        if rounds.len() == *times {
            rounds.push(Vec::new());
        }
        rounds[*times].push(place);
        *times += 1;
    }
    rounds
}

/// The jobs that are meant. Those of a filter are chosen before the transaction: it looks at each again.
async fn select(inner: &Arc<Inner>, select: &Select) -> Answer<(Vec<Uuid>, Option<Cursor>)> {
    Ok(match select {
        Select::Ids(ids) => (ids.iter().copied().map(row::uuid).collect(), None),
        Select::Filter { filter, cursor, limit } => {
            let mut session = inner.reads().await?;
            session.begin_snapshot().await?;
            let page = scan(inner, &mut session, filter, *cursor, Order::OldestFirst, *limit, Duration::ZERO)
                .await?;
            session.commit().await?;
            (page.items, page.next)
        }
    })
}
