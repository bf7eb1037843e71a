//! The adapters that erase a handler's types. One allocation an attempt: the box of its future.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use gristmill_core::{BoxFuture, Job, Outcome, RunError};
use tracing::Span;

use super::decode::{Undecodable, decode};
use super::panicked::panicked;
use super::returns::failed;
use super::route::{Attempted, Start};
use super::{AnyOutput, BlockingFn, Handler, HandlerArgs, HandlerFn, IntoOutcome, RawHandlerArgs};
use crate::JobContext;
use crate::span::SafeSpan;

/// One way to run a handler, its types still known.
trait Run: Send + Sync + 'static {
    fn run(&self, context: &JobContext) -> impl Future<Output = Attempted> + Send;
}

/// The one place where types are erased.
struct Erased<R>(Arc<Fork<R>>);

/// One of the owners of a handler, itself shared by attempts.
struct Fork<R>(Arc<R>);

fn erase<R: Run>(run: R) -> Box<dyn Start> {
    Box::new(Erased(Arc::new(Fork(Arc::new(run)))))
}

impl<R: Run> Start for Erased<R> {
    fn start(&self, context: JobContext) -> BoxFuture<'static, Attempted> {
        let run = self.0.clone();
        let span = span(&context);
        let attempt = async move {
            // Caught here so that middleware sees a panic as the outcome that it is.
            let attempted = AssertUnwindSafe(run.0.run(&context)).catch_unwind().await;
            attempted.unwrap_or_else(panicked)
        };
        // Wrapped, the future is twice as large, and it is moved into its box for each attempt.
        if span.is_disabled() { Box::pin(attempt) } else { Box::pin(span.around(attempt)) }
    }

    fn fork(&self) -> Box<dyn Start> {
        Box::new(Self(Arc::new(Fork(self.0.0.clone()))))
    }
}

/// Costs one load without a subscriber.
fn span(context: &JobContext) -> SafeSpan {
    SafeSpan::new(|| {
        tracing::info_span!(
            "job",
            id = %context.id(),
            kind = %context.kind(),
            queue = %context.queue(),
            attempt = context.attempt(),
        )
    })
}

/// An async function of a job and extractors.
struct Typed<F, S, Args> {
    function: F,
    state: Arc<S>,
    undecodable: Undecodable,
    args: PhantomData<fn() -> Args>,
}

pub(crate) fn typed<F, S, Args>(function: F, state: Arc<S>, undecodable: Undecodable) -> Box<dyn Start>
where
    S: Send + Sync + 'static,
    F: HandlerFn<Args>,
    F::Future: Send,
    F::Return: IntoOutcome<<Args::Job as Job>::Output>,
    Args: HandlerArgs<S> + 'static,
{
    erase(Typed { function, state, undecodable, args: PhantomData })
}

impl<F, S, Args> Run for Typed<F, S, Args>
where
    S: Send + Sync + 'static,
    F: HandlerFn<Args>,
    F::Future: Send,
    F::Return: IntoOutcome<<Args::Job as Job>::Output>,
    Args: HandlerArgs<S> + 'static,
{
    async fn run(&self, context: &JobContext) -> Attempted {
        let job = match decode(context, self.undecodable) {
            Ok(job) => job,
            Err(attempted) => return attempted,
        };
        match Args::extract(job, context, &self.state).await {
            Ok(args) => self.function.call(args).await.into_outcome(),
            Err(error) => failed(&*error),
        }
    }
}

/// A function that blocks a thread.
struct Blocking<F, S, Args> {
    function: Arc<F>,
    state: Arc<S>,
    undecodable: Undecodable,
    args: PhantomData<fn() -> Args>,
}

pub(crate) fn blocking<F, S, Args>(function: F, state: Arc<S>, undecodable: Undecodable) -> Box<dyn Start>
where
    S: Send + Sync + 'static,
    F: BlockingFn<Args>,
    F::Return: IntoOutcome<<Args::Job as Job>::Output>,
    Args: HandlerArgs<S> + 'static,
{
    let function = Arc::new(function);
    erase(Blocking { function, state, undecodable, args: PhantomData })
}

impl<F, S, Args> Run for Blocking<F, S, Args>
where
    S: Send + Sync + 'static,
    F: BlockingFn<Args>,
    F::Return: IntoOutcome<<Args::Job as Job>::Output>,
    Args: HandlerArgs<S> + 'static,
{
    async fn run(&self, context: &JobContext) -> Attempted {
        let job = match decode(context, self.undecodable) {
            Ok(job) => job,
            Err(attempted) => return attempted,
        };
        let args = match Args::extract(job, context, &self.state).await {
            Ok(args) => args,
            Err(error) => return failed(&*error),
        };
        let (function, span) = (self.function.clone(), SafeSpan::new(Span::current));
        let working = context.begin_work();
        let call = move || {
            let _working = working;
            span.within(|| function.call(args).into_outcome())
        };
        // The panic is caught on the thread itself, where its value and its backtrace are still at hand.
        let thread =
            tokio::task::spawn_blocking(|| catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked));
        match thread.await {
            Ok(attempted) => attempted,
            Err(_) => Outcome::Failed {
                error: RunError::new("the runtime was shut down before a thread took the job"),
                after: None,
            }
            .into(),
        }
    }
}

/// An async function of extractors alone: JSON in, JSON out.
struct Raw<F, S, Args> {
    function: F,
    state: Arc<S>,
    args: PhantomData<fn() -> Args>,
}

pub(crate) fn raw<F, S, Args>(function: F, state: Arc<S>) -> Box<dyn Start>
where
    S: Send + Sync + 'static,
    F: HandlerFn<Args>,
    F::Future: Send,
    F::Return: IntoOutcome<AnyOutput>,
    Args: RawHandlerArgs<S> + 'static,
{
    erase(Raw { function, state, args: PhantomData })
}

impl<F, S, Args> Run for Raw<F, S, Args>
where
    S: Send + Sync + 'static,
    F: HandlerFn<Args>,
    F::Future: Send,
    F::Return: IntoOutcome<AnyOutput>,
    Args: RawHandlerArgs<S> + 'static,
{
    async fn run(&self, context: &JobContext) -> Attempted {
        match Args::extract(context, &self.state).await {
            Ok(args) => self.function.call(args).await.into_outcome(),
            Err(error) => failed(&*error),
        }
    }
}

/// A [`Handler`].
struct Object<H> {
    handler: H,
    undecodable: Undecodable,
}

pub(crate) fn object<H: Handler>(handler: H, undecodable: Undecodable) -> Box<dyn Start> {
    erase(Object { handler, undecodable })
}

impl<H: Handler> Run for Object<H> {
    async fn run(&self, context: &JobContext) -> Attempted {
        match decode(context, self.undecodable) {
            Ok(job) => {
                let result = self.handler.handle(job, context.clone()).await;
                IntoOutcome::<<H::Job as Job>::Output>::into_outcome(result)
            }
            Err(attempted) => attempted,
        }
    }
}
