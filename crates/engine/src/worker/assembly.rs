//! Puts a worker together: what its parts share, and what each loop uses.
//!
//! Each owner passes a job on to the next. The fetcher takes slots and claim numbers. The reserve owns jobs
//! until there is a slot for them, the executor's tasks from then to their end, when they free their slots;
//! `AttemptTasks` only points at them. The completer owns ends from then on. Locks are all leaves: none is
//! taken while another is held, and none is held over an await or over code of a user.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::completer::Completer;
use super::completer::answers::Answers;
use super::completer::finishes::Finishes;
use super::executor::Executor;
use super::executor::chunk::Chunks;
use super::executor::pace::Kinds;
use super::executor::slots::Slots;
use super::executor::start::Starter;
use super::executor::timeouts::Timeouts;
use super::fetcher::FetchLoop;
use super::fetcher::appetite::Appetite;
use super::fetcher::reserve::Reserve;
use super::heartbeat::Heartbeat;
use super::life::activity::Activity;
use super::life::control::WorkerHandle;
use super::life::drain::Drain;
use super::life::hints::Hints;
use super::life::host::Host;
use super::life::incarnation::Registrar;
use super::life::shutdown::Shutdown;
use super::life::waits::Waits;
use super::maintenance::Maintenance;
use super::maintenance::due::Due;
use super::options::WorkerOptions;
use super::store::Store;
use crate::Client;
use crate::claims::Claims;
use crate::handler::route::Routes;
use crate::hooks::Hooks;
use crate::watchdog::Watchdog;

/// A worker that does not run yet: what its loops will share.
#[derive(Debug)]
pub(crate) struct Blueprint {
    client: Client,
    store: Store,
    options: Arc<WorkerOptions>,
    kinds: Arc<Kinds>,
    hooks: Hooks,
    slots: Arc<Slots>,
    claims: Arc<Claims>,
    finishes: Arc<Finishes>,
    due: Arc<Due>,
    pulse: Arc<Notify>,
    handle: WorkerHandle,
}

/// The loops of a worker, each with what it uses.
#[derive(Debug)]
pub(crate) struct Loops {
    pub(super) watchdog: Watchdog,
    pub(super) executor: Arc<Executor>,
    pub(super) registrar: Registrar,
    pub(super) fetching: FetchLoop,
    pub(super) heartbeat: Heartbeat,
    pub(super) completer: Completer,
    pub(super) shutdown: Shutdown,
    pub(super) hints: Arc<Hints>,
    /// Unless its options turn it off.
    pub(super) maintenance: Option<Maintenance>,
    pub(super) waits: Waits,
    /// If the worker ends by itself.
    pub(super) drain: Option<Drain>,
}

impl Blueprint {
    pub(crate) fn new(client: Client, options: WorkerOptions, routes: &Routes, hooks: Hooks) -> Self {
        let slots = Arc::new(Slots::new(&options));
        Self {
            store: Store::new(client.clone(), &options),
            client,
            kinds: Arc::new(Kinds::new(routes)),
            hooks,
            claims: Arc::default(),
            finishes: Arc::default(),
            due: Arc::default(),
            pulse: Arc::default(),
            handle: WorkerHandle {
                control: Arc::default(),
                appetite: Arc::new(Appetite::new(&options)),
                reserve: Arc::new(Reserve::new(slots.clone(), options.queues.len())),
                counters: Arc::default(),
            },
            slots,
            options: Arc::new(options),
        }
    }

    pub(crate) fn handle(&self) -> WorkerHandle {
        self.handle.clone()
    }

