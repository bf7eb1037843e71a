//! Makes due jobs available, in time.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::Maintained;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::due::Due;
use super::round::ROUND;
use crate::call::Trouble;
use crate::worker::fetcher::appetite::Appetite;
use crate::worker::store::Store;

/// A clock that is a little ahead must not make the loop spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// The first wait for a job that another transaction holds; each further one is twice as long, up to the poll
/// interval.
const FIRST_HOLD: Duration = Duration::from_millis(20);
/// What has been due for longer than this and was not taken is held, whatever the clocks are.
const SKEW_MS: i64 = 50;

/// What promoting uses of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Promoter {
    pub(super) store: Store,
    pub(super) stopping: CancellationToken,
    pub(super) due: Arc<Due>,
    pub(super) appetite: Arc<Appetite>,
}

impl Promoter {
    /// Sleeps until the next job is due, and looks from time to time in case no hint came of one.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::new("promote");
        let mut hold = Duration::ZERO;
        while !self.stopping.is_cancelled() {
            let wait = self.round(&mut trouble, &mut hold).await;
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = self.due.earlier() => {}
            }
        }
    }

    /// One round; says how long to wait for the next. `hold` is how long the latest one waited for what is
    /// held.
    async fn round(&self, trouble: &mut Trouble, hold: &mut Duration) -> Duration {
        let poll = self.store.poll_interval();
        let now = self.store.store_now();
        if self.due.next().is_some_and(|due| due > now) {
            // Woken for a time that has not come.
            return self.until_due().min(self.look(poll));
        }
        self.due.take();
        let reply = match self.store.ask("promote", |backend, call| backend.promote(call, ROUND)).await {
            Ok(reply) => reply,
            Err(error) => return trouble.failed(&error),
        };
        trouble.over();
        if reply.done > 0 {
            self.appetite.wake_all();
        }
        let now = self.store.store_now();
        let is_blocked = reply.blocked
            || reply.done == 0 && reply.next_due.is_some_and(|due| due.offset_millis(SKEW_MS) < now);
        let Maintained { done, more, next_due, .. } = reply;
        if let Some(due) = next_due.filter(|due| !is_blocked || *due > now) {
            self.due.at(due);
        }
        if is_blocked {
            *hold = (*hold * 2).max(FIRST_HOLD).min(poll);
            self.due.hold(now, Instant::now() + *hold);
            return self.until_due().clamp(SHORTEST_WAIT, *hold);
        }
        *hold = Duration::ZERO;
        if more && done > 0 { Duration::ZERO } else { self.until_due().clamp(SHORTEST_WAIT, self.look(poll)) }
    }

    /// The longest time between two rounds. Fetches look at every poll interval, and their replies say when
    /// the next job is due, as hints do: where those arrive, a round of its own is the third way to learn it.
    fn look(&self, poll: Duration) -> Duration {
        if self.store.hears_hints() { poll * 2 } else { poll }
    }

    fn until_due(&self) -> Duration {
        self.due.next().map_or(Duration::MAX, |due| due.since(self.store.store_now()))
    }
}
