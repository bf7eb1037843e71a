//! Acts in the caller's transaction, through a driver that blocks.

use gristmill_core::{Enqueue, Error, Job, JobId, JobPatch, NewJob, Receipt};

use crate::act::{self, Act};
use crate::{BlockingDriver, Outbox, OutboxFilter, OutboxJob, OutboxPage, RequestReceipt};

/// The outbox on one of the caller's connections, of a driver that blocks its thread.
///
/// It is [`InTransaction`](crate::InTransaction) without `async`: the same acts, the same promises, the same
/// errors.
#[derive(Debug)]
#[must_use = "it does nothing until something is enqueued"]
pub struct InBlockingTransaction<'o, D> {
    outbox: &'o Outbox,
    driver: D,
}

impl<'o, D: BlockingDriver> InBlockingTransaction<'o, D> {
    pub(crate) fn new(outbox: &'o Outbox, driver: D) -> Self {
        Self { outbox, driver }
    }

    /// Stores a job if and only if the transaction commits: by itself, or with options of this one enqueue
    /// (`Welcome { user_id: 7 }.delay(HOUR)`). A job whose unique key is held by another one is not stored;
    /// the receipt names the holder.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) lists everything that is wrong with the job; nothing
    /// was sent. Else the database's, after which PostgreSQL's transaction is aborted.
    pub fn enqueue<J: Job>(&mut self, job: impl Into<Enqueue<J>>) -> Result<Receipt, Error> {
        let job = self.outbox.prepare(job)?;
        act::only(self.enqueue_prepared(&[job])?)
    }

    /// Stores many jobs, a thousand a statement, in their order. All are checked before the first one is
    /// sent; one answer a job.
    ///
    /// # Errors
    /// As [`Self::enqueue`]; an invalid job is named by its place.
    pub fn enqueue_many<J, I>(&mut self, jobs: I) -> Result<Vec<Receipt>, Error>
    where
        J: Job,
        I: IntoIterator,
        I::Item: Into<Enqueue<J>>,
    {
        let jobs = act::prepare_all(self.outbox, jobs)?;
        self.enqueue_prepared(&jobs)
    }

    /// Stores jobs that were [prepared](Outbox::prepare), a thousand a statement. A repeat with the same jobs
    /// is safe, after a lost answer to COMMIT say: those that are there answer
    /// [`Existing`](gristmill_core::Enqueued::Existing) by their id.
    ///
    /// # Errors
    /// As [`Self::enqueue`].
    pub fn enqueue_prepared(&mut self, jobs: &[NewJob]) -> Result<Vec<Receipt>, Error> {
        let mut receipts = Vec::with_capacity(jobs.len());
        for act in act::enqueue(self.outbox, jobs)? {
            receipts.extend(self.run(act?)?);
        }
        Ok(receipts)
    }

    /// Requests to cancel a job, with the transaction's commit. A job that has not started then ends
    /// `cancelled`; the handler of a running one receives the request, and whatever its run comes to, the job
    /// ends `cancelled`.
    ///
    /// The call stores the request and locks no job. A worker applies it right after the commit; until then
    /// [`Self::get`] shows the job as it was. If the job has ended by then, it gets the event `request
    /// refused`.
    ///
    /// # Errors
    /// The database's.
    pub fn cancel(&mut self, id: JobId) -> Result<RequestReceipt, Error> {
        self.run(act::cancel(self.outbox, id))
    }

    /// Requests to change a job that has not started, as [`Self::cancel`] does. A delay of the patch counts
    /// from when the request is applied.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) for args that break a rule; nothing was sent. Else the
    /// database's.
    pub fn update(&mut self, id: JobId, patch: JobPatch) -> Result<RequestReceipt, Error> {
        self.run(act::update(self.outbox, id, patch)?)
    }

    /// Requests to remove a job and what is kept of it, as [`Self::cancel`] does. A running job is not
    /// removed: it gets the event `request refused`.
    ///
    /// # Errors
    /// The database's.
    pub fn delete(&mut self, id: JobId) -> Result<RequestReceipt, Error> {
        self.run(act::delete(self.outbox, id))
    }

    /// A job as the transaction sees it; `None` when there is none, or no longer.
    ///
    /// # Errors
    /// The database's.
    pub fn get(&mut self, id: JobId) -> Result<Option<OutboxJob>, Error> {
        self.run(act::get(self.outbox, id))
    }

    /// The newest jobs that match, as the transaction sees them. It looks at the newest 10,000 jobs of the
    /// store, so it costs a bounded time; a client's list has pages and further filters.
    ///
    /// # Errors
    /// The database's.
    pub fn list(&mut self, filter: &OutboxFilter) -> Result<OutboxPage, Error> {
        self.run(act::list(self.outbox, filter))
    }

    fn run<T>(&mut self, act: Act<'_, T>) -> Result<T, Error> {
        self.outbox.check(self.driver.database())?;
        let answer = self.driver.send(act.call());
        act.answered(self.outbox, answer)
    }
}
