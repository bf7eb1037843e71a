//! The options of a worker, checked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Name, Priority};

use crate::lease::DEFAULT_LEASE;

/// One queue a worker fetches from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueOptions {
    pub(crate) queue: Name,
    /// How many of its jobs run at once at most.
    pub(crate) slots: usize,
    /// Only these priorities; for reserved lanes.
    pub(crate) priorities: Option<(Priority, Priority)>,
}

/// All options of a worker but its handlers; made and checked by the builder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WorkerOptions {
    pub(crate) label: String,
    pub(crate) queues: Vec<QueueOptions>,
    /// How many jobs run at once at most over all queues; `None` is the sum of the queues.
    pub(crate) slots: Option<usize>,
    /// How long a lease holds without a heartbeat.
    pub(crate) lease: Duration,
    /// How long running handlers may go on after a stop.
    pub(crate) grace: Duration,
    /// How long an async handler may go on after a cancel or its timeout; `None` is a second, and after a
    /// timeout at most a tenth of that.
    pub(crate) cancel_grace: Option<Duration>,
    /// How often an idle queue is looked at when no hint comes; `None` depends on whether hints arrive.
    pub(crate) poll_interval: Option<Duration>,
    /// At most this many jobs a fetch.
    pub(crate) fetch_batch: usize,
    /// The timeout of an attempt whose job has none.
    pub(crate) timeout: Option<Duration>,
    /// The deadline of every call of the backend.
    pub(crate) call_deadline: Duration,
    /// Ends by itself when nothing is left to run in its queues.
    pub(crate) drain: bool,
    pub(crate) on_wait: OnWait,
    /// The queues that jobs of its kinds go to by default.
    pub(crate) defaults: Vec<(String, Name)>,
    /// Whether it promotes, rescues, prunes and audits.
    pub(crate) maintenance: bool,
}

impl WorkerOptions {
    /// The queues it serves, one for each lane.
    pub(crate) fn queues(&self) -> Vec<Name> {
        self.queues.iter().map(|lane| lane.queue.clone()).collect()
    }
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            label: String::new(),
            queues: Vec::new(),
            slots: None,
            lease: DEFAULT_LEASE,
            grace: Duration::from_secs(30),
            cancel_grace: None,
            poll_interval: None,
            fetch_batch: 1_000,
            timeout: None,
            call_deadline: Duration::from_secs(10),
            drain: false,
            on_wait: OnWait::default(),
            defaults: Vec::new(),
            maintenance: true,
        }
    }
}

type Callback = Arc<dyn Fn(&str) + Send + Sync>;

/// What is called while the worker waits.
#[derive(Clone, Default)]
pub(crate) struct OnWait(pub(crate) Option<Callback>);

impl OnWait {
    /// Whether there is something to call.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn call(&self, text: &str) {
        if let Some(call) = &self.0 {
            call(text);
        }
    }
}

impl PartialEq for OnWait {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl fmt::Debug for OnWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnWait").field(&self.0.is_some()).finish()
    }
}
