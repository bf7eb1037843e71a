//! Makes due jobs available, in time.

use std::sync::Arc;
use std::time::Duration;

use super::ROUND;
use crate::worker::call::{Trouble, answer};
use crate::worker::shared::Shared;

/// A clock that is a little ahead must not make the loop spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Sleeps until the next job is due, and looks at every poll interval in case it was not told of one.
pub(crate) async fn promote(shared: Arc<Shared>) {
    let mut trouble = Trouble::new("promote");
    let stopping = shared.control.stopping.clone();
    while !stopping.is_cancelled() {
        let wait = round(&shared, &mut trouble).await;
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            () = shared.due.earlier() => {}
        }
    }
}

/// One round; says how long to wait for the next.
async fn round(shared: &Shared, trouble: &mut Trouble) -> Duration {
    let poll = shared.options.poll_interval;
    let now = shared.store_now();
    if shared.due.next().is_some_and(|due| due > now) {
        // Woken for a time that has not come.
        return until_due(shared).min(poll);
    }
    shared.due.take();
    let call = shared.backend().promote(shared.call(), ROUND);
    match answer(shared.call_deadline(), "promote", call).await {
        Ok(reply) => {
            trouble.over();
            if let Some(due) = reply.next_due {
                shared.due.at(due);
            }
            if reply.done > 0 {
                shared.appetite.wake_all();
            }
            if reply.more { Duration::ZERO } else { until_due(shared).clamp(SHORTEST_WAIT, poll) }
        }
        Err(error) => trouble.failed(&error),
    }
}

fn until_due(shared: &Shared) -> Duration {
    shared.due.next().map_or(Duration::MAX, |due| due.since(shared.store_now()))
}
