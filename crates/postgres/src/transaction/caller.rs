//! Jobs in a transaction of the caller's.

use gristmill_core::{
    BackendError, Call, Enqueue, Enqueued, Error, ErrorKind, Job, JobId, NewJob, Receipt, RequestReceipt,
};
use tokio_postgres::{Client, Transaction};

use super::PostgresTransaction;
use crate::enqueue::{self, IfUnknown};
use crate::error::Answer;
use crate::handle::{Inner, Postgres};
use crate::hint_sum::HintSum;
use crate::notice;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// Jobs of one statement at most.
const CHUNK: usize = 1_000;
/// Marks the notices of a transaction of the caller's: this process must hear of them, too, as it cannot know
/// when the caller commits.
const ANYBODY: u64 = 0;

impl Postgres {
    /// Stores a job in the caller's own transaction, at READ COMMITTED: the job is there if and only if that
    /// commits (the outbox pattern). The transaction is one of the database that holds the jobs.
    ///
    /// A job whose unique key is held by another one is not stored, as with `Client::enqueue`, and does not
    /// abort the transaction. While another transaction that took the same key is open, the call waits for
    /// its end. A queue that is new is made at once, on a connection of the backend's. Nothing is left
    /// prepared on the connection. Workers hear of the job when the transaction commits.
    ///
    /// At most every 30 seconds the call checks the schema's version on another connection, of the backend's;
    /// if there is none within a second, it goes on without the check.
    ///
    /// A transaction of `deadpool_postgres` is passed as it is, by dereferencing. The middleware of a client
    /// is not asked; for that see [`Self::enqueue_prepared_in`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] lists everything that is wrong with the job; nothing was sent, and the
    /// transaction is as before. Else the store's error, after which the transaction is aborted, or the
    /// connection lost.
    ///
    /// # Cancel safety
    /// Dropped, the job is in the transaction or not.
    ///
    /// ```no_run
    /// use gristmill_core::Job;
    /// use gristmill_postgres::{Postgres, tokio_postgres};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Welcome { user_id: i64 }
    /// # impl Job for Welcome { const KIND: &'static str = "email.welcome"; type Output = (); }
    ///
    /// async fn sign_up(
    ///     database: &mut tokio_postgres::Client,
    ///     jobs: &Postgres,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     let tx = database.transaction().await?;
    ///     let row = tx.query_one("INSERT INTO users DEFAULT VALUES RETURNING id", &[]).await?;
    ///     jobs.enqueue_in(&tx, Welcome { user_id: row.get(0) }).await?;
    ///     tx.commit().await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn enqueue_in<J: Job>(
        &self,
        tx: &Transaction<'_>,
        job: impl Into<Enqueue<J>>,
    ) -> Result<Receipt, Error> {
        self.inner.enqueue_one(tx.client(), job.into()).await
    }

    /// As [`Self::enqueue_in`], for many jobs of one kind: a thousand a statement.
    ///
    /// # Errors
    /// As [`Self::enqueue_in`]. All jobs are checked before the first is sent.
    ///
    /// # Cancel safety
    /// Dropped, some of the jobs are in the transaction.
    pub async fn enqueue_many_in<J, I>(&self, tx: &Transaction<'_>, jobs: I) -> Result<Vec<Receipt>, Error>
    where
        J: Job,
        I: IntoIterator,
        I::Item: Into<Enqueue<J>>,
    {
        let prepared: Result<Vec<NewJob>, _> =
            jobs.into_iter().map(|job| job.into().prepare(self.inner.mint_id())).collect();
        self.enqueue_prepared_in(tx, prepared?).await
    }

    /// As [`Self::enqueue_in`], for jobs that were checked before, such as by `Client::prepare`, of any
    /// kinds.
    ///
    /// # Errors
    /// As [`Self::enqueue_in`].
    ///
    /// # Cancel safety
    /// As [`Self::enqueue_many_in`].
    pub async fn enqueue_prepared_in(
        &self,
        tx: &Transaction<'_>,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Receipt>, Error> {
        self.inner.enqueue_on(tx.client(), &jobs).await
    }

    /// Requests to cancel a job, in the caller's own transaction. If that commits, a worker applies the
    /// request right after it: a job that has not started ends `cancelled`, and the handler of a running one
    /// receives the request.
    ///
    /// The call locks no job. If the job has ended by then, it gets the event `request refused`.
    ///
    /// At most every 30 seconds the call checks the schema's version on another connection, of the backend's;
    /// if there is none within a second, it goes on without the check.
    ///
    /// # Errors
    /// The store's, after which the transaction is aborted, or the connection lost.
    ///
    /// # Cancel safety
    /// Dropped, the request is in the transaction or not.
    pub async fn cancel_in(&self, tx: &Transaction<'_>, id: JobId) -> Result<RequestReceipt, Error> {
        let inner = &*self.inner;
        inner.check_apart().await.map_err(BackendError::from)?;
        let (mut session, lender) = inner.lend();
        let request = async {
            let row = session.query_one(sql!("add_cancel"), &[&row::uuid(id)]).await?;
            let number: i64 = row.try_get(0)?;
            let mut hints = HintSum::default();
            hints.due(inner.server_now());
            notify(&mut session, &hints).await?;
            Ok(RequestReceipt::new(number.unsigned_abs()))
        };
        Ok(lender.serve(tx.client(), request).await.map_err(BackendError::from)?)
    }
}

