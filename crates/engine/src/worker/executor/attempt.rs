//! One attempt, in order.
//!
//! ```text
//! admit         executor.rs, batch.rs   the job has its slot, and its turn in the task of its chunk
//!   ▼
//! start         start.rs                makes its context, notifies the hooks
//!   ├─ a quick kind ─▶ first poll       in_place: in the task of its chunk
//!   │                    ├─ ready, nothing else to store ──────────────┐
//!   │                    ├─ ready, log lines or a transaction ─┐       │
//!   │                    ▼ not ready                           │       │
//!   └─ other kinds ──▶ run              code.rs: in a task of its own, until its timeout and the time
//!                        │              to cooperate have passed; blocking code, until it returns
//!                        ▼                                     ▼       │
//!                      store            context/log.rs, transaction.rs: its log lines; its transaction
//!                        │  │           commits or rolls back          │
//!                        │  └ a commit stores the end: only the slot is freed
//!                        ▼                                             ▼
//!                      decide           decide.rs: its outcome becomes a RunResult
//!                        ▼
//!                      hand over        executor.rs: the result to the completer, the slot to the next job
//!
//! panic         of the handler: an outcome, in handler/start.rs or code.rs; goes on at `store`
//! cancel, stop  signals the attempt; its task is aborted if it does not end in time (attempt_tasks.rs)
//! abort         drops the code, then HandOver: decided by why it was stopped; a claim that is lost only
//!               frees the slot
//! ```
//!
//! A run leaves here once: its result goes to the completer, or the commit has stored it, or its claim is
//! lost and only the slot is freed. On an unwind or an abort the drops of [`InPlace`] and [`HandOver`] do
//! this.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gristmill_core::{Outcome, dispose};

use super::attempt_tasks::key;
use super::code::{self, Code};
use super::pace::Kind;
use super::ready::Ready;
use super::start::{Local, Stopwatch};
use super::transaction::{self, Closing, still_in_use};
use crate::context::Left;
use crate::run_result::RunResult;
use crate::worker::executor::Executor;
use crate::{Attempted, JobContext};

/// Starts an attempt and polls it once in this task. One that needs more than that gets a task of its own.
pub(super) fn in_place(
    executor: &Arc<Executor>,
    local: &Local,
    Ready { lane, job }: Ready,
    clock: &mut Stopwatch,
) -> Option<RunResult> {
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
    let InPlace { context, said, .. } = &mut in_place;
    let result = context.as_ref().filter(|context| !context.has_more_to_store()).and_then(|context| {
        said.take().map(|attempted| RunResult::of(lane, context, attempted, kind.route.delay.as_ref()))
    });
    // The guard lets go only when the result is there, or another guard takes over.
    let context = in_place.context.take()?;
    if result.is_none() {
        let said = in_place.said.take();
        spawn(
            HandOver {
                executor: executor.clone(),
                kind: kind.clone(),
                lane,
                context,
                said,
                is_stored: false,
            },
            Code(going_on),
        );
    }
    result
}

/// Starts an attempt in a task of its own.
pub(super) fn in_a_task(executor: &Arc<Executor>, local: &Local, Ready { lane, job }: Ready) {
    let starter = &executor.starter;
    let (executor, kind) = (executor.clone(), local.kind.clone());
    let context = starter.context(local, job, starter.client.now());
    let hand_over = HandOver { executor, kind, lane, context, said: None, is_stored: false };
    hand_over.context.is_watched_by(&hand_over.executor.at_work);
    starter.announce(&hand_over.context);
    spawn(hand_over, Code::default());
}

/// Gives an attempt its task, known to the registry.
fn spawn(hand_over: HandOver, code: Code) {
    let (executor, registered) = (hand_over.executor.clone(), hand_over.context.clone());
    let mode = hand_over.kind.route.mode;
    let driven = Driven { code, hand_over };
    executor.running.enter(registered, mode, || executor.host.spawn(driven.attempt()).abort_handle());
}

/// An attempt in a task of its own. Its code has ended before the run is handed over: the destructors of the
/// code run first.
struct Driven {
    code: Code,
    hand_over: HandOver,
}

impl Driven {
    async fn attempt(mut self) {
        let HandOver { executor, kind, context, said, .. } = &mut self.hand_over;
        if said.is_none() {
            *said = Some(self.code.run(kind, context, executor.starter.timeouts).await);
        }
        // What it said stands by now: a store that hangs does not turn a success into a timeout.
        self.code.dispose();
        context.flush_log().await;
        match context.take_transaction() {
            Left::Nothing => {}
            // On the heap, for most attempts have none.
            left => Box::pin(self.hand_over.conclude(left)).await,
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
            Some(attempted) => RunResult::of(self.lane, &context, attempted, delay),
            None => RunResult::dropped(self.lane, &context, None, delay),
        };
        self.executor.hand_over(vec![ended]);
    }
}

/// Hands the run over when it is dropped: with what its handler said, or, when the task is aborted, by why it
/// was stopped.
struct HandOver {
    executor: Arc<Executor>,
    kind: Arc<Kind>,
    lane: usize,
    context: JobContext,
    said: Option<Attempted>,
    /// The store has the end: only the slot is to be freed.
    is_stored: bool,
}

impl HandOver {
    /// Ends the transaction. A success is stored by its commit.
    ///
    /// # Cancel safety
    /// Dropped before the commit begins, the transaction is rolled back and the run ends as one that was
    /// stopped. Dropped later, the lease is given back; if the commit was stored, the store replies
    /// [`AlreadyAccepted`](gristmill_core::Finished::AlreadyAccepted) and changes nothing.
    async fn conclude(&mut self, left: Left) {
        let completes =
            self.said.as_ref().is_some_and(|said| matches!(said.outcome, Outcome::Completed { .. }));
        let Executor { answers, running, finishes, .. } = &*self.executor;
        match left {
            Left::Open(transaction) if completes => {
                let Some(said) = self.said.take() else { return };
                // No longer a handler that can be stopped: from here on the store decides.
                running.leave(key(&self.context));
                let (lane, context, delay) = (self.lane, &self.context, self.kind.route.delay.as_ref());
                let closing = Closing { answers, finishes, lane, context, delay };
                self.said = closing.commit(transaction, said).await;
                self.is_stored = self.said.is_none();
            }
            Left::Open(transaction) => {
                transaction::roll_back(&answers.store, &self.context, transaction).await;
            }
            Left::Kept if completes => self.said = Some(still_in_use()),
            Left::Kept | Left::Nothing => {}
        }
    }
}

impl Drop for HandOver {
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
            Some(attempted) => RunResult::of(*lane, context, attempted, delay),
            None => RunResult::dropped(*lane, context, timeout(), delay),
        };
        // What is known to be lost is not given back: it would only be counted as stale.
        if ended.is_give_back() && !executor.claims.holds(ended.item.lease.claim) {
            executor.free(*lane, 1);
        } else {
            executor.hand_over(vec![ended]);
        }
    }
}
