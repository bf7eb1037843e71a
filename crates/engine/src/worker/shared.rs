//! What the parts of a worker share.
//!
//! Who owns what: the fetcher takes slots and claim numbers; the reserve owns jobs until there is a slot for them, the
//! executor's tasks from then to their end, when they free their slots; [`RunningJobs`] only points at them; the
//! completer owns ends from then on. Locks are all leaves: none is taken while another is held, and none is held over
//! an await or over code of a user.

use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gristmill_core::{Backend, Call, Name, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::appetite::Appetite;
use super::chunk::Chunks;
use super::completer::Finishes;
use super::control::Control;
use super::options::WorkerOptions;
use super::pace::Kinds;
use super::report::Counters;
use super::reserve::Reserve;
use super::running::RunningJobs;
use super::slots::Slots;
use crate::Client;
use crate::at_work::AtWork;
use crate::claims::Claims;
use crate::handler::route::Routes;
use crate::hooks::Hooks;
use crate::worker::maintenance::due::Due;

/// The default poll interval where hints arrive.
const HINTED_POLL: Duration = Duration::from_secs(5);
/// The default poll interval where they do not.
const UNHINTED_POLL: Duration = Duration::from_secs(1);

/// One worker, over all its incarnations.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) options: WorkerOptions,
    pub(crate) kinds: Kinds,
    pub(crate) hooks: Hooks,
    pub(crate) control: Control,
    pub(crate) counters: Counters,
    pub(crate) slots: Slots,
    pub(crate) reserve: Reserve,
    pub(crate) appetite: Appetite,
    pub(crate) claims: Claims,
    pub(crate) chunks: Chunks,
    pub(crate) running: RunningJobs,
    pub(crate) finishes: Finishes,
    pub(crate) due: Due,
    /// Asks the heartbeat for a renewal now: somebody may want a job cancelled.
    pub(crate) pulse: Notify,
    /// The store could not be reached; the rescuer waits one lease before it believes that others are dead.
    pub(crate) outage: AtomicBool,
    /// Every task that runs a handler or waits for one.
    pub(crate) tasks: TaskTracker,
    /// Code of jobs on threads that cannot be stopped: as long as some runs, its lease is renewed.
    pub(crate) at_work: Arc<AtWork>,
    /// Where handlers run: the heartbeat, on its own thread, starts tasks there.
    runtime: OnceLock<Handle>,
}

impl Shared {
    /// The queues it serves.
    pub(crate) fn queues(&self) -> Vec<Name> {
        self.options.queues.iter().map(|lane| lane.queue.clone()).collect()
    }

    pub(crate) fn new(client: Client, options: WorkerOptions, routes: &Routes, hooks: Hooks) -> Self {
        Self {
            kinds: Kinds::new(routes),
            slots: Slots::new(&options),
            reserve: Reserve::new(options.queues.len()),
            appetite: Appetite::new(&options),
            client,
            options,
            hooks,
            control: Control::default(),
            counters: Counters::default(),
            claims: Claims::default(),
            chunks: Chunks::default(),
            running: RunningJobs::default(),
            finishes: Finishes::default(),
            due: Due::default(),
            pulse: Notify::new(),
            outage: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            at_work: Arc::default(),
            runtime: OnceLock::new(),
        }
    }

    /// The runtime of the handlers: the one the worker was first seen on.
    pub(crate) fn runtime(&self) -> &Handle {
        self.runtime.get_or_init(Handle::current)
    }

    /// How many jobs are in hand: fetched, and their code not ended. Slots that a fetch in flight may fill do not
    /// count.
    pub(crate) fn in_hand(&self) -> usize {
        self.slots.used().saturating_sub(self.reserve.expected())
    }

    /// Starts a task that runs a handler or waits for one.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.tasks.spawn_on(task, self.runtime())
    }

    /// Writes to the log from the runtime of the handlers: a log that blocks must not hold up the heartbeat.
    pub(crate) fn say(&self, line: impl FnOnce() + Send + 'static) {
        self.runtime().spawn(async move { line() });
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        self.client.backend()
    }

    /// A call within the worker's deadline.
    pub(crate) fn call(&self) -> Call {
        Call::new().within(self.options.call_deadline)
    }

    pub(crate) fn call_deadline(&self) -> Duration {
        self.options.call_deadline
    }

    /// How often to look for what no hint tells of.
    pub(crate) fn poll_interval(&self) -> Duration {
        let by_default = if self.backend().hears_hints() { HINTED_POLL } else { UNHINTED_POLL };
        self.options.poll_interval.unwrap_or(by_default)
    }

    /// The present instant by this machine's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.client.now()
    }

    /// The present instant by the store's clock, as far as the worker knows it.
    pub(crate) fn store_now(&self) -> Timestamp {
        self.now().offset_millis(self.backend().id_context().clock_offset_ms)
    }
}
