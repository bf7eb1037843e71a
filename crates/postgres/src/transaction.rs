//! A handler's transaction, on a connection of the pool for handlers.
//!
//! It is marked when it begins, by a setting that ends with it: so a handler that commits or rolls back by
//! itself, by a statement of its own, is found out, and its run does not end in another transaction or in
//! none.

mod caller;

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gristmill_core::{
    BackendError, BackendErrorKind, BackendTx, BoxFuture, Call, FinishItem, Finished, NewJob,
};
use tokio_postgres::Client;

use crate::call::{DEFAULT_DEADLINE, within};
use crate::enqueue;
use crate::error::{Answer, Fail};
use crate::finish;
use crate::handle::Inner;
use crate::session::Session;
use crate::statement::sql;

/// A rollback waits for the statement in flight, at most this long. Then the connection is closed.
const PATIENCE: Duration = Duration::from_secs(1);

/// The transaction of a handler that takes `Tx<PostgresTransaction>`, at READ COMMITTED, on a connection of
/// the backend's.
///
/// It dereferences to the driver's [`Client`]: `query`, `execute`, `prepare`, `copy_in` and all others run in
/// the transaction. Its end is the worker's: a handler that sends `COMMIT` or `ROLLBACK` by itself fails,
/// since its job can no longer complete together with what it wrote. Savepoints are its own affair. What it
/// sets for the session is gone with the transaction.
///
/// A transaction that the handler leaves idle is ended by the server where
/// `idle_in_transaction_session_timeout` is set; the attempt then fails.
///
/// ```no_run
/// use gristmill_postgres::PostgresTransaction;
///
/// async fn book(tx: &PostgresTransaction, account: i64, amount: i64) -> Result<(), tokio_postgres::Error> {
///     tx.execute("UPDATE accounts SET balance = balance + $2 WHERE id = $1", &[&account, &amount]).await?;
///     Ok(())
/// }
/// ```
pub struct PostgresTransaction {
    inner: Arc<Inner>,
    session: Session,
    mark: String,
}

/// A handler's transaction on a connection of its own.
pub(crate) async fn begin(inner: &Arc<Inner>, _: Call, (): &()) -> Answer<Box<dyn BackendTx>> {
    let mut session = inner.handlers().await?;
    let mark = format!("{:016x}", fastrand::u64(..));
    session.begin().await?;
    session.batch(&format!("SET LOCAL gristmill_tx.mark = '{mark}'")).await?;
    Ok(Box::new(PostgresTransaction { inner: Arc::clone(inner), session, mark }))
}

impl Deref for PostgresTransaction {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.session.client().expect("a session of a pool has its connection until it is dropped")
    }
}

impl fmt::Debug for PostgresTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTransaction").finish_non_exhaustive()
    }
}

impl BackendTx for PostgresTransaction {
    fn driver(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn driver_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }

    fn finish(
        self: Box<Self>,
        call: Call,
        item: FinishItem,
    ) -> BoxFuture<'static, Result<Finished, BackendError>> {
        let is_committing = Arc::new(AtomicBool::new(false));
        let committing = Arc::clone(&is_committing);
        // In a task of its own: dropping the caller's future does not cut it in two.
        let runtime = self.inner.runtime.clone();
        let task = runtime.spawn(async move {
            let deadline = call.deadline.unwrap_or(DEFAULT_DEADLINE);
            within(deadline, self.end(call, &item, &committing)).await
        });
        Box::pin(async move {
            let fail = match task.await {
                Ok(Ok(finished)) => return Ok(finished),
                Ok(Err(fail)) => fail,
                Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
                Err(_) => Fail::Late,
            };
            // Before the commit is sent a lost connection rolls back.
            let is_open = is_committing.load(Ordering::Acquire) && fail.leaves_open();
            let error = BackendError::from(fail);
            Err(if is_open { error.maybe_stored() } else { error })
        })
    }

    fn roll_back(self: Box<Self>, call: Call) -> BoxFuture<'static, Result<(), BackendError>> {
        let runtime = self.inner.runtime.clone();
        let task = runtime.spawn(async move {
            let Self { mut session, .. } = *self;
            let patience = call.deadline.map_or(PATIENCE, |deadline| deadline.min(PATIENCE));
            // Otherwise the connection is closed, and the server rolls back when it comes to it.
            tokio::time::timeout(patience, session.roll_back()).await.unwrap_or(Err(Fail::Late))
        });
        Box::pin(async move { task.await.unwrap_or(Err(Fail::Late)).map_err(BackendError::from) })
    }
}

impl PostgresTransaction {
    async fn end(self, call: Call, item: &FinishItem, committing: &AtomicBool) -> Answer<Finished> {
        let Self { inner, mut session, mark } = self;
        // New queues are made before, by themselves: what is learnt of them must not be rolled back.
        let effects: Vec<&NewJob> = item.effects.iter().collect();
        enqueue::queues(&inner, &effects).await?;
        session.comes_to_ours().await?;
        let is_ours: bool = session.query_one(sql!("is_marked"), &[&mark]).await?.try_get(0)?;
        if !is_ours {
            let message = "the handler has ended its transaction by itself";
            let error = BackendError::new(BackendErrorKind::Refused, message);
            return Err(error
                .with_hint("leave COMMIT and ROLLBACK to the worker: it commits when the handler succeeds")
                .into());
        }
        let (finished, hints) = finish::finish_in(&inner, &mut session, call, item).await?;
        match finished {
            Finished::Accepted { .. } => {
                committing.store(true, Ordering::Release);
                session.commit().await?;
                inner.send_hints(hints);
            }
            Finished::LeaseLost { .. } => {
                session.roll_back().await?;
                finish::note_stale(&mut session, call, item).await?;
            }
            Finished::AlreadyAccepted | Finished::Busy => session.roll_back().await?,
        }
        Ok(finished)
    }
}
