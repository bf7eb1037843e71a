//! What the tests of an adapter implement.

use gristmill_core::{Enqueue, Error, JobId, JobPatch, NewJob, Receipt};
use gristmill_outbox::{
    BlockingDriver, Driver, InBlockingTransaction, InTransaction, Outbox, OutboxFilter, OutboxJob,
    OutboxPage, RequestReceipt,
};

use crate::Letter;

/// A connection of a driver or a transaction of one, as its adapter uses it.
pub trait Session {
    /// Executes a statement of the user's, without parameters.
    ///
    /// # Errors
    /// The driver's words.
    fn execute(&mut self, sql: &str) -> Result<(), String>;

    /// Acts by the adapter: [`perform`] or [`perform_blocking`] on what its `within` gives.
    ///
    /// # Errors
    /// The adapter's.
    fn act(&mut self, outbox: &Outbox, act: Act) -> Result<Answer, Error>;
}

/// A driver's connection, outside of a transaction, which also begins transactions.
pub trait Adapter: Session + Sized {
    /// Connects to a server's URL, or to an SQLite file by its path.
    fn connect(url: &str) -> Self;

    /// Begins a transaction by the driver's own means, runs `body` in it, and ends it: commits by the
    /// adapter's `commit`, or rolls back. An error of a rollback is nothing.
    ///
    /// # Errors
    /// Those of the adapter's `commit`.
    fn transaction(&mut self, body: &mut dyn FnMut(&mut dyn Session) -> End) -> Result<(), Error>;
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By the adapter's `commit`.
    Commit,
    /// By the driver's rollback.
    RollBack,
}

/// One act of the outbox.
#[derive(Debug, Clone)]
pub enum Act {
    /// `enqueue`
    Enqueue(Enqueue<Letter>),
    /// `enqueue_many`
    EnqueueMany(Vec<Enqueue<Letter>>),
    /// `enqueue_prepared`
    EnqueuePrepared(Vec<NewJob>),
    /// `cancel`
    Cancel(JobId),
    /// `update`
    Update(JobId, JobPatch),
    /// `delete`
    Delete(JobId),
    /// `get`
    Get(JobId),
    /// `list`
    List(OutboxFilter),
}

/// What an act answered.
#[derive(Debug)]
pub enum Answer {
    /// Of the three that enqueue.
    Receipts(Vec<Receipt>),
    /// Of a cancel, an update or a delete.
    Request(RequestReceipt),
    /// Of a look.
    Job(Option<Box<OutboxJob>>),
    /// Of a list.
    Page(OutboxPage),
}

macro_rules! perform {
    ($tx:ident, $act:ident $(, $wait:tt)?) => {
        Ok(match $act {
            Act::Enqueue(job) => Answer::Receipts(vec![$tx.enqueue(job)$(.$wait)??]),
            Act::EnqueueMany(jobs) => Answer::Receipts($tx.enqueue_many(jobs)$(.$wait)??),
            Act::EnqueuePrepared(jobs) => Answer::Receipts($tx.enqueue_prepared(&jobs)$(.$wait)??),
            Act::Cancel(id) => Answer::Request($tx.cancel(id)$(.$wait)??),
            Act::Update(id, patch) => Answer::Request($tx.update(id, patch)$(.$wait)??),
            Act::Delete(id) => Answer::Request($tx.delete(id)$(.$wait)??),
            Act::Get(id) => Answer::Job($tx.get(id)$(.$wait)??.map(Box::new)),
            Act::List(filter) => Answer::Page($tx.list(&filter)$(.$wait)??),
        })
    };
}

/// Acts.
///
/// # Errors
/// Those of the act.
pub async fn perform<D: Driver>(mut tx: InTransaction<'_, D>, act: Act) -> Result<Answer, Error> {
    perform!(tx, act, await)
}

/// Acts through a driver that blocks.
///
/// # Errors
/// Those of the act.
pub fn perform_blocking<D: BlockingDriver>(
    mut tx: InBlockingTransaction<'_, D>,
    act: Act,
) -> Result<Answer, Error> {
    perform!(tx, act)
}