impl PostgresTransaction {
    /// Stores a job in the handler's transaction: it is there if and only if the handler's own job completes.
    /// The transaction sees it at once, and learns whether its unique key is held; follow-up jobs of the
    /// context cost no round trip.
    ///
    /// # Errors
    /// As [`Postgres::enqueue_in`].
    ///
    /// # Cancel safety
    /// Dropped, the job is in the transaction or not.
    pub async fn enqueue<J: Job>(&self, job: impl Into<Enqueue<J>>) -> Result<Receipt, Error> {
        self.inner.enqueue_one(self, job.into()).await
    }
}

impl Inner {
    fn mint_id(&self) -> JobId {
        self.ids.next(self.server_now())
    }

    async fn enqueue_one<J: Job>(&self, client: &Client, job: Enqueue<J>) -> Result<Receipt, Error> {
        let job = job.prepare(self.mint_id())?;
        let receipt = self.enqueue_on(client, &[job]).await?.pop();
        match receipt {
            Some(Receipt { enqueued: Enqueued::Refused { why }, .. }) => {
                Err(Error::new(ErrorKind::Refused, why))
            }
            Some(receipt) => Ok(receipt),
            None => Err(Error::new(ErrorKind::Internal, "an enqueue was answered without a word on the job")),
        }
    }

    async fn enqueue_on(&self, client: &Client, jobs: &[NewJob]) -> Result<Vec<Receipt>, Error> {
        self.check_apart().await.map_err(BackendError::from)?;
        let mut receipts = Vec::with_capacity(jobs.len());
        for chunk in jobs.chunks(CHUNK) {
            let (mut session, lender) = self.lend();
            let store = store(self, &mut session, chunk);
            let enqueued = lender.serve(client, store).await.map_err(BackendError::from)?;
            receipts.extend(chunk.iter().zip(enqueued).map(|(job, answer)| Receipt::new(job.id, answer)));
        }
        Ok(receipts)
    }
}

async fn store(inner: &Inner, session: &mut Session, jobs: &[NewJob]) -> Answer<Vec<Enqueued>> {
    let jobs: Vec<&NewJob> = jobs.iter().collect();
    enqueue::check_ids(inner, Call::new(), &jobs)?;
    let now = session.query_one(sql!("now"), &[&None::<i64>]).await?;
    let now = row::timestamp(&now, 0)?;
    let mut hints = HintSum::default();
    let stored = enqueue::store_jobs(inner, session, now, &jobs, IfUnknown::Read, &mut hints).await?;
    notify(session, &hints).await?;
    Ok(stored)
}

/// Tells all processes, this one too, once the caller's transaction commits.
async fn notify(session: &mut Session, hints: &HintSum) -> Answer<()> {
    let notices = notice::write(ANYBODY, hints);
    if notices.is_empty() {
        return Ok(());
    }
    let channel = notice::channel(session.schema());
    session.execute(sql!("notify_in"), &[&channel, &notices]).await
}
