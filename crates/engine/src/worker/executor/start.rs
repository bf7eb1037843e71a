//! What the start of an attempt takes: its kind, its context, the hooks' event.

use std::sync::Arc;
use std::time::Instant;

use gristmill_core::{Event, EventKind, FetchedJob, Name, Timestamp};

use super::pace::{Kind, Kinds};
use super::ready::Ready;
use super::timeouts::Timeouts;
use crate::call::later;
use crate::handler::route::Start;
use crate::hooks::Hooks;
use crate::run_result::RunResult;
use crate::{Client, JobContext};

/// What is the same for every attempt of a worker.
#[derive(Debug)]
pub(crate) struct Starter {
    pub(crate) client: Client,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) hooks: Hooks,
    pub(crate) timeouts: Timeouts,
}

/// What the jobs of a chunk that are of one kind have in common, with counts of owners that no other thread
/// changes.
pub(crate) struct Local {
    pub(crate) kind: Arc<Kind>,
    pub(crate) start: Box<dyn Start>,
    client: Arc<Client>,
}

impl Starter {
    /// The client of the attempts of a chunk.
    pub(crate) fn client(&self) -> Arc<Client> {
        Arc::new(self.client.clone())
    }

    /// What the jobs of a kind need in this chunk; `None` for a kind without a handler.
    pub(crate) fn local(&self, kind: &Name, client: &Arc<Client>) -> Option<Local> {
        let kind = self.kinds.find(kind)?;
        Some(Local { kind: kind.clone(), start: kind.route.start.fork(), client: client.clone() })
    }

    /// The end of a job without a handler.
    pub(crate) fn no_handler(&self, ready: Ready) -> RunResult {
        self.kinds.warn_unknown(&ready.job.spec.kind);
        RunResult::no_handler(ready)
    }

    /// Makes the context of an attempt.
    pub(crate) fn context(&self, local: &Local, job: FetchedJob, started_at: Timestamp) -> JobContext {
        let deadline = self.timeouts.of(&job.spec).map(later);
        JobContext::new(job, local.client.clone(), started_at, deadline)
    }

    /// Notifies the hooks that an attempt starts.
    pub(crate) fn announce(&self, context: &JobContext) {
        if !self.hooks.is_empty() {
            let mut event = Event::new(EventKind::Started, context.id());
            event.job_kind = Some(context.kind().clone());
            event.queue = Some(context.queue().clone());
            event.attempt = Some(context.attempt());
            self.hooks.emit(&event);
        }
    }
}

/// One reading of the clock a job: the end of one is the start of the next.
pub(crate) struct Stopwatch {
    base: Instant,
    base_at: Timestamp,
    now: Instant,
}

impl Stopwatch {
    pub(crate) fn start(starter: &Starter) -> Self {
        let now = Instant::now();
        Self { base: now, base_at: starter.client.now(), now }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn tick(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        self.base_at + self.now.duration_since(self.base)
    }
}
