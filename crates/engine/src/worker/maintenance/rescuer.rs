//! Takes back the jobs of dead workers.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Event, EventKind, JobState, RescueReply};
use tokio_util::sync::CancellationToken;

use super::due::Due;
use super::round::ROUND;
use crate::call::{Trouble, is_outage};
use crate::hooks::Hooks;
use crate::report::Counters;
use crate::worker::fetcher::appetite::Appetite;
use crate::worker::store::Store;

const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
/// Where hints arrive, a look costs a call to a server that many workers share.
const LONGEST_HINTED_INTERVAL: Duration = Duration::from_secs(10);
/// Workers that see the same lease end part by this much.
const SPREAD: Duration = Duration::from_millis(100);

/// What rescuing uses of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Rescuer {
    pub(super) store: Store,
    pub(super) stopping: CancellationToken,
    pub(super) lease: Duration,
    pub(super) counters: Arc<Counters>,
    pub(super) hooks: Hooks,
    pub(super) appetite: Arc<Appetite>,
    pub(super) due: Arc<Due>,
}

impl Rescuer {
    /// Looks four times a lease, and when the next lease ends.
    ///
    /// After an outage it waits one lease: others could not reach the store either, and shall have their
    /// chance to renew.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::new("rescue");
        let mut wait = Duration::ZERO;
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = if self.store.is_out() {
                self.after_outage(&mut trouble).await
            } else {
                self.round(&mut trouble).await
            };
        }
    }

    /// Whether the store answers again; then one lease of patience.
    async fn after_outage(&self, trouble: &mut Trouble) -> Duration {
        match self.store.ask("ping", |backend, call| backend.ping(call)).await {
            Ok(_) => {
                trouble.over();
                self.store.is_back();
                self.lease
            }
            Err(error) => trouble.failed(&error),
        }
    }

    async fn round(&self, trouble: &mut Trouble) -> Duration {
        match self.store.ask("rescue", |backend, call| backend.rescue(call, ROUND)).await {
            Ok(reply) => {
                trouble.over();
                self.note(&reply);
                if reply.more && !reply.jobs.is_empty() { Duration::ZERO } else { self.pause(&reply) }
            }
            Err(error) => {
                if is_outage(&error) {
                    self.store.was_out();
                }
                trouble.failed(&error)
            }
        }
    }

    fn pause(&self, reply: &RescueReply) -> Duration {
        let longest = if self.store.hears_hints() { LONGEST_HINTED_INTERVAL } else { LONGEST_INTERVAL };
        // Shorter than a lease: one that began after this look is seen before it ends, and the look after it
        // comes at its end.
        let interval = (self.lease / 4).clamp(SHORTEST_INTERVAL, longest);
        let interval = interval.mul_f64(0.9 + fastrand::f64() / 5.0);
        let until_due = reply.next_due.map_or(interval, |due| due.since(self.store.store_now()));
        if until_due.is_zero() && reply.jobs.is_empty() {
            // A worker whose lease has ended and that cannot be taken for dead now: looking at once would not
            // help.
            return interval.min(SHORTEST_INTERVAL);
        }
        interval.min(until_due + SPREAD.mul_f64(fastrand::f64()).max(Duration::from_millis(1)))
    }

    fn note(&self, reply: &RescueReply) {
        if reply.jobs.is_empty() {
            return;
        }
        self.counters.rescued.add(reply.jobs.len() as u64);
        gristmill_core::log!(
            warn,
            name: "jobs_rescued", target: "gristmill::worker", jobs = reply.jobs.len(),
            "jobs of a worker whose lease had ended are taken back"
        );
        for job in &reply.jobs {
            let mut event = Event::new(EventKind::Rescued, job.id);
            event.queue = Some(job.queue.clone());
            self.hooks.emit(&event);
            match job.state {
                JobState::Available => self.appetite.wake(&job.queue),
                // Due at a time only the store knows: the promoter asks.
                JobState::Retryable => self.due.at(self.store.store_now()),
                JobState::Discarded => gristmill_core::log!(
                    error,
                    name: "job_discarded", target: "gristmill::job", job = %job.id, queue = %job.queue,
                    "a job whose workers died is discarded"
                ),
                JobState::Suspended
                | JobState::Scheduled
                | JobState::Running
                | JobState::Completed
                | JobState::Cancelled => {}
            }
        }
    }
}
