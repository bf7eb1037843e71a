//! What `gristmill bench` asks of the server beside the jobs: what it has spent, and an old snapshot to work
//! beside.
//!
//! Only with the feature `bench`, and no part of the public API.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, future::ready};
use gristmill_core::{BackendError, Call};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::call::Effect;
use crate::dial::PATIENCE;
use crate::error::{Answer, Fail, unavailable, undecodable};
use crate::handle::{Inner, Postgres};
use crate::statement::{in_schema, sql};

/// A checkpoint writes out all that lies in the server's memory; a vacuum reads all that was stored.
const SETTLE: Duration = Duration::from_secs(600);

/// What a server has spent up to one moment, over all its databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// Bytes of log (WAL) ever written.
    pub wal_bytes: u64,
    /// The process of the server that answered, if the server runs on this machine: the way to what it has
    /// used of the processor.
    pub local_pid: Option<u32>,
}

/// A transaction that sees the database as it was when it began. As long as it is open, the server can remove
/// no row that was dead later, from no table: the condition under which queues in a database grow slow.
///
/// It ends when this is dropped.
pub struct HeldSnapshot {
    client: Client,
    driving: JoinHandle<()>,
}

impl Postgres {
    /// What the server has spent so far; the difference of two is the cost of what happened between.
    ///
    /// # Errors
    /// [`Unavailable`](gristmill_core::BackendErrorKind::Unavailable) when the server cannot be reached; an
    /// error of the server on a standby, which writes no log.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    #[doc(hidden)]
    pub async fn spent(&self) -> Result<Spent, BackendError> {
        self.run(Call::new(), Effect::None, |inner, _| async move { spent(&inner).await }).await
    }

    /// Opens a `REPEATABLE READ` transaction on a connection of its own, and holds it.
    ///
    /// # Errors
    /// [`Unavailable`](gristmill_core::BackendErrorKind::Unavailable) when the server cannot be reached,
    /// [`SchemaOld`](gristmill_core::BackendErrorKind::SchemaOld) before the schema is there.
    ///
    /// # Cancel safety
    /// A transaction that was opened ends soon after.
    #[doc(hidden)]
    pub async fn hold_snapshot(&self) -> Result<HeldSnapshot, BackendError> {
        self.run(Call::new(), Effect::None, |inner, _| async move { hold_snapshot(&inner).await }).await
    }

    /// Lets the server vacuum what was stored and write out what it has changed in its memory, so that none
    /// of it falls into a measurement that follows. May take as long as the disk needs for some gigabytes.
    /// Says whether the role may ask for the latter; tables that are not its own are not vacuumed.
    ///
    /// # Errors
    /// [`Unavailable`](gristmill_core::BackendErrorKind::Unavailable) when the server cannot be reached,
    /// [`TimedOut`](gristmill_core::BackendErrorKind::TimedOut) after ten minutes.
    ///
    /// # Cancel safety
    /// The server goes on.
    #[doc(hidden)]
    pub async fn settle_server(&self) -> Result<bool, BackendError> {
        let call = Call::new().within(SETTLE);
        self.run(call, Effect::None, |inner, _| async move { settle(&inner).await }).await
    }
}

async fn spent(inner: &Inner) -> Answer<Spent> {
    let row = inner.reads().await?.query_one(sql!("spent"), &[]).await?;
    let (bytes, pid, is_local): (i64, i32, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let wal_bytes = u64::try_from(bytes).map_err(|_| undecodable("position in the log"))?;
    Ok(Spent { wal_bytes, local_pid: is_local.then(|| u32::try_from(pid).ok()).flatten() })
}

async fn hold_snapshot(inner: &Arc<Inner>) -> Answer<HeldSnapshot> {
    // Says what is missing before a transaction is opened that would be of no use.
    drop(inner.reads().await?);
    let connecting = timeout(PATIENCE, inner.dial.connect());
    let (client, messages) = connecting.await.map_err(|_| unavailable("the server does not answer"))??;
    let driving = messages.take_while(|message| ready(message.is_ok())).for_each(|_| ready(()));
    let driving = inner.runtime.spawn(driving);
    let held = HeldSnapshot { client, driving };
    held.client.batch_execute("SET idle_in_transaction_session_timeout = 0").await?;
    held.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    held.client.batch_execute(&inner.statements.of(sql!("hold_snapshot")).text).await?;
    Ok(held)
}

async fn settle(inner: &Inner) -> Answer<bool> {
    let mut session = inner.reads().await?;
    // No statement that can be prepared.
    session.batch(&in_schema("VACUUM gristmill.jobs, gristmill.attempts", inner.statements.schema())).await?;
    match session.batch("CHECKPOINT").await {
        Ok(()) => Ok(true),
        Err(Fail::Broken(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(false),
        Err(fail) => Err(fail),
    }
}

impl HeldSnapshot {
    /// Ends the transaction, and says whether it was held to this moment.
    ///
    /// # Errors
    /// [`Unavailable`](gristmill_core::BackendErrorKind::Unavailable) when its connection was lost or ended
    /// meanwhile.
    ///
    /// # Cancel safety
    /// The transaction ends.
    pub async fn release(self) -> Result<(), BackendError> {
        let ended = self.client.batch_execute("COMMIT").await;
        ended.map_err(|error| BackendError::from(Fail::from(error)))
    }
}

impl Drop for HeldSnapshot {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

impl fmt::Debug for HeldSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldSnapshot").field("is_open", &!self.client.is_closed()).finish_non_exhaustive()
    }
}
