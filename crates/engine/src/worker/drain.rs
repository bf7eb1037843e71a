//! Ends a worker by itself when its queues have nothing left that it can run.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendError, JobState, Name, QueueStats, StatsReply, StatsRequest, waits_for};

use super::shared::Shared;
use crate::call::{Trouble, answer};

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
        let left = look(&shared).await;
        if left.is_ok() {
            trouble.over();
        }
        match left {
            Ok(Left::Nothing) => return shared.control.stopping.cancel(),
            Ok(Left::Unhandled(parts)) => {
                shared.options.on_wait.call(&format!("nothing is left to run but {}", parts.join(", ")));
                return shared.control.stopping.cancel();
            }
            Ok(Left::Jobs) => {}
            Err(error) => tokio::time::sleep(trouble.failed(&error)).await,
        }
    }
}

/// What the worker's queues hold.
enum Left {
    Nothing,
    /// Jobs of kinds that the worker has no handler for, and nothing else.
    Unhandled(Vec<String>),
    Jobs,
}

async fn look(shared: &Shared) -> Result<Left, BackendError> {
    let stats = async |cap| {
        let call = shared.backend().stats(shared.call(), StatsRequest::new(cap));
        answer(shared.call_deadline(), "stats", call).await
    };
    let few = stats(Some(1)).await?;
    if mine(shared, &few).all(|queue| unfinished(queue) == 0) {
        return Ok(Left::Nothing);
    }
    // Parked jobs are counted as scheduled, too: whether there are others takes whole numbers.
    let is_parked = mine(shared, &few).any(|queue| !queue.parked.is_empty());
    if !is_parked || mine(shared, &few).any(|queue| queue.count(JobState::Available).value > 0) {
        return Ok(Left::Jobs);
    }
    let all = stats(None).await?;
    let kinds = shared.kinds.set();
    let unhandled = |queue: &QueueStats| -> u64 {
        let others = queue.parked.iter().filter(|parked| !kinds.handles(parked.kind.as_str()));
        others.map(|parked| parked.count.value).sum()
    };
    if mine(shared, &all).any(|queue| unfinished(queue) > unhandled(queue)) {
        return Ok(Left::Jobs);
    }
    Ok(Left::Unhandled(waits_for(&all, &shared.queues(), &kinds)))
}

fn mine<'s>(shared: &'s Shared, stats: &'s StatsReply) -> impl Iterator<Item = &'s QueueStats> {
    let served = |name: &Name| shared.options.queues.iter().any(|lane| lane.queue == *name);
    stats.queues.iter().filter(move |queue| served(&queue.queue.name))
}

fn unfinished(queue: &QueueStats) -> u64 {
    UNFINISHED.iter().map(|state| queue.count(*state).value).sum()
}