    /// Makes the loops. Handlers will run on this runtime.
    pub(crate) fn assemble(&self, host: Host) -> Loops {
        let watchdog = Watchdog::new(host.runtime().clone(), self.handle.counters.clone());
        let answers = self.answers();
        let executor = Arc::new(self.executor(host, answers.clone()));
        Loops {
            watchdog,
            registrar: self.registrar(),
            fetching: self.fetching(executor.clone()),
            heartbeat: self.heartbeat(executor.clone()),
            completer: Completer { finishes: self.finishes.clone(), slots: self.slots.clone(), answers },
            shutdown: self.shutdown(executor.clone()),
            hints: Arc::new(self.hints()),
            maintenance: self.options.maintenance.then(|| self.maintenance()),
            waits: self.waits(),
            drain: self.options.drain.then(|| self.drain()),
            executor,
        }
    }

    fn stopping(&self) -> CancellationToken {
        self.handle.control.stopping.clone()
    }

    fn answers(&self) -> Answers {
        Answers {
            store: self.store.clone(),
            claims: self.claims.clone(),
            counters: self.handle.counters.clone(),
            due: self.due.clone(),
            hooks: self.hooks.clone(),
        }
    }

    fn executor(&self, host: Host, answers: Answers) -> Executor {
        Executor {
            starter: Starter {
                client: self.client.clone(),
                kinds: self.kinds.clone(),
                hooks: self.hooks.clone(),
                timeouts: Timeouts::new(&self.options),
            },
            host,
            stopping: self.stopping(),
            slots: self.slots.clone(),
            reserve: self.handle.reserve.clone(),
            chunks: Chunks::default(),
            running: Arc::default(),
            at_work: Arc::default(),
            claims: self.claims.clone(),
            finishes: self.finishes.clone(),
            answers,
        }
    }

    fn registrar(&self) -> Registrar {
        Registrar {
            store: self.store.clone(),
            stopping: self.stopping(),
            options: self.options.clone(),
            kinds: self.kinds.clone(),
            slots: self.slots.clone(),
        }
    }

    fn fetching(&self, executor: Arc<Executor>) -> FetchLoop {
        let WorkerHandle { control, appetite, reserve, counters } = self.handle();
        FetchLoop {
            store: self.store.clone(),
            options: self.options.clone(),
            control,
            appetite,
            reserve,
            executor,
            claims: self.claims.clone(),
            pulse: self.pulse.clone(),
            due: self.due.clone(),
            counters,
        }
    }

    fn heartbeat(&self, executor: Arc<Executor>) -> Heartbeat {
        Heartbeat {
            store: self.store.clone(),
            lease: self.options.lease,
            cancel_grace: self.options.cancel_grace,
            claims: self.claims.clone(),
            pulse: self.pulse.clone(),
            appetite: self.handle.appetite.clone(),
            executor,
            left: self.handle.control.left.clone(),
        }
    }

    fn shutdown(&self, executor: Arc<Executor>) -> Shutdown {
        let WorkerHandle { control, counters, .. } = self.handle();
        Shutdown { store: self.store.clone(), grace: self.options.grace, control, executor, counters }
    }

    fn hints(&self) -> Hints {
        Hints {
            appetite: self.handle.appetite.clone(),
            due: self.due.clone(),
            slots: self.slots.clone(),
            pulse: self.pulse.clone(),
        }
    }

    fn maintenance(&self) -> Maintenance {
        let WorkerHandle { appetite, counters, .. } = self.handle();
        Maintenance {
            store: self.store.clone(),
            stopping: self.stopping(),
            lease: self.options.lease,
            due: self.due.clone(),
            appetite,
            counters,
            hooks: self.hooks.clone(),
        }
    }

    fn waits(&self) -> Waits {
        Waits {
            store: self.store.clone(),
            stopping: self.stopping(),
            options: self.options.clone(),
            kinds: self.kinds.clone(),
            activity: self.activity(),
        }
    }

    fn drain(&self) -> Drain {
        Drain {
            store: self.store.clone(),
            stopping: self.stopping(),
            options: self.options.clone(),
            kinds: self.kinds.clone(),
            activity: self.activity(),
        }
    }

    fn activity(&self) -> Activity {
        Activity::new(self.handle.counters.clone(), self.slots.clone(), self.finishes.clone())
    }
}
