//! Makes due jobs available, in time.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::Maintained;
use tokio::time::Instant;

use super::ROUND;
use crate::call::{Trouble, answer};
use crate::worker::shared::Shared;

/// A clock that is a little ahead must not make the loop spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// The first wait for a job that another transaction holds; each further one is twice as long, up to the poll interval.
const FIRST_HOLD: Duration = Duration::from_millis(20);
/// What has been due for longer than this and was not taken is held, whatever the clocks are.
const SKEW_MS: i64 = 50;

/// Sleeps until the next job is due, and looks from time to time in case it was not told of one.
pub(crate) async fn promote(shared: Arc<Shared>) {
    let mut trouble = Trouble::new("promote");
    let mut hold = Duration::ZERO;
    let stopping = shared.control.stopping.clone();
    while !stopping.is_cancelled() {
        let wait = round(&shared, &mut trouble, &mut hold).await;
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            () = shared.due.earlier() => {}
        }
    }
}

/// One round; says how long to wait for the next. `hold` is how long the latest one waited for what is held.
async fn round(shared: &Shared, trouble: &mut Trouble, hold: &mut Duration) -> Duration {
    let poll = shared.poll_interval();
    let now = shared.store_now();
    if shared.due.next().is_some_and(|due| due > now) {
        // Woken for a time that has not come.
        return until_due(shared).min(look(shared, poll));
    }
    shared.due.take();
    let call = shared.backend().promote(shared.call(), ROUND);
    let reply = match answer(shared.call_deadline(), "promote", call).await {
        Ok(reply) => reply,
        Err(error) => return trouble.failed(&error),
    };
    trouble.over();
    if reply.done > 0 {
        shared.appetite.wake_all();
    }
    let now = shared.store_now();
    let is_blocked = reply.blocked
        || reply.done == 0 && reply.next_due.is_some_and(|due| due.offset_millis(SKEW_MS) < now);
    let Maintained { done, more, next_due, .. } = reply;
    if let Some(due) = next_due.filter(|due| !is_blocked || *due > now) {
        shared.due.at(due);
    }
    if is_blocked {
        *hold = (*hold * 2).max(FIRST_HOLD).min(poll);
        shared.due.hold(now, Instant::now() + *hold);
        return until_due(shared).clamp(SHORTEST_WAIT, *hold);
    }
    *hold = Duration::ZERO;
    if more && done > 0 { Duration::ZERO } else { until_due(shared).clamp(SHORTEST_WAIT, look(shared, poll)) }
}

/// The longest time between two rounds. Fetches look at every poll interval, and their replies say when the next job is
/// due, as hints do: where those arrive, a round of its own is the third way to learn it.
fn look(shared: &Shared, poll: Duration) -> Duration {
    if shared.backend().hears_hints() { poll * 2 } else { poll }
}

fn until_due(shared: &Shared) -> Duration {
    shared.due.next().map_or(Duration::MAX, |due| due.since(shared.store_now()))
}
