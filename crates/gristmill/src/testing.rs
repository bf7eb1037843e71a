//! Tests of handlers and of the code that enqueues, on the memory backend, without waiting.
//!
//! ```
//! use gristmill::testing::TestQueue;
//! use gristmill::{Job, JobContext, JobError, Outcome, assert_enqueued};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Job)]
//! #[job(kind = "order.ship")]
//! struct Ship { order: u64 }
//!
//! #[derive(Serialize, Deserialize, Job)]
//! #[job(kind = "order.notify")]
//! struct Notify { order: u64 }
//!
//! async fn ship(job: Ship, context: JobContext) -> Result<(), JobError> {
//!     context.enqueue(Notify { order: job.order }).map_err(JobError::cancel)?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), gristmill::Error> {
//! let queue = TestQueue::new().with_handlers(|worker| worker.handle(ship));
//! let outcome = queue.perform(Ship { order: 7 }).await?;
//! assert!(matches!(outcome, Outcome::Completed { .. }));
//! assert_enqueued!(queue, Notify { order: 7 });
//! # Ok(())
//! # }
//! ```

use std::ops::Deref;
use std::sync::Arc;

use gristmill_core::{ManualClock, Timestamp};
use gristmill_engine::WorkerBuilder;
use gristmill_memory::Memory;

pub use gristmill_engine::testing::Performed;
pub use gristmill_engine::{assert_enqueued, refute_enqueued};

/// 2026-01-01T00:00:00Z: where the clock of a [`TestQueue`] starts.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A queue on the memory backend whose clock the test moves. Derefs to the engine's
/// [`TestQueue`](gristmill_engine::testing::TestQueue), whose methods run jobs and look at them.
#[derive(Debug)]
pub struct TestQueue(gristmill_engine::testing::TestQueue);

impl TestQueue {
    /// An empty queue whose clock shows [`START`].
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new(START));
        Self(gristmill_engine::testing::TestQueue::over(Memory::with_clock(clock.clone()), clock))
    }

    /// Adds the handlers, middleware and state of a worker.
    ///
    /// # Panics
    /// When the worker is not valid.
    pub fn with_handlers<S: Send + Sync + 'static>(
        self,
        add: impl FnOnce(WorkerBuilder<()>) -> WorkerBuilder<S>,
    ) -> Self {
        Self(self.0.with_handlers(add))
    }
}

impl Default for TestQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for TestQueue {
    type Target = gristmill_engine::testing::TestQueue;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
