//! The code of a handler: begun, polled and timed. A panic is an outcome.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};
use std::time::Instant;

use gristmill_core::{BoxFuture, dispose};

use super::pace::Kind;
use super::timeouts::Timeouts;
use crate::cancel::StopWhy;
use crate::decide::timed_out;
use crate::handler::panicked::panicked;
use crate::handler::route::{Mode, Start};
use crate::{Attempted, JobContext};

/// The running code of a handler.
pub(super) type Attempting = BoxFuture<'static, Attempted>;

/// Starts the handler's future; a panic is an outcome.
pub(super) fn begin(start: &dyn Start, context: JobContext) -> Result<Attempting, Attempted> {
    catch_unwind(AssertUnwindSafe(|| start.start(context))).map_err(panicked)
}

/// Polls it; a panic is an outcome. After the answer it is not polled again.
pub(super) fn poll(attempting: &mut Attempting, context: &mut Context<'_>) -> Poll<Attempted> {
    catch_unwind(AssertUnwindSafe(|| attempting.as_mut().poll(context)))
        .unwrap_or_else(|panic| Poll::Ready(panicked(panic)))
}

/// The code of an attempt in a task of its own, begun or not. Its destructors may panic: that is contained.
#[derive(Default)]
pub(super) struct Code(pub(super) Option<Attempting>);

impl Drop for Code {
    fn drop(&mut self) {
        self.dispose();
    }
}

impl Code {
    /// Drops what is left of it.
    pub(super) fn dispose(&mut self) {
        dispose(self.0.take());
    }

    /// Runs it to its end, or to the end of what its timeout allows.
    pub(super) async fn run(&mut self, kind: &Kind, context: &JobContext, timeouts: Timeouts) -> Attempted {
        if self.0.is_none() {
            match self.first_poll(kind, context).await {
                Poll::Ready(attempted) => return attempted,
                Poll::Pending => {}
            }
        }
        let Some(attempting) = &mut self.0 else { unreachable!("a begun attempt has its future") };
        let rest = poll_fn(|task| poll(attempting, task));
        let attempt = context.attempt_state();
        let (Some(deadline), Some(timeout)) = (attempt.deadline, timeouts.of(&attempt.job.spec)) else {
            return rest.await;
        };
        let mut rest = std::pin::pin!(rest);
        if let Ok(attempted) = tokio::time::timeout_at(deadline, &mut rest).await {
            return attempted;
        }
        attempt.cancel.stop(StopWhy::Timeout);
        let said = match kind.route.mode {
            Mode::Blocking => Some(rest.await),
            Mode::Async => tokio::time::timeout(timeouts.cooperation(timeout), rest).await.ok(),
        };
        timed_out(timeout, said)
    }

    /// Begins the attempt and polls it once, to learn how quick its kind is.
    async fn first_poll(&mut self, kind: &Kind, context: &JobContext) -> Poll<Attempted> {
        let began = Instant::now();
        let polled = match begin(&*kind.route.start, context.clone()) {
            Err(attempted) => Poll::Ready(attempted),
            Ok(attempting) => {
                let attempting = self.0.insert(attempting);
                poll_fn(|task| Poll::Ready(poll(attempting, task))).await
            }
        };
        kind.pace.observe(began.elapsed(), polled.is_ready());
        polled
    }
}