impl dyn Session + '_ {
    pub(crate) fn enqueue(
        &mut self,
        outbox: &Outbox,
        job: impl Into<Enqueue<Letter>>,
    ) -> Result<Receipt, Error> {
        receipts(self.act(outbox, Act::Enqueue(job.into()))).map(|mut receipts| receipts.remove(0))
    }

    pub(crate) fn enqueue_many(
        &mut self,
        outbox: &Outbox,
        jobs: Vec<Enqueue<Letter>>,
    ) -> Result<Vec<Receipt>, Error> {
        receipts(self.act(outbox, Act::EnqueueMany(jobs)))
    }

    pub(crate) fn enqueue_prepared(
        &mut self,
        outbox: &Outbox,
        jobs: &[NewJob],
    ) -> Result<Vec<Receipt>, Error> {
        receipts(self.act(outbox, Act::EnqueuePrepared(jobs.to_vec())))
    }

    pub(crate) fn cancel(&mut self, outbox: &Outbox, id: JobId) -> Result<RequestReceipt, Error> {
        request(self.act(outbox, Act::Cancel(id)))
    }

    pub(crate) fn update(
        &mut self,
        outbox: &Outbox,
        id: JobId,
        patch: JobPatch,
    ) -> Result<RequestReceipt, Error> {
        request(self.act(outbox, Act::Update(id, patch)))
    }

    pub(crate) fn delete(&mut self, outbox: &Outbox, id: JobId) -> Result<RequestReceipt, Error> {
        request(self.act(outbox, Act::Delete(id)))
    }

    pub(crate) fn get(&mut self, outbox: &Outbox, id: JobId) -> Result<Option<Box<OutboxJob>>, Error> {
        match self.act(outbox, Act::Get(id))? {
            Answer::Job(job) => Ok(job),
            other => panic!("a look was answered {other:?}"),
        }
    }
}

impl dyn Session + '_ {
    pub(crate) fn list(&mut self, outbox: &Outbox, filter: OutboxFilter) -> Result<OutboxPage, Error> {
        match self.act(outbox, Act::List(filter))? {
            Answer::Page(page) => Ok(page),
            other => panic!("a list was answered {other:?}"),
        }
    }
}

fn receipts(answer: Result<Answer, Error>) -> Result<Vec<Receipt>, Error> {
    match answer? {
        Answer::Receipts(receipts) => Ok(receipts),
        other => panic!("an enqueue was answered {other:?}"),
    }
}

fn request(answer: Result<Answer, Error>) -> Result<RequestReceipt, Error> {
    match answer? {
        Answer::Request(receipt) => Ok(receipt),
        other => panic!("a request was answered {other:?}"),
    }
}

/// Runs `body` in a transaction and gives what it gave, with how the end went.
pub(crate) fn ended<A: Adapter, T>(
    adapter: &mut A,
    end: End,
    body: impl FnOnce(&mut dyn Session) -> T,
) -> (T, Result<(), Error>) {
    let (mut body, mut given) = (Some(body), None);
    let result = adapter.transaction(&mut |tx| {
        let body = body.take().expect("a transaction runs its body once");
        given = Some(body(tx));
        end
    });
    (given.expect("a transaction runs its body"), result)
}

/// Runs `body` in a transaction that commits.
#[track_caller]
pub(crate) fn committed<A: Adapter, T>(adapter: &mut A, body: impl FnOnce(&mut dyn Session) -> T) -> T {
    let (given, result) = ended(adapter, End::Commit, body);
    result.expect("the transaction commits");
    given
}

/// Runs `body` in a transaction that is rolled back.
#[track_caller]
pub(crate) fn rolled_back<A: Adapter, T>(adapter: &mut A, body: impl FnOnce(&mut dyn Session) -> T) -> T {
    let (given, result) = ended(adapter, End::RollBack, body);
    result.expect("a rollback always goes well");
    given
}
