//! An attempt in a task of its own: its timeout, and its end whatever happens to the task.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use gristmill_core::dispose;

use super::attempt::{self, Attempting};
use super::executor::{free, hand_over};
use super::pace::Kind;
use super::running::key;
use super::shared::Shared;
use super::transaction;
use crate::cancel::StopWhy;
use crate::context::Left;
use crate::decide::timed_out;
use crate::ended::Ended;
use crate::handler::route::Mode;
use crate::{Attempted, JobContext};

/// After a timeout a cooperative handler gets a tenth of it more to come to its end, at most this.
const LONGEST_COOPERATION: Duration = Duration::from_secs(1);

/// An attempt and its end.
///
/// The handler's code has ended before the run is handed over: its destructors run first, and none of them panics
/// further.
pub(crate) struct Driven {
    attempting: Code,
    end: End,
}

/// The code of a handler, whose destructors may panic.
#[derive(Default)]
struct Code(Option<Attempting>);

impl Drop for Code {
    fn drop(&mut self) {
        dispose(self.0.take());
    }
}

/// Hands the run over exactly once: with what its handler said, or, when the task is aborted, by why it was stopped.
pub(super) struct End {
    pub(super) shared: Arc<Shared>,
    pub(super) kind: Arc<Kind>,
    pub(super) lane: usize,
    pub(super) context: JobContext,
    pub(super) said: Option<Attempted>,
    /// The store knows: only the slot is to be freed.
    pub(super) is_stored: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        let Self { shared, kind, lane, context, said, is_stored } = self;
        let delay = kind.route.delay.as_ref();
        shared.running.leave(key(context));
        if *is_stored {
            return free(shared, *lane, 1);
        }
        // With a transaction that was not committed, what its handler said is void.
        let is_void = context.has_transaction();
        if is_void {
            dispose(context.take_transaction());
        }
        let ended = match said.take().filter(|_| !is_void) {
            Some(attempted) => Ended::of(*lane, context, attempted, delay),
            None => Ended::dropped(*lane, context, timeout(shared, context), delay),
        };
        // What is known to be lost is not given back: it would only be counted as stale.
        if ended.is_give_back() && !shared.claims.holds(ended.item.lease.claim) {
            free(shared, *lane, 1);
        } else {
            hand_over(shared, vec![ended]);
        }
    }
}

fn timeout(shared: &Shared, context: &JobContext) -> Option<Duration> {
    context.attempt_state().job.spec.timeout.or(shared.options.timeout)
}

/// Gives it its task, known to the registry.
pub(crate) fn spawn(shared: &Arc<Shared>, mut driven: Driven) {
    let (context, mode) = (driven.end.context.clone(), driven.end.kind.route.mode);
    shared.running.enter(context, mode, || {
        let task = async move {
            if driven.end.said.is_none() {
                driven.end.said = Some(driven.run().await);
            }
            driven.finish().await;
        };
        shared.spawn(task).abort_handle()
    });
}

impl Driven {
    /// An attempt that has not begun.
    pub(crate) fn new(shared: &Arc<Shared>, kind: &Arc<Kind>, lane: usize, context: JobContext) -> Self {
        let end =
            End { shared: shared.clone(), kind: kind.clone(), lane, context, said: None, is_stored: false };
        Self { attempting: Code::default(), end }
    }

    /// An attempt that has been polled.
    pub(crate) fn going_on(
        shared: &Arc<Shared>,
        kind: &Arc<Kind>,
        lane: usize,
        context: JobContext,
        attempting: Attempting,
    ) -> Self {
        Self { attempting: Code(Some(attempting)), ..Self::new(shared, kind, lane, context) }
    }

    /// An attempt that has ended but for its transaction and the lines it logged.
    pub(crate) fn ended(
        shared: &Arc<Shared>,
        kind: &Arc<Kind>,
        lane: usize,
        context: JobContext,
        attempted: Attempted,
    ) -> Self {
        let mut driven = Self::new(shared, kind, lane, context);
        driven.end.said = Some(attempted);
        driven
    }

    /// Stores what the handler logged, then ends its transaction. What it said stands by now: a store that hangs does
    /// not turn a success into a timeout.
    async fn finish(mut self) {
        dispose(self.attempting.0.take());
        self.end.context.flush_log().await;
        match self.end.context.take_transaction() {
            Left::Nothing => {}
            // On the heap, for most attempts have none.
            left => Box::pin(transaction::conclude(self.end, left)).await,
        }
    }

    async fn run(&mut self) -> Attempted {
        if self.attempting.0.is_none() {
            match self.first_poll().await {
                Poll::Ready(attempted) => return attempted,
                Poll::Pending => {}
            }
        }
        let End { shared, kind, context, .. } = &self.end;
        let Some(attempting) = &mut self.attempting.0 else { unreachable!("a begun attempt has its future") };
        let rest = poll_fn(|task| attempt::poll(attempting, task));
        let (Some(deadline), Some(timeout)) = (context.attempt_state().deadline, timeout(shared, context))
        else {
            return rest.await;
        };
        let mut rest = std::pin::pin!(rest);
        if let Ok(attempted) = tokio::time::timeout_at(deadline, &mut rest).await {
            return attempted;
        }
        context.attempt_state().cancel.stop(StopWhy::Timeout);
        let said = match kind.route.mode {
            Mode::Blocking => Some(rest.await),
            Mode::Async => {
                let cooperation = (timeout / 10).min(LONGEST_COOPERATION);
                let cooperation = shared.options.cancel_grace.unwrap_or(cooperation);
                tokio::time::timeout(cooperation, rest).await.ok()
            }
        };
        timed_out(timeout, said)
    }

    /// Begins the attempt and polls it once, to learn how quick its kind is.
    async fn first_poll(&mut self) -> Poll<Attempted> {
        let began = Instant::now();
        let End { kind, context, .. } = &self.end;
        let polled = match attempt::begin(&*kind.route.start, context.clone()) {
            Err(attempted) => Poll::Ready(attempted),
            Ok(attempting) => {
                let attempting = self.attempting.0.insert(attempting);
                poll_fn(|task| Poll::Ready(attempt::poll(attempting, task))).await
            }
        };
        kind.pace.observe(began.elapsed(), polled.is_ready());
        polled
    }
}
