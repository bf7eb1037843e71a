//! The extractor of the transaction that also finishes the job.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use gristmill_core::{BackendTx, Capability, Error, JobError};

use super::{BoxError, FromJob};
use crate::JobContext;

/// The store's transaction in which the handler writes and its job completes: both are stored, or neither. An
/// extractor; `D` is the backend's own type of it, such as `PostgresTransaction`, to which it dereferences.
///
/// It begins when the handler starts and is committed by the worker, together with the end of the run, its
/// output and its follow-up jobs, when the handler has succeeded and its code has ended. So each effect
/// written in it happens exactly once for each job that completes, however often the job is tried:
///
/// * A handler that fails, snoozes, cancels, panics, is stopped or times out leaves nothing of it behind.
/// * A lease that has passed on meanwhile leaves nothing behind either. The attempt counts as a lost lease.
/// * When the commit fails, the attempt has failed, with the error of the store, and is tried again.
/// * When the answer to the commit is lost, the worker ends the run as failed in its place; the store says
///   whether the commit was there first. A job is never completed without its writes, and never tried again
///   after them.
/// * A transaction that cannot begin, since the store is away or has no connection to spare, costs no
///   attempt: the job is snoozed for about a second.
///
/// Nothing of the job is locked before the commit. A handler that runs for long only holds what its own
/// statements lock, and one of the backend's connections. It takes one `Tx` and must be done with it when it
/// returns: what it gives to a task that lives longer cannot be committed, so the attempt fails. The outcome
/// that counts is the one that middleware leaves.
///
/// A worker with such a handler over a backend without [`Capability::Transactions`] is refused when it is
/// built.
///
/// ```
/// use gristmill_core::Job;
/// use gristmill_engine::Tx;
/// # struct PostgresTransaction;
/// # type Executed = Result<u64, std::fmt::Error>;
/// # impl PostgresTransaction { async fn execute(&self, _: &str, _: &[i64]) -> Executed { Ok(1) } }
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Book { amount: i64 }
/// # impl Job for Book { const KIND: &'static str = "book"; type Output = (); }
///
/// async fn book(job: Book, tx: Tx<PostgresTransaction>) -> Result<(), std::fmt::Error> {
///     tx.execute("UPDATE accounts SET balance = balance + $1", &[job.amount]).await?;
///     Ok(())
/// }
/// ```
pub struct Tx<D> {
    /// `None` only while it is dropped.
    inner: Option<Box<dyn BackendTx>>,
    context: JobContext,
    driver: PhantomData<fn() -> D>,
}

/// About how long a job waits whose transaction could not begin.
const PUT_OFF: Duration = Duration::from_secs(1);

const HELD: &str = "a transaction is held until it is dropped";
const CHECKED: &str = "the type was checked when the transaction began";

impl<D: 'static> Deref for Tx<D> {
    type Target = D;

    fn deref(&self) -> &D {
        self.inner.as_ref().expect(HELD).driver().downcast_ref().expect(CHECKED)
    }
}

impl<D: 'static> DerefMut for Tx<D> {
    fn deref_mut(&mut self) -> &mut D {
        self.inner.as_mut().expect(HELD).driver_mut().downcast_mut().expect(CHECKED)
    }
}

impl<D> Drop for Tx<D> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            self.context.return_transaction(inner);
        }
    }
}

impl<D> fmt::Debug for Tx<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tx").field(&self.context.id()).finish()
    }
}

/// A store that is away, or has no connection to spare, is not the job's fault: the attempt is given back.
fn not_begun<T>(context: &JobContext, error: Error) -> Result<T, BoxError> {
    if !error.is_retryable() {
        return Err(error.into());
    }
    gristmill_core::log!(
        warn,
        name: "transaction_not_begun", target: "gristmill::job", job = %context.id(), hint = error.hint(), error = %error.chain(),
        "a handler's transaction could not begin; the job is put off"
    );
    Err(JobError::snooze(PUT_OFF.mul_f64(0.5 + fastrand::f64())).into())
}

impl<S: Send + Sync, D: 'static> FromJob<S> for Tx<D> {
    async fn from_job(context: &JobContext, _: &S) -> Result<Self, BoxError> {
        let inner = Some(context.begin_transaction().await.or_else(|error| not_begun(context, error))?);
        let tx = Self { inner, context: context.clone(), driver: PhantomData };
        if tx.inner.as_ref().is_some_and(|inner| inner.driver().is::<D>()) {
            return Ok(tx);
        }
        let (backend, asked) = (context.client().backend().name(), type_name::<D>());
        let message = format!("the transactions of the {backend} backend are no `{asked}`");
        Err(Error::invalid(message).with_hint("name the backend's own type in `Tx<..>`").into())
    }

    fn needs() -> Option<Capability> {
        Some(Capability::Transactions)
    }
}
