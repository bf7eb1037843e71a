//! A fetch that wants no jobs: reports which of its queues have some.
//!
//! One statement steps through the queues that have jobs, whichever the worker fetches from. So it costs the
//! same for a worker of one queue and of thousands.

use std::collections::HashSet;

use gristmill_core::{BackendError, Call, FetchReply, FetchRequest, FetchedQueue, Name, Timestamp};

use crate::error::{Answer, undecodable};
use crate::handle::Inner;
use crate::row;
use crate::statement::sql;

/// Whether a request wants no job of any queue.
pub(super) fn is_one(request: &FetchRequest) -> bool {
    !request.queues.is_empty() && request.queues.iter().all(|want| want.max == 0)
}

pub(super) async fn look(inner: &Inner, call: Call, request: &FetchRequest) -> Answer<FetchReply> {
    let given = call.now.map(Timestamp::as_millis);
    let worker = row::worker_uuid(request.worker);
    let head_ms = match given {
        Some(_) => i64::MIN,
        None => inner.promotions.head_ms(inner.server_now()),
    };
    let mut session = inner.work().await?;
    let rows = session.query(sql!("look_for_ready"), &[&given, &worker, &head_ms]).await?;
    let head = rows.first().ok_or_else(|| undecodable("answer"))?;
    let now = row::timestamp(head, 0)?;
    if given.is_none() {
        inner.learn_clock(now);
    }
    let expires_at = row::optional_timestamp(head, 1)?.filter(|at| *at > now);
    let lease = expires_at.ok_or_else(|| BackendError::worker_gone(request.worker))?.since(now);
    let next_due = row::optional_timestamp(head, 2)?;
    let mut found: HashSet<Name> = HashSet::new();
    for queue in head.try_get::<_, Vec<i32>>(3)? {
        found.insert(inner.names.name(&mut session, queue).await?);
    }
    let queues = request.queues.iter().map(|want| {
        let mut state = FetchedQueue::new(want.queue.clone());
        state.exhausted = !found.contains(&want.queue);
        state.next_due = next_due;
        state
    });
    let queues = queues.collect();
    Ok(FetchReply::new(Vec::new(), queues, lease))
}
