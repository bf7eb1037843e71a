//! Ends a worker by itself when its queues have nothing left to run.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{JobState, Name, StatsReply, StatsRequest};

use super::call::{Trouble, answer};
use super::shared::Shared;

const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What keeps a worker that drains.
const UNFINISHED: [JobState; 4] =
    [JobState::Available, JobState::Running, JobState::Scheduled, JobState::Retryable];

/// Looks at the store only while the worker has nothing in hand, and less often the longer that lasts.
pub(crate) async fn drain(shared: Arc<Shared>) {
    let stopping = shared.control.stopping.clone();
    let mut trouble = Trouble::new("stats");
    let mut pause = FIRST_LOOK;
    let mut fetched = 0;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        let now_fetched = shared.counters.snapshot().fetched;
        if std::mem::replace(&mut fetched, now_fetched) != now_fetched {
            pause = FIRST_LOOK;
        }
        if shared.slots.used() > 0 || shared.finishes.len() > 0 {
            continue;
        }
        let call = shared.backend().stats(shared.call(), StatsRequest::new(Some(1)));
        match answer(shared.call_deadline(), "stats", call).await {
            Ok(stats) if is_drained(&shared, &stats) => return shared.control.stopping.cancel(),
            Ok(_) => trouble.over(),
            Err(error) => tokio::time::sleep(trouble.failed(&error)).await,
        }
    }
}

fn is_drained(shared: &Shared, stats: &StatsReply) -> bool {
    let served = |name: &Name| shared.options.queues.iter().any(|lane| lane.queue == *name);
    let mut mine = stats.queues.iter().filter(|queue| served(&queue.queue.name));
    mine.all(|queue| UNFINISHED.iter().all(|state| queue.count(*state).value == 0))
}
