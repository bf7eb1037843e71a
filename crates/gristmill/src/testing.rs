//! Tests of handlers and of the code that enqueues, without a worker's loops and without waiting.
//!
//! [`TestQueue::new`] is in memory and has a clock that the test moves. [`TestQueue::on`] and
//! [`TestQueue::with_clock`] run the same tests over any other store, such as an SQLite file or a PostgreSQL
//! database that belongs to the test. The [guide](crate#tests) shows each.
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
//!
//! On PostgreSQL, the kit also runs handlers that take a [`Tx`](crate::Tx), and it finds the jobs that the
//! code under test enqueues through an outbox:
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # mod example {
//! use gristmill::testing::TestQueue;
//! use gristmill::{Job, Outcome, Postgres, PostgresTransaction, Tx, assert_enqueued, tokio_postgres};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Job)]
//! #[job(kind = "ledger.book")]
//! struct Book { account: i64, amount: i64 }
//!
//! async fn book(job: Book, tx: Tx<PostgresTransaction>) -> Result<(), tokio_postgres::Error> {
//!     let sql = "UPDATE accounts SET balance = balance + $2 WHERE id = $1";
//!     tx.execute(sql, &[&job.account, &job.amount]).await?;
//!     Ok(())
//! }
//!
//! /// `url` is a database of the test's own.
//! async fn test(url: &str, app: &mut tokio_postgres::Client) -> Result<(), Box<dyn std::error::Error>> {
//!     let jobs = Postgres::connect(url).await?; // migrates
//!     let queue = TestQueue::on(jobs.clone()).with_handlers(|worker| worker.handle(book));
//!
//!     let outcome = queue.perform(Book { account: 1, amount: 100 }).await?;
//!     assert_eq!(outcome, Outcome::Completed { output: None });
//!
//!     let tx = app.transaction().await?;
//!     jobs.enqueue_in(&tx, Book { account: 2, amount: 5 }).await?;
//!     tx.commit().await?;
//!     assert_enqueued!(queue, Book { account: 2, amount: 5 });
//!     Ok(())
//! }
//! # }
//! ```

use std::ops::Deref;
use std::sync::Arc;

use gristmill_core::{ManualClock, Timestamp};
use gristmill_engine::{IntoBackend, WorkerBuilder, testing};
use gristmill_memory::Memory;

pub use gristmill_engine::testing::Performed;
pub use gristmill_engine::{assert_enqueued, refute_enqueued};

/// 2026-01-01T00:00:00Z: where the clock of [`TestQueue::new`] starts.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A store and handlers that run when the test says so. Derefs to the engine's
/// [`TestQueue`](testing::TestQueue), whose methods run jobs and look at them.
#[derive(Debug)]
pub struct TestQueue(testing::TestQueue);

impl TestQueue {
    /// An empty queue on the memory backend, whose clock shows [`START`] until
    /// [`advance`](testing::TestQueue::advance) moves it.
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new(START));
        Self::with_clock(Memory::with_clock(clock.clone()), clock)
    }

    /// A queue over any store, which keeps the time itself. The store is migrated and belongs to the test
    /// alone.
    ///
    /// Use it over PostgreSQL to test handlers that take a [`Tx`](crate::Tx) and code that enqueues through
    /// an outbox. Time passes as the store measures it: [`advance`](testing::TestQueue::advance) and
    /// [`clock`](testing::TestQueue::clock) panic. [`perform`](testing::TestQueue::perform) runs its job at
    /// once, whatever its delay.
    pub fn on<M>(backend: impl IntoBackend<M>) -> Self {
        Self(testing::TestQueue::on(backend))
    }

    /// A queue over a store that was opened with this clock, which the test moves: a [`Memory`], or an
    /// [`Sqlite`](crate::Sqlite) whose builder took it with [`clock`](crate::SqliteBuilder::clock).
    /// PostgreSQL takes no clock.
    ///
    /// An outbox writes by the clock of the machine. If the code under test uses one, start the clock at the
    /// present: `ManualClock::new(SystemClock.now())`.
    ///
    /// ```
    /// # use gristmill::{Job, JobError, JobExt};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize, Job)]
    /// # #[job(kind = "email.welcome")]
    /// # struct Welcome { user_id: i64 }
    /// # async fn welcome(job: Welcome) -> Result<(), JobError> { let _ = job.user_id; Ok(()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use gristmill::testing::{START, TestQueue};
    /// use gristmill::{ManualClock, Sqlite};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// const HOUR: Duration = Duration::from_secs(3600);
    ///
    /// let folder = tempfile::tempdir()?;
    /// let clock = Arc::new(ManualClock::new(START));
    /// let store = Sqlite::builder(folder.path().join("jobs.db")).clock(clock.clone()).open()?;
    /// let queue = TestQueue::with_clock(store, clock).with_handlers(|worker| worker.handle(welcome));
    ///
    /// queue.client().enqueue(Welcome { user_id: 8 }.delay(HOUR)).await?;
    /// assert!(queue.drain().await?.is_empty());
    /// queue.advance(HOUR);
    /// assert_eq!(queue.drain().await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_clock<M>(backend: impl IntoBackend<M>, clock: Arc<ManualClock>) -> Self {
        Self(testing::TestQueue::with_clock(backend, clock))
    }

    /// Adds the handlers, middleware and state of a worker. A handler that needs what the backend does not
    /// promise, such as a [`Tx`](crate::Tx) on memory, is accepted; only running it is an error.
    ///
    /// # Panics
    /// If the worker is not valid.
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
    type Target = testing::TestQueue;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
