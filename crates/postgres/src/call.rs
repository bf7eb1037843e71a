//! How a call runs: in a task of its own, within its deadline, begun anew after a collision.
//!
//! ```text
//! call ─ connection ─ statements ─┬─ commit ─ reply
//!          ▲                      ├─ a lock is held for longer than a turn: wait without a connection ─┐
//!          └──────────────────────┼────────────────────────────────────────────────────────────────────┘
//!                                 └─ deadline: cancel the statement ─ error
//! ```
//!
//! Because a call is a task of its own, dropping the caller's future does not cut a transaction in two. The
//! call completes and its result is lost. The caller also needs no tokio runtime.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
/// The first wait of a call that met a lock, without a connection; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest such wait, and so the most by which a call is late after the lock is gone.
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// Whether a call that got no answer may have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It reads.
    None,
    /// It writes.
    Write,
}

/// Where a call waits that has met a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Behind all others that wait: together they may hold a part of the connections.
    Shared,
    /// In none. There are few such calls at a time, and what they wait for is not what enqueues and verbs
    /// wait for.
    None,
}

impl Postgres {
    /// Runs a call. `work` is begun anew after a collision, so it changes nothing but the store.
    pub(crate) fn run<T, F, Work>(&self, call: Call, effect: Effect, work: F) -> Reply<'_, T>
    where
        T: Send + 'static,
        F: Fn(Arc<Inner>, Call) -> Work + Send + 'static,
        Work: Future<Output = Answer<T>> + Send,
    {
        self.run_on(&self.inner.runtime, Line::Shared, call, effect, work)
    }

    /// Runs a call that keeps the jobs of others moving, past all that wait for locks.
    pub(crate) fn run_past<T, F, Work>(&self, call: Call, effect: Effect, work: F) -> Reply<'_, T>
    where
        T: Send + 'static,
        F: Fn(Arc<Inner>, Call) -> Work + Send + 'static,
        Work: Future<Output = Answer<T>> + Send,
    {
        self.run_on(&self.inner.runtime, Line::None, call, effect, work)
    }

    /// Runs a call of a worker's life on the thread for heartbeats, which nothing else holds up.
    pub(crate) fn run_apart<T, F, Work>(&self, call: Call, effect: Effect, work: F) -> Reply<'_, T>
    where
        T: Send + 'static,
        F: Fn(Arc<Inner>, Call) -> Work + Send + 'static,
        Work: Future<Output = Answer<T>> + Send,
    {
        self.run_on(self.inner.apart.handle(), Line::None, call, effect, work)
    }

    fn run_on<T, F, Work>(
        &self,
        runtime: &Handle,
        line: Line,
        call: Call,
        effect: Effect,
        work: F,
    ) -> Reply<'_, T>
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
        let task = runtime.spawn(async move { within(deadline, repeated(inner, line, call, work)).await });
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
            if fail.is_read_only() {
                self.inner.servers.refused();
            }
            let is_open = effect == Effect::Write && fail.leaves_open();
            let error = BackendError::from(fail);
            Err(if is_open { error.maybe_stored() } else { error })
        })
    }
}

tokio::task_local! {
    /// When the call of this task ends.
    static END: Instant;
}

/// Runs a call's work until its deadline.
pub(crate) async fn within<T>(deadline: Duration, work: impl Future<Output = Answer<T>>) -> Answer<T> {
    let work = END.scope(Instant::now() + deadline, work);
    tokio::time::timeout(deadline, work).await.unwrap_or(Err(Fail::Late))
}

/// How long the call of this task may still take.
pub(crate) fn time_left() -> Duration {
    END.try_with(|end| end.saturating_duration_since(Instant::now())).unwrap_or(DEFAULT_DEADLINE)
}

async fn repeated<T, F, Work>(inner: Arc<Inner>, line: Line, call: Call, work: F) -> Answer<T>
where
    F: Fn(Arc<Inner>, Call) -> Work,
    Work: Future<Output = Answer<T>>,
{
    let mut tries = 1;
    loop {
        match work(Arc::clone(&inner), call).await {
            Err(fail) if fail.is_collision() && tries < TRIES => tries += 1,
            Err(Fail::Exchanged) if tries < TRIES => {
                gristmill_core::log!(
                    warn,
                    "the store was exchanged under this process, which learns its queues anew"
                );
                inner.forget();
                tries += 1;
            }
            Err(fail) if fail.is_end_of_turn() => break,
            answer => return answer,
        }
    }
    // From here on it shares a part of the connections with all others in its line. The deadline ends it.
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = LAST_PAUSE.min(pause * 2);
        let _turn = match line {
            // The semaphore is never closed.
            Line::Shared => Some(inner.waiting.acquire().await),
            Line::None => None,
        };
        match work(Arc::clone(&inner), call).await {
            Err(Fail::Exchanged) if tries < TRIES => {
                inner.forget();
                tries += 1;
            }
            Err(fail) if fail.is_end_of_turn() || fail.is_collision() => {}
            answer => return answer,
        }
    }
}
