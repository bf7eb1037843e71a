//! A worker's options and handlers, checked all at once.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Capability, Error, Name};

use crate::handler::Undecodable;
use crate::handler::route::{Mode, RetryDelay, Routes, Start};
use crate::hooks::Hooks;
use crate::label::default_label;
use crate::middleware::{self, Middleware};
use crate::worker::options::WorkerOptions;
use crate::{Client, Worker};

mod check;
mod handlers;
mod settings;

/// Collects the state, queues, handlers and options of a worker. From [`Worker::builder`].
///
/// `S` is the type of the state that handlers take parts of with [`State`](crate::State).
///
/// ```
/// use gristmill_core::Job;
/// use gristmill_engine::{Client, State, Worker};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Welcome { user_id: i64 }
/// # impl Job for Welcome { const KIND: &'static str = "email.welcome"; type Output = (); }
///
/// async fn welcome(job: Welcome, State(greeting): State<String>) {
///     println!("{greeting}, user {}", job.user_id);
/// }
///
/// let worker = Worker::builder(Client::new(gristmill_memory::Memory::new()))
///     .state("hello".to_owned())
///     .queue("mail", 20)
///     .handle(welcome)
///     .build()?;
/// # let _ = worker;
/// # Ok::<(), gristmill_core::Error>(())
/// ```
pub struct WorkerBuilder<S> {
    client: Client,
    state: Arc<S>,
    options: WorkerOptions,
    /// Unless it follows from the lease.
    call_deadline: Option<Duration>,
    queues: Vec<QueueWish>,
    handlers: Vec<Registration>,
    layers: Vec<Arc<dyn Middleware>>,
    undecodable: Undecodable,
    hooks: Hooks,
    /// By kind, as they were given.
    delays: Vec<(String, RetryDelay)>,
}

/// A queue as it was asked for, not checked yet.
#[derive(Debug)]
struct QueueWish {
    name: String,
    slots: usize,
    priorities: Option<(i64, i64)>,
}

/// A handler as it was given. It is made when the builder builds: options may come after it.
struct Registration {
    kind: String,
    job_type: &'static str,
    mode: Mode,
    /// Where its jobs go by default.
    queue: Option<Name>,
    /// What the backend must promise for its arguments.
    needs: Vec<Capability>,
    /// What is wrong with the options of its jobs.
    faults: Vec<String>,
    make: Make,
}

type Make = Box<dyn FnOnce(Undecodable) -> Box<dyn Start> + Send>;

/// Whether a handler that needs what the backend does not promise makes the worker invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// It does.
    Checked,
    /// It does not: the testing kit reports such a handler when it is run.
    #[cfg(feature = "testing")]
    Deferred,
}

/// What a builder comes to.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) options: WorkerOptions,
    pub(crate) routes: Routes,
    pub(crate) hooks: Hooks,
}

impl Worker {
    /// A builder for a worker of this client's store. Give the [state](WorkerBuilder::state) before the first
    /// handler.
    pub fn builder(client: Client) -> WorkerBuilder<()> {
        WorkerBuilder {
            client,
            state: Arc::new(()),
            options: WorkerOptions::default(),
            call_deadline: None,
            queues: Vec::new(),
            handlers: Vec::new(),
            layers: Vec::new(),
            undecodable: Undecodable::default(),
            hooks: Hooks::default(),
            delays: Vec::new(),
        }
    }
}

impl<S: Send + Sync + 'static> WorkerBuilder<S> {
    /// Checks everything and makes the worker. It does nothing until it is run.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) lists every fault: names, numbers out of range, a
    /// queue or kind that is given twice, no handler at all, options of a job that could never be enqueued,
    /// an argument of a handler that needs what the backend does not promise.
    pub fn build(self) -> Result<Worker, Error> {
        let Parts { client, options, routes, hooks } = self.into_parts(Needs::Checked)?;
        Ok(Worker::assemble(client, options, &routes, hooks))
    }

    pub(crate) fn into_parts(self, needs: Needs) -> Result<Parts, Error> {
        let mut faults = Vec::new();
        let mut options = self.options;
        options.queues = check::queues(self.queues, options.slots, &mut faults);
        options.call_deadline =
            self.call_deadline.unwrap_or_else(|| options.call_deadline.min(options.lease / 2));
        if options.label.is_empty() {
            options.label = default_label();
        }
        check::options(&options, self.client.backend().shortest_lease(), &mut faults);
        if needs == Needs::Checked {
            check::needs(&**self.client.backend(), &self.handlers, &mut faults);
        }
        for slip in
            check::slips(&options.queues, self.handlers.iter().filter_map(|known| known.queue.as_ref()))
        {
            gristmill_core::log!(warn, "{slip}");
        }
        let default = |known: &Registration| Some((known.kind.clone(), known.queue.clone()?));
        options.defaults = self.handlers.iter().filter_map(default).collect();
        let layers: Arc<[_]> = self.layers.into();
        let undecodable = self.undecodable;
        let delays = check::delays(self.delays, &self.handlers, &mut faults);
        let wrap = |make: Make| middleware::wrap(&layers, make(undecodable));
        let routes = check::routes(self.handlers, delays, &mut faults, wrap);
        if !faults.is_empty() {
            return Err(Error::invalid(format!("worker is not valid: {}", faults.join("; "))));
        }
        Ok(Parts { client: self.client, options, routes, hooks: self.hooks })
    }
}

impl<S> std::fmt::Debug for WorkerBuilder<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("options", &self.options)
            .field("queues", &self.queues)
            .field("kinds", &self.handlers.iter().map(|handler| &handler.kind).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
