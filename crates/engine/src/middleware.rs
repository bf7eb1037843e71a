//! What wraps every attempt.

use std::future::Future;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use gristmill_core::{BoxFuture, Ending, Outcome, dispose};

use crate::JobContext;
use crate::handler::route::{Attempted, Start};

/// Wraps every attempt of a worker's handlers: sees it before and after, may answer in its place.
///
/// Every `async fn(run: &mut JobRun, next: Next<'_>) -> Outcome` is one; closures are made one by
/// [`from_fn`]. The first one added is the outermost. A panic of the handler arrives as a failure whose
/// [ending](JobRun::ending) is `panic`; one of a middleware passes through those around it and is caught by
/// the worker.
///
/// ```
/// use gristmill_core::Outcome;
/// use gristmill_engine::middleware::{JobRun, Next};
///
/// async fn logged(run: &mut JobRun, next: Next<'_>) -> Outcome {
///     let outcome = next.run(run).await;
///     tracing::info!(job = %run.context().id(), ending = %outcome.ending(), "attempt ended");
///     outcome
/// }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Runs one attempt, usually by calling [`Next::run`] once.
    fn call<'a>(&'a self, run: &'a mut JobRun, next: Next<'a>) -> BoxFuture<'a, Outcome>;
}

/// An attempt on its way through the middleware.
#[derive(Debug)]
pub struct JobRun {
    context: JobContext,
    /// How the handler's run is recorded, where that is finer than its outcome.
    handled: Option<(Discriminant<Outcome>, Ending)>,
}

/// The rest of the way to the handler.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    layers: &'a [Arc<dyn Middleware>],
    handler: &'a dyn Start,
}

impl JobRun {
    /// The attempt.
    pub fn context(&self) -> &JobContext {
        &self.context
    }

    /// How the handler's run ended, once it has: finer than the outcome, such as `panic` or `undecodable`.
    pub fn ending(&self) -> Option<Ending> {
        self.handled.map(|(_, ending)| ending)
    }
}

impl Next<'_> {
    /// Goes on to the next middleware, in the end to the handler.
    ///
    /// # Cancel safety
    /// Dropped, the attempt is stopped where it is.
    pub async fn run(self, run: &mut JobRun) -> Outcome {
        if let Some((first, rest)) = self.layers.split_first() {
            let mut call = first.call(run, Next { layers: rest, ..self });
            let outcome = call.as_mut().await;
            // What it has come to stands, whatever its destructor does.
            dispose(call);
            return outcome;
        }
        let attempted = self.handler.start(run.context.clone()).await;
        run.handled = Some((discriminant(&attempted.outcome), attempted.ending));
        attempted.outcome
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

/// Named async functions. The lifetime in the trait lets the future borrow the arguments.
trait AsyncMiddleware<'a>: Send + Sync + 'static {
    type Future: Future<Output = Outcome> + Send + 'a;

    fn call(&self, run: &'a mut JobRun, next: Next<'a>) -> Self::Future;
}

impl<'a, F, Returned> AsyncMiddleware<'a> for F
where
    F: Fn(&'a mut JobRun, Next<'a>) -> Returned + Send + Sync + 'static,
    Returned: Future<Output = Outcome> + Send + 'a,
{
    type Future = Returned;

    fn call(&self, run: &'a mut JobRun, next: Next<'a>) -> Returned {
        self(run, next)
    }
}

impl<F> Middleware for F
where
    F: for<'a> AsyncMiddleware<'a>,
{
    fn call<'a>(&'a self, run: &'a mut JobRun, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(AsyncMiddleware::call(self, run, next))
    }
}

/// A middleware from a closure that returns a boxed future.
///
/// ```
/// use gristmill_engine::middleware::{Middleware, from_fn};
///
/// let counted = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
/// let layer = from_fn(move |run, next| {
///     counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///     Box::pin(next.run(run))
/// });
/// # fn takes(_: impl Middleware) {}
/// # takes(layer);
/// ```
pub fn from_fn<F>(function: F) -> FromFn<F>
where
    F: for<'a> Fn(&'a mut JobRun, Next<'a>) -> BoxFuture<'a, Outcome> + Send + Sync + 'static,
{
    FromFn(function)
}

/// A closure as a middleware; from [`from_fn`].
#[derive(Debug, Clone, Copy)]
pub struct FromFn<F>(F);

impl<F> Middleware for FromFn<F>
where
    F: for<'a> Fn(&'a mut JobRun, Next<'a>) -> BoxFuture<'a, Outcome> + Send + Sync + 'static,
{
    fn call<'a>(&'a self, run: &'a mut JobRun, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        (self.0)(run, next)
    }
}

/// A handler with its middleware.
struct Layered(Arc<Fork>);

/// One of the owners of the layers, itself shared by attempts.
struct Fork(Arc<Layers>);

struct Layers {
    layers: Arc<[Arc<dyn Middleware>]>,
    handler: Box<dyn Start>,
}

/// Wraps a handler; without middleware it stays as it is.
pub(crate) fn wrap(layers: &Arc<[Arc<dyn Middleware>]>, handler: Box<dyn Start>) -> Box<dyn Start> {
    if layers.is_empty() {
        return handler;
    }
    Box::new(Layered(Arc::new(Fork(Arc::new(Layers { layers: layers.clone(), handler })))))
}

impl Start for Layered {
    fn start(&self, context: JobContext) -> BoxFuture<'static, Attempted> {
        let fork = self.0.clone();
        Box::pin(async move {
            let mut run = JobRun { context, handled: None };
            let outcome = Next { layers: &fork.0.layers, handler: &*fork.0.handler }.run(&mut run).await;
            // The handler's finer ending stands unless a middleware made something else of the outcome.
            match run.handled {
                Some((handled, ending)) if handled == discriminant(&outcome) => Attempted { outcome, ending },
                _ => outcome.into(),
            }
        })
    }

    fn fork(&self) -> Box<dyn Start> {
        Box::new(Self(Arc::new(Fork(self.0.0.clone()))))
    }
}
