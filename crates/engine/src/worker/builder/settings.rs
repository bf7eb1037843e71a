//! Queues and numbers. Everything is checked by `build`.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{QueueWish, WorkerBuilder};
use crate::worker::options::OnWait;

impl<S> WorkerBuilder<S> {
    /// Runs jobs of this queue, at most `slots` at once (1 to 10,000). Without any queue the worker runs the
    /// queue `default` with the slots of [`Self::slots`], or 10.
    ///
    /// No more than `slots` handlers run at once. Where they end quicker than a fetch takes, some more jobs
    /// are leased, as many as will have a slot when they arrive and at most `slots`; they are in hand but
    /// have not started, and a stop gives them back with their attempt. A pause of the queue gives back those
    /// that wait when the worker hears of it.
    pub fn queue(mut self, name: impl Into<String>, slots: usize) -> Self {
        self.queues.push(QueueWish { name: name.into(), slots, priorities: None });
        self
    }

    /// Reserves slots of a queue for jobs of these priorities, −10 (first) to 10 (last), both ends included:
    /// so that urgent jobs never wait for a slot behind the others. May be given several times a queue, and
    /// beside [`Self::queue`].
    pub fn lane(mut self, queue: impl Into<String>, slots: usize, priorities: RangeInclusive<i64>) -> Self {
        let priorities = Some((*priorities.start(), *priorities.end()));
        self.queues.push(QueueWish { name: queue.into(), slots, priorities });
        self
    }

    /// How many jobs run at once at most over all queues, 1 to 10,000. Default: the sum of the queues. As
    /// with [`Self::queue`], a few more may be leased where they end quicker than a fetch takes.
    pub fn slots(mut self, slots: usize) -> Self {
        self.options.slots = Some(slots);
        self
    }

    /// How long the leases hold without a heartbeat: after a crash of the worker its jobs are back within
    /// this time and a second. Default 30 s, smallest 1 s, largest 1 h. It bounds no job's length; too short
    /// a lease is lost while the store is slow. A worker renews its leases every third of this; with jobs in
    /// hand at least every 5 s while notifications arrive, and every 0.7 s where they do not, so that a
    /// cancel reaches its handler within a second. A cancel whose notification is lost reaches it with the
    /// next renewal.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease;
        self
    }

    /// How long running handlers may go on after a stop, before they are cancelled and their jobs given back.
    /// Default 30 s; 0 cancels at once.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// How long an async handler may go on after a cancel or its timeout, before it is
    /// dropped. Default 1 s, and after a timeout at most a tenth of that; 0 drops it at once. It keeps its
    /// slot and its lease until then.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.options.cancel_grace = Some(grace);
        self
    }

    /// How often an idle worker looks for jobs that no notification announced. Default: 5 s while
    /// notifications arrive, 1 s where the backend has none or its listening connection is down. Smallest 1
    /// ms, largest 1 min. A job whose notification is lost waits at most this long. A shorter interval costs
    /// the store two transactions a look.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.options.poll_interval = Some(interval);
        self
    }

    /// At most this many jobs a fetch, 1 to 1,000. Default 1,000; free slots bound it anyway.
    pub fn fetch_batch(mut self, jobs: usize) -> Self {
        self.options.fetch_batch = jobs;
        self
    }

    /// How long an attempt may take where its job does not say. Default: without end. Smallest 1 ms.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// How long a call of the backend may take. Default 10 s, or half of the lease where that is shorter.
    /// Smallest 10 ms, largest: less than the lease.
    pub fn call_deadline(mut self, deadline: Duration) -> Self {
        self.call_deadline = Some(deadline);
        self
    }

    /// What the worker is called in lists, for people. Default: the program's name and its process.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.options.label = label.into();
        self
    }

    /// Calls this when the worker has had nothing to do for a second, and once a minute while that lasts,
    /// with what it waits for: `waiting for 3 jobs in the paused queue \`default\``. A worker that
    /// [drains](Self::drain) also says what it leaves. Default: nothing is called.
    pub fn on_wait(mut self, call: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.options.on_wait = OnWait(Some(Arc::new(call)));
        self
    }

    /// The worker ends by itself when nothing that it can run is left in its queues: nothing available,
    /// running, scheduled or retryable. Jobs of kinds that it has no handler for are left; those of a paused
    /// queue are waited for.
    pub fn drain(mut self) -> Self {
        self.options.drain = true;
        self
    }

    /// Whether the worker promotes, rescues, prunes and audits. Default yes; at least one worker of a store
    /// has to.
    pub fn maintenance(mut self, maintenance: bool) -> Self {
        self.options.maintenance = maintenance;
        self
    }
}
