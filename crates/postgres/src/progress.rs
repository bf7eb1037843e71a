//! What running attempts record.

use bytes::Bytes;
use gristmill_core::{Call, RecordRequest, Recorded};
use uuid::Uuid;

use crate::end::{IfLocked, lock_claims};
use crate::error::Answer;
use crate::handle::Inner;
use crate::member;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

pub(crate) async fn record(inner: &Inner, call: Call, request: &RecordRequest) -> Answer<Recorded> {
    let mut session = inner.work().await?;
    session.begin().await?;
    if !holds(&mut session, call, request).await? {
        session.roll_back().await?;
        return Ok(Recorded::LeaseLost);
    }
    let (id, run) = (row::uuid(request.lease.job), row::run(request.lease.run));
    let fits = |bytes: &&Bytes| bytes.len() <= RecordRequest::MAX_CHECKPOINT_BYTES;
    let checkpoint = request.checkpoint.as_ref().filter(fits).map(Bytes::as_ref);
    let progress = request.progress.map(|percent| i16::from(percent.min(100)));
    if progress.is_some() || checkpoint.is_some() {
        session.execute(sql!("record"), &[&id, &run, &progress, &checkpoint]).await?;
    }
    add_lines(&mut session, id, run, request).await?;
    session.commit().await?;
    Ok(Recorded::Accepted)
}

/// Whether the lease holds; it does until the end of the transaction, since its claim is locked now.
async fn holds(session: &mut Session, call: Call, request: &RecordRequest) -> Answer<bool> {
    let lease = &request.lease;
    let nonce = member::nonce(lease);
    let (_, claims) = lock_claims(session, call.now, &[nonce], IfLocked::Wait).await?;
    if !claims.get(&nonce).is_some_and(|claim| claim.lists(row::uuid(lease.job))) {
        return Ok(false);
    }
    let (ids, runs) = (vec![row::uuid(lease.job)], vec![row::run(lease.run)]);
    let known = session.query_one(sql!("runs_to_end"), &[&ids, &runs, &vec![false]]).await?;
    let (is_there, ended): (bool, Option<i32>) = (known.try_get(0)?, known.try_get(2)?);
    Ok(is_there && ended.is_none())
}

async fn add_lines(session: &mut Session, id: Uuid, run: i32, request: &RecordRequest) -> Answer<()> {
    let Some((last, _)) = request.numbered().last() else { return Ok(()) };
    let kept = RecordRequest::kept_lines(last);
    let lines: Vec<_> = request.numbered().filter(|(number, _)| kept.contains(number)).collect();
    let numbers: Vec<i32> = lines.iter().map(|(number, _)| row::run(*number)).collect();
    let ats: Vec<i64> = lines.iter().map(|(_, line)| line.at.as_millis()).collect();
    let texts: Vec<_> = lines.iter().map(|(_, line)| row::storable(&line.text)).collect();
    let most = row::size(RecordRequest::MAX_LOG_LINES);
    session.execute(sql!("add_lines"), &[&id, &run, &numbers, &ats, &texts, &most]).await
}
