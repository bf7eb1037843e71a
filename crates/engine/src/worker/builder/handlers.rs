//! State, handlers, middleware, hooks.

use std::any::type_name;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Args, Capability, Event, EventKind, Job, RunError};

use super::{Registration, WorkerBuilder};
use crate::handler::route::{Mode, RetryDelay, Start};
use crate::handler::{
    AnyOutput, BlockingFn, Handler, HandlerArgs, HandlerFn, IntoOutcome, RawHandlerArgs, Undecodable, start,
};
use crate::middleware::Middleware;

impl WorkerBuilder<()> {
    /// The state that handlers take parts of with [`State`](crate::State). Only before the first handler: its
    /// type is fixed when the program is compiled.
    pub fn state<S: Send + Sync + 'static>(self, state: S) -> WorkerBuilder<S> {
        WorkerBuilder {
            client: self.client,
            state: Arc::new(state),
            options: self.options,
            call_deadline: self.call_deadline,
            queues: self.queues,
            handlers: self.handlers,
            layers: self.layers,
            undecodable: self.undecodable,
            hooks: self.hooks,
            delays: self.delays,
        }
    }
}

impl<S: Send + Sync + 'static> WorkerBuilder<S> {
    /// Adds a handler: an async function, or a closure that returns a future, of one to nine arguments. The
    /// first one is the job, whose kind selects the handler; the others are extractors
    /// ([`State`](crate::State), [`JobContext`](crate::JobContext), [`Attempt`](crate::Attempt), …).
    ///
    /// The attempt is stopped by dropping the future: at its timeout, a cancel, a lost lease or the end of
    /// the grace.
    pub fn handle<F, A>(self, handler: F) -> Self
    where
        F: HandlerFn<A>,
        A: HandlerArgs<S> + 'static,
        F::Future: Send,
        F::Return: IntoOutcome<<A::Job as Job>::Output>,
    {
        let state = self.state.clone();
        self.register::<A::Job>(Mode::Async, A::needs(), move |undecodable| {
            start::typed(handler, state, undecodable)
        })
    }

    /// Adds a handler that is not async, with the same arguments. It runs on a thread of its own, as many at
    /// once as the worker has slots, and cannot be stopped: look at
    /// [`JobContext::is_cancelled`](crate::JobContext::is_cancelled) in long loops. Its lease is kept until
    /// it returns.
    pub fn handle_blocking<F, A>(self, handler: F) -> Self
    where
        F: BlockingFn<A>,
        A: HandlerArgs<S> + 'static,
        F::Return: IntoOutcome<<A::Job as Job>::Output>,
    {
        let state = self.state.clone();
        self.register::<A::Job>(Mode::Blocking, A::needs(), move |undecodable| {
            start::blocking(handler, state, undecodable)
        })
    }

    /// Adds a handler that is a type of its own.
    pub fn handle_with<H: Handler>(self, handler: H) -> Self {
        self.register::<H::Job>(Mode::Async, Vec::new(), move |undecodable| {
            start::object(handler, undecodable)
        })
    }

    /// Adds a handler without a Rust type of its job: JSON in, JSON out. All arguments are extractors, one to
    /// nine; [`Args`] is the job's JSON. It may return a `Result` with anything that serialises, an
    /// [`Outcome`](gristmill_core::Outcome), or an [`Attempted`](crate::Attempted) to say how the run is
    /// recorded.
    ///
    /// ```
    /// use gristmill_core::{Args, JobError};
    /// use gristmill_engine::{Client, JobContext, Worker};
    ///
    /// let worker = Worker::builder(Client::new(gristmill_memory::Memory::new()))
    ///     .handle_raw("sum", async |args: Args, _: JobContext| -> Result<i64, JobError> {
    ///         let numbers: Vec<i64> = args.decode().map_err(JobError::discard)?;
    ///         Ok(numbers.iter().sum())
    ///     })
    ///     .build()?;
    /// # let _ = worker;
    /// # Ok::<(), gristmill_core::Error>(())
    /// ```
    pub fn handle_raw<F, A>(mut self, kind: impl Into<String>, handler: F) -> Self
    where
        F: HandlerFn<A>,
        A: RawHandlerArgs<S> + 'static,
        F::Future: Send,
        F::Return: IntoOutcome<AnyOutput>,
    {
        let state = self.state.clone();
        self.handlers.push(Registration {
            kind: kind.into(),
            job_type: type_name::<F>(),
            mode: Mode::Async,
            queue: None,
            needs: A::needs(),
            faults: Vec::new(),
            make: Box::new(move |_| start::raw(handler, state)),
        });
        self
    }

    fn register<J: Job>(
        mut self,
        mode: Mode,
        needs: Vec<Capability>,
        make: impl FnOnce(Undecodable) -> Box<dyn Start> + Send + 'static,
    ) -> Self {
        // What makes every enqueue of the kind fail is seen here, before the first one.
        let (queue, faults) = match J::options().prepare(self.client.mint_id(), J::KIND, Args::empty()) {
            Ok(job) => (Some(job.spec.queue), Vec::new()),
            Err(invalid) => (None, invalid.faults().to_vec()),
        };
        self.handlers.push(Registration {
            kind: J::KIND.to_owned(),
            job_type: type_name::<J>(),
            mode,
            queue,
            needs,
            faults,
            make: Box::new(make),
        });
        self
    }

    /// Calls `delay` after a failed attempt of this kind, with the attempt's number, from 1, and its error.
    /// It returns the time until the next attempt, at least 100 ms. A delay of the error's own
    /// ([`JobError::retry_after`](gristmill_core::JobError::retry_after)) comes first, the job's retry policy
    /// last. `max_attempts` holds in either case. A run that ends because its worker died follows the policy,
    /// which is stored with the job. `delay` runs in the worker's tasks and must not block; if it panics, the
    /// policy decides.
    ///
    /// ```
    /// use gristmill_core::JobError;
    /// use gristmill_engine::{Client, JobContext, Worker};
    /// use std::time::Duration;
    ///
    /// let worker = Worker::builder(Client::new(gristmill_memory::Memory::new()))
    ///     .handle_raw("email.welcome", async |_: JobContext| Ok::<_, JobError>(()))
    ///     .retry_with("email.welcome", |attempt, error| match error.message.contains("busy") {
    ///         true => Duration::from_secs(1),
    ///         false => Duration::from_secs(60) * u32::from(attempt),
    ///     })
    ///     .build()?;
    /// # let _ = worker;
    /// # Ok::<(), gristmill_core::Error>(())
    /// ```
    pub fn retry_with(
        mut self,
        kind: impl Into<String>,
        delay: impl Fn(u16, &RunError) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.delays.push((kind.into(), RetryDelay::new(delay)));
        self
    }

    /// What becomes of jobs whose args do not decode. Default: they are discarded.
    pub fn undecodable(mut self, policy: Undecodable) -> Self {
        self.undecodable = policy;
        self
    }

    /// Adds a middleware around every handler, in whatever order they are given. The first one added is the
    /// outermost.
    pub fn layer(mut self, middleware: impl Middleware) -> Self {
        self.layers.push(Arc::new(middleware));
        self
    }

    /// Calls `hook` on every event of this worker, after the fact is stored. It runs in the worker's own
    /// loops: it must not block. What it panics with is logged.
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.hooks.add(None, hook);
        self
    }

    /// As [`Self::on_event`], for one kind of event.
    pub fn on(mut self, kind: EventKind, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.hooks.add(Some(kind), hook);
        self
    }
}
