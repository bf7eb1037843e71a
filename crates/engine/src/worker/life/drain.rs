//! Ends a worker by itself when its queues have nothing left that it can run.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendError, JobState, Name, QueueStats, StatsReply, StatsRequest, waits_for};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use crate::call::Trouble;
use crate::worker::executor::pace::Kinds;
use crate::worker::options::WorkerOptions;
use crate::worker::store::Store;

const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What keeps a worker that drains.
const UNFINISHED: [JobState; 4] =
    [JobState::Available, JobState::Running, JobState::Scheduled, JobState::Retryable];

/// What draining uses of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Drain {
    pub(crate) store: Store,
    pub(crate) stopping: CancellationToken,
    pub(crate) options: Arc<WorkerOptions>,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) activity: Activity,
}

impl Drain {
    /// Looks at the store only while the worker has nothing in hand, and less often the longer that lasts.
    pub(crate) async fn run(mut self) {
        let mut trouble = Trouble::new("stats");
        let mut pause = FIRST_LOOK;
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            if self.activity.has_fetched() {
                pause = FIRST_LOOK;
            }
            if self.activity.is_busy() {
                continue;
            }
            let left = self.look().await;
            if left.is_ok() {
                trouble.over();
            }
            match left {
                Ok(Left::Nothing) => return self.stopping.cancel(),
                Ok(Left::Unhandled(parts)) => {
                    self.options.on_wait.call(&format!("nothing is left to run but {}", parts.join(", ")));
                    return self.stopping.cancel();
                }
                Ok(Left::Jobs) => {}
                Err(error) => tokio::time::sleep(trouble.failed(&error)).await,
            }
        }
    }

    async fn look(&self) -> Result<Left, BackendError> {
        let stats =
            |cap| self.store.ask("stats", move |backend, call| backend.stats(call, StatsRequest::new(cap)));
        let few = stats(Some(1)).await?;
        if self.mine(&few).all(|queue| unfinished(queue) == 0) {
            return Ok(Left::Nothing);
        }
        // Parked jobs are counted as scheduled, too: whether there are others takes whole numbers.
        let is_parked = self.mine(&few).any(|queue| !queue.parked.is_empty());
        if !is_parked || self.mine(&few).any(|queue| queue.count(JobState::Available).value > 0) {
            return Ok(Left::Jobs);
        }
        let all = stats(None).await?;
        let kinds = self.kinds.set();
        let unhandled = |queue: &QueueStats| -> u64 {
            let others = queue.parked.iter().filter(|parked| !kinds.handles(parked.kind.as_str()));
            others.map(|parked| parked.count.value).sum()
        };
        if self.mine(&all).any(|queue| unfinished(queue) > unhandled(queue)) {
            return Ok(Left::Jobs);
        }
        Ok(Left::Unhandled(waits_for(&all, &self.options.queues(), &kinds)))
    }

    fn mine<'s>(&'s self, stats: &'s StatsReply) -> impl Iterator<Item = &'s QueueStats> {
        let served = |name: &Name| self.options.queues.iter().any(|lane| lane.queue == *name);
        stats.queues.iter().filter(move |queue| served(&queue.queue.name))
    }
}

/// What the worker's queues hold.
enum Left {
    Nothing,
    /// Jobs of kinds that the worker has no handler for, and nothing else.
    Unhandled(Vec<String>),
    Jobs,
}

fn unfinished(queue: &QueueStats) -> u64 {
    UNFINISHED.iter().map(|state| queue.count(*state).value).sum()
}
