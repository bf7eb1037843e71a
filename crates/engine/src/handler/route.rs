//! The handlers of a worker by kind, with their types erased: what the executor starts.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Backend, BoxFuture, Capability, Ending, Name, Outcome, RunError, contain};

use crate::JobContext;

/// What an attempt came to: the outcome, and the ending it is recorded with where that is finer
/// (`undecodable`, `panic`, …).
#[derive(Debug, Clone, PartialEq)]
pub struct Attempted {
    /// What becomes of the job.
    pub outcome: Outcome,
    /// How the run is recorded.
    pub ending: Ending,
}

impl From<Outcome> for Attempted {
    fn from(outcome: Outcome) -> Self {
        Self { ending: outcome.ending(), outcome }
    }
}

/// How a handler's code runs, for the executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A future: dropped to stop it.
    Async,
    /// A future that waits for a blocking thread: cannot be stopped, keeps its lease until it returns.
    Blocking,
}

/// A handler with middleware around it and state within: starts one attempt.
pub(crate) trait Start: Send + Sync + 'static {
    /// The attempt. Decodes the args first; undecodable ones never reach the user's code.
    fn start(&self, context: JobContext) -> BoxFuture<'static, Attempted>;

    /// The same handler with a count of owners of its own: each attempt holds one, and threads that change
    /// the same count slow each other down.
    fn fork(&self) -> Box<dyn Start>;
}

type DelayFn = dyn Fn(u16, &RunError) -> Duration + Send + Sync;

/// When a failed attempt is tried again, by the user's own function of its number and error.
#[derive(Clone)]
pub(crate) struct RetryDelay(Arc<DelayFn>);

impl RetryDelay {
    pub(crate) fn new(delay: impl Fn(u16, &RunError) -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(delay))
    }

    /// What the function says; nothing where it panics, so that the job's own policy decides.
    pub(crate) fn after(&self, attempt: u16, error: &RunError) -> Option<Duration> {
        let asked = contain(|| (self.0)(attempt, error));
        if asked.is_none() {
            gristmill_core::log!(
                error,
                name: "retry_delay_panicked", target: "gristmill::worker", attempt,
                "a function of `retry_with` panicked: the job's own retry policy decides"
            );
        }
        asked
    }
}

/// One registered handler.
pub(crate) struct Route {
    pub(crate) start: Box<dyn Start>,
    pub(crate) mode: Mode,
    /// The user's own delay after a failed attempt.
    pub(crate) delay: Option<RetryDelay>,
    /// The user's type, for messages about duplicates.
    pub(crate) job_type: &'static str,
    /// What the backend must promise for its arguments.
    #[cfg(feature = "testing")]
    pub(crate) needs: Vec<Capability>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("job_type", &self.job_type)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// Why a handler with these needs cannot run over a backend; `None` if it can.
pub(crate) fn obstacle(kind: &str, needs: &[Capability], backend: &dyn Backend) -> Option<String> {
    let capabilities = backend.capabilities();
    let need = needs.iter().find(|need| !capabilities.has(**need))?;
    let backend = backend.name();
    Some(format!("the handler of `{kind}` needs `{need}`, which the {backend} backend does not promise"))
}

/// The handlers of a worker.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_kind: HashMap<Name, Arc<Route>>,
}

impl Routes {
    /// Adds a handler.
    ///
    /// # Errors
    /// The handler that is there already.
    pub(crate) fn insert(&mut self, kind: Name, route: Route) -> Result<(), Arc<Route>> {
        if let Some(existing) = self.by_kind.get(&kind) {
            return Err(existing.clone());
        }
        self.by_kind.insert(kind, Arc::new(route));
        Ok(())
    }

    /// The handler of a kind.
    pub(crate) fn find(&self, kind: &Name) -> Option<&Arc<Route>> {
        self.by_kind.get(kind)
    }

    /// All kinds, for the worker's registration.
    pub(crate) fn kinds(&self) -> Vec<Name> {
        self.by_kind.keys().cloned().collect()
    }
}
