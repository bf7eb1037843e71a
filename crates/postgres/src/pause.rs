//! Pausing and resuming a queue.

use std::sync::Arc;

use gristmill_core::{Call, Name, PauseRequest, Priority, Timestamp};
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::hint_sum::{HintSum, Position};
use crate::row;
use crate::statement::sql;

pub(crate) async fn pause(inner: &Arc<Inner>, call: Call, request: &PauseRequest) -> Answer<()> {
    let mut session = inner.work().await?;
    let reason = request.reason.as_deref().map(row::storable);
    let actor = request.actor.as_deref().map(row::storable);
    let now = call.now.map(Timestamp::as_millis);
    session.execute(sql!("pause"), &[&request.queue.as_str(), &now, &reason, &actor]).await?;
    let mut hints = HintSum::default();
    hints.queue_changed(request.queue.clone());
    drop(session);
    inner.send_hints(hints);
    inner.until_told().await;
    Ok(())
}

pub(crate) async fn resume(inner: &Arc<Inner>, _call: Call, request: &Name) -> Answer<()> {
    let mut session = inner.work().await?;
    let Some(row) = session.query_opt(sql!("resume"), &[&request.as_str()]).await? else { return Ok(()) };
    let mut hints = HintSum::default();
    hints.queue_changed(request.clone());
    // Its jobs may be fetched again, wherever they stand.
    let first = Position { priority: Priority::FIRST.get().into(), run_at_ms: i64::MIN, id: Uuid::nil() };
    hints.available(row.try_get(0)?, first);
    drop(session);
    inner.send_hints(hints);
    inner.until_told().await;
    Ok(())
}
