//! One attempt, in order.
//!
//! ```text
//! admit        the job has its slot, and its turn in the task of its chunk     executor, batch
//!   ▼
//! start        its context is made, the hooks are notified                     start
//!   ▼
//! poll         a quick kind: once, here                    in_place
//!   │ │        another kind, or not ended by that poll:    in_a_task, code
//!   │ ▼        in a task of its own, up to its timeout
//!   │ store    its log lines; its transaction commits or rolls back            transaction
//!   ▼ ▼
//! end          what it came to becomes the end of its run                      decide
//!   ▼
//! hand over    its end to the completer, its slot to the next job              executor
//! ```
//!
//! Whatever unwinds or is aborted on the way, the run is handed over exactly once: by the drop of [`InPlace`]
//! or [`End`].

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gristmill_core::{Outcome, dispose};

use super::code::{self, Code};
use super::executor::Executor;
use super::pace::Kind;
use super::ready::Ready;
use super::running::key;
use super::start::{Local, Stopwatch};
use super::transaction::{self, Closing, still_in_use};
use crate::context::Left;
use crate::ended::Ended;
use crate::{Attempted, JobContext};

/// Starts an attempt and polls it once in this task. One that needs more than that gets a task of its own.
pub(super) fn in_place(
    executor: &Arc<Executor>,
    local: &Local,
    Ready { lane, job }: Ready,
    clock: &mut Stopwatch,
) -> Option<Ended> {
    // Start.
    let Local { kind, start, .. } = local;
    let context = executor.starter.context(local, job, clock.timestamp());
    let given = context.clone();
    let mut in_place = InPlace { executor, kind, lane, context: Some(context), said: None };
    executor.starter.announce(&given);
    // Poll.
    let began = clock.now();
    let mut going_on = None;
    match code::begin(&**start, given) {
        Err(attempted) => in_place.said = Some(attempted),
        // Its waker does nothing: the task it moves to polls it again at once.
        Ok(mut attempting) => match code::poll(&mut attempting, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(attempted) => {
                in_place.said = Some(attempted);
                dispose(attempting);
            }
            Poll::Pending => going_on = Some(attempting),
        },
    }
    kind.pace.observe(clock.tick().duration_since(began), going_on.is_none());
    // End, unless there is more to do. The caller hands it over with others.
    let said = in_place.said.take();
    let context = in_place.context.take().expect("only its end takes it");
    match said {
        Some(attempted) if !context.has_more_to_store() => {
            Some(Ended::of(lane, &context, attempted, kind.route.delay.as_ref()))
        }
        said => {
            spawn(executor, kind, lane, context, Code(going_on), said);
            None
        }
    }
}

/// Starts an attempt in a task of its own.
pub(super) fn in_a_task(executor: &Arc<Executor>, local: &Local, Ready { lane, job }: Ready) {
    let starter = &executor.starter;
    let context = starter.context(local, job, starter.client.now());
    context.is_watched_by(&executor.at_work);
    starter.announce(&context);
    spawn(executor, &local.kind, lane, context, Code::default(), None);
}

/// Gives an attempt its task, known to the registry.
fn spawn(
    executor: &Arc<Executor>,
    kind: &Arc<Kind>,
    lane: usize,
    context: JobContext,
    code: Code,
    said: Option<Attempted>,
) {
    let registered = context.clone();
    let end = End { executor: executor.clone(), kind: kind.clone(), lane, context, said, is_stored: false };
    let driven = Driven { code, end };
    executor
        .running
        .enter(registered, kind.route.mode, || executor.host.spawn(driven.attempt()).abort_handle());
}

/// An attempt in a task of its own. Its code has ended before the run is handed over: the destructors of the
/// code run first.
struct Driven {
    code: Code,
    end: End,
}

impl Driven {
    async fn attempt(mut self) {
        let End { executor, kind, context, said, .. } = &mut self.end;
        if said.is_none() {
            *said = Some(self.code.run(kind, context, executor.starter.timeouts).await);
        }
        // What it said stands by now: a store that hangs does not turn a success into a timeout.
        self.code.dispose();
        context.flush_log().await;
        match context.take_transaction() {
            Left::Nothing => {}
            // On the heap, for most attempts have none.
            left => Box::pin(self.end.conclude(left)).await,
        }
    }
}

/// An attempt between its start and its end in the task of its chunk.
struct InPlace<'a> {
    executor: &'a Arc<Executor>,
    kind: &'a Kind,
    lane: usize,
    /// `None` once it has passed on.
    context: Option<JobContext>,
    said: Option<Attempted>,
}

impl Drop for InPlace<'_> {
    fn drop(&mut self) {
        let Some(context) = self.context.take() else { return };
        let delay = self.kind.route.delay.as_ref();
        let ended = match self.said.take() {
            Some(attempted) => Ended::of(self.lane, &context, attempted, delay),
            None => Ended::dropped(self.lane, &context, None, delay),
        };
        self.executor.hand_over(vec![ended]);
    }
}

/// Hands the run over: with what its handler said, or, when the task is aborted, by why it was stopped.
struct End {
    executor: Arc<Executor>,
    kind: Arc<Kind>,
    lane: usize,
    context: JobContext,
    said: Option<Attempted>,
    /// The store has the end: only the slot is to be freed.
    is_stored: bool,
}

impl End {
    /// Ends the transaction. A success is stored by its commit.
    ///
    /// # Cancel safety
    /// Dropped before the commit begins the transaction is rolled back and the run ends as one that was
    /// stopped. Dropped later the lease is given back, which the store refuses if it has committed.
    async fn conclude(&mut self, left: Left) {
        let completes =
            self.said.as_ref().is_some_and(|said| matches!(said.outcome, Outcome::Completed { .. }));
        let Executor { settle, running, finishes, .. } = &*self.executor;
        match left {
            Left::Open(transaction) if completes => {
                let Some(said) = self.said.take() else { return };
                // No longer a handler that can be stopped: from here on the store decides.
                running.leave(key(&self.context));
                let (lane, context, delay) = (self.lane, &self.context, self.kind.route.delay.as_ref());
                let closing = Closing { settle, finishes, lane, context, delay };
                self.said = closing.commit(transaction, said).await;
                self.is_stored = self.said.is_none();
            }
            Left::Open(transaction) => {
                transaction::roll_back(&settle.store, &self.context, transaction).await;
            }
            Left::Kept if completes => self.said = Some(still_in_use()),
            Left::Kept | Left::Nothing => {}
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let Self { executor, kind, lane, context, said, is_stored } = self;
        let delay = kind.route.delay.as_ref();
        executor.running.leave(key(context));
        if *is_stored {
            return executor.free(*lane, 1);
        }
        // With a transaction that was not committed, what its handler said is void.
        let is_void = context.has_transaction();
        if is_void {
            dispose(context.take_transaction());
        }
        let timeout = || executor.starter.timeouts.of(&context.attempt_state().job.spec);
        let ended = match said.take().filter(|_| !is_void) {
            Some(attempted) => Ended::of(*lane, context, attempted, delay),
            None => Ended::dropped(*lane, context, timeout(), delay),
        };
        // What is known to be lost is not given back: it would only be counted as stale.
        if ended.is_give_back() && !executor.claims.holds(ended.item.lease.claim) {
            executor.free(*lane, 1);
        } else {
            executor.hand_over(vec![ended]);
        }
    }
}
