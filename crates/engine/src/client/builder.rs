//! A client's options.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Backend, Clock, Error, Event, IdSource, NewJob};

use super::{Client, Parts, system_clock};
use crate::hooks::Hooks;

/// Sees every job on its way into the store and may change or refuse it: to add a trace to its metadata, say.
/// Follow-up jobs of handlers pass through it, too. Every `Fn(&mut NewJob) -> Result<(), Error>` is one.
pub trait EnqueueMiddleware: Send + Sync + 'static {
    /// Called once a job, after it was checked, before anything is sent.
    ///
    /// # Errors
    /// Whatever it says: the enqueue fails with it and nothing is sent.
    fn prepare(&self, job: &mut NewJob) -> Result<(), Error>;
}

impl<F> EnqueueMiddleware for F
where
    F: Fn(&mut NewJob) -> Result<(), Error> + Send + Sync + 'static,
{
    fn prepare(&self, job: &mut NewJob) -> Result<(), Error> {
        self(job)
    }
}

/// One middleware, its type erased.
pub(super) struct Layer(pub(super) Box<dyn EnqueueMiddleware>);

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnqueueMiddleware")
    }
}

/// Options of a [`Client`]; from [`Client::builder`].
///
/// ```
/// use gristmill_core::{Error, NewJob};
/// use gristmill_engine::Client;
/// use gristmill_memory::Memory;
/// use std::time::Duration;
///
/// let client = Client::builder(Memory::new())
///     .call_deadline(Duration::from_secs(3))
///     .layer(|job: &mut NewJob| -> Result<(), Error> {
///         job.spec.metadata.insert("tenant", "acme");
///         Ok(())
///     })
///     .build();
/// # let _ = client;
/// ```
#[derive(Debug)]
pub struct ClientBuilder {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    call_deadline: Duration,
    actor: Option<String>,
    layers: Vec<Layer>,
    hooks: Hooks,
}

impl ClientBuilder {
    /// How long a call of the backend may take unless said otherwise.
    pub const DEFAULT_CALL_DEADLINE: Duration = Duration::from_secs(10);

    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            clock: system_clock(),
            call_deadline: Self::DEFAULT_CALL_DEADLINE,
            actor: None,
            layers: Vec::new(),
            hooks: Hooks::default(),
        }
    }

    /// The clock that ids are minted by. Default: the machine's. For tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How long one call of the backend may take. Default 10 s; less than 1 ms counts as 1 ms. A call that
    /// takes longer ends with an error that says whether it may have been stored.
    pub fn call_deadline(mut self, deadline: Duration) -> Self {
        self.call_deadline = deadline.max(Duration::from_millis(1));
        self
    }

    /// Who acts, for the events of jobs that are cancelled, retried, … and for paused queues. Default: no
    /// name.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Adds a middleware; the first one added sees a job first.
    pub fn layer(mut self, middleware: impl EnqueueMiddleware) -> Self {
        self.layers.push(Layer(Box::new(middleware)));
        self
    }

    /// Calls `hook` after each job that was enqueued, on the caller's task: it must not block.
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.hooks.add(None, hook);
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        let Self { backend, clock, call_deadline, actor, layers, hooks } = self;
        Client(Arc::new(Parts {
            backend,
            clock,
            ids: IdSource::new(),
            call_deadline,
            actor,
            layers,
            hooks,
            by_hand: tokio::sync::Mutex::default(),
        }))
    }
}
