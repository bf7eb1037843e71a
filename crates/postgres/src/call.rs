//! How a call runs: in a task of its own, within its deadline, begun anew after a collision.
//!
//! A task of its own means that dropping the caller's future does not cut a transaction in two: the call is done, and
//! nobody hears of it. It also means that the caller needs no tokio runtime around it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendError, BackendErrorKind, Call, Reply};
use tokio::runtime::Handle;

use crate::error::{Answer, Fail, timed_out, unavailable};
use crate::handle::{Inner, Postgres};

/// How long a call may take that has no deadline of its own.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// Longer deadlines count as this one.
const LONGEST_DEADLINE: Duration = Duration::from_secs(24 * 3600);
/// How often a transaction is begun anew that was in another's way.
const TRIES: u32 = 8;

/// Whether a call that got no answer may have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It reads.
    None,
    /// It writes.
    Write,
}

impl Postgres {
    /// Runs a call. `work` is begun anew after a collision, so it changes nothing but the store.
    pub(crate) fn run<T, F, Work>(&self, call: Call, effect: Effect, work: F) -> Reply<'_, T>
    where
        T: Send + 'static,
        F: Fn(Arc<Inner>, Call) -> Work + Send + 'static,
        Work: Future<Output = Answer<T>> + Send,
    {
        self.run_on(&self.inner.runtime, call, effect, work)
    }

    /// Runs a call of a worker's life on the thread for heartbeats, which nothing else holds up.
    pub(crate) fn run_apart<T, F, Work>(&self, call: Call, effect: Effect, work: F) -> Reply<'_, T>
    where
        T: Send + 'static,
        F: Fn(Arc<Inner>, Call) -> Work + Send + 'static,
        Work: Future<Output = Answer<T>> + Send,
    {
        self.run_on(self.inner.apart.handle(), call, effect, work)
    }

    fn run_on<T, F, Work>(&self, runtime: &Handle, call: Call, effect: Effect, work: F) -> Reply<'_, T>
    where
        T: Send + 'static,
        F: Fn(Arc<Inner>, Call) -> Work + Send + 'static,
        Work: Future<Output = Answer<T>> + Send,
    {
        let deadline = call.deadline.unwrap_or(DEFAULT_DEADLINE).min(LONGEST_DEADLINE);
        if deadline.is_zero() {
            return Box::pin(async { Err(timed_out()) });
        }
        let inner = Arc::clone(&self.inner);
        let task = runtime.spawn(async move {
            let answer = tokio::time::timeout(deadline, repeated(inner, call, work)).await;
            answer.unwrap_or_else(|_| Err(Fail::Late))
        });
        Box::pin(async move {
            let fail = match task.await {
                Ok(answer) => match answer {
                    Ok(answer) => return Ok(answer),
                    Err(fail) => fail,
                },
                Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
                Err(_) => {
                    Fail::Refused(unavailable("the runtime of the backend was shut down").maybe_stored())
                }
            };
            if matches!(&fail, Fail::Refused(error) if error.kind() == BackendErrorKind::WorkerGone) {
                // The store may be another one, in which no worker of this process is known.
                self.inner.forget();
            }
            let is_open = effect == Effect::Write && fail.leaves_open();
            let error = BackendError::from(fail);
            Err(if is_open { error.maybe_stored() } else { error })
        })
    }
}

async fn repeated<T, F, Work>(inner: Arc<Inner>, call: Call, work: F) -> Answer<T>
where
    F: Fn(Arc<Inner>, Call) -> Work,
    Work: Future<Output = Answer<T>>,
{
    let mut tries = 1;
    loop {
        match work(Arc::clone(&inner), call).await {
            Err(fail) if fail.is_collision() && tries < TRIES => tries += 1,
            Err(Fail::Exchanged) if tries < TRIES => {
                tracing::warn!("the store was exchanged under this process, which learns its queues anew");
                inner.forget();
                tries += 1;
            }
            // Others had a turn with the connection. The deadline ends it.
            Err(fail) if fail.is_end_of_turn() => {}
            answer => return answer,
        }
    }
}
