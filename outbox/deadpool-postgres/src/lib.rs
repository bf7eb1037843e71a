#![cfg_attr(feature = "deadpool", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "deadpool"),
    doc = "Gristmill's jobs inside the caller's own transaction, with tokio-postgres."
)]

use std::future::Future;

use gristmill_outbox::{Call, Database, Driver, InTransaction, Refusal};
#[doc(no_inline)]
pub use gristmill_outbox::{Error, Outbox, OutboxFilter, OutboxJob, OutboxPage, RequestReceipt};
use tokio_postgres::types::Type;

/// One of tokio-postgres's connections, as the outbox uses it; [`Within::within`] makes it.
#[derive(Debug)]
pub struct Connection<'c> {
    client: &'c tokio_postgres::Client,
    is_inside: bool,
}

/// Adds `within` to the outbox.
pub trait Within {
    /// Acts in a transaction of the driver, or on one of its connections, in the transaction that it is in.
    fn within<'c>(&self, tx: &'c impl Caller) -> InTransaction<'_, Connection<'c>>;
}

impl Within for Outbox {
    fn within<'c>(&self, tx: &'c impl Caller) -> InTransaction<'_, Connection<'c>> {
        self.in_transaction(tx.connection())
    }
}

/// What [`Within::within`] takes: a transaction, a connection of a pool, or a connection itself.
pub trait Caller {
    /// Its connection.
    fn connection(&self) -> Connection<'_>;
}

impl Caller for tokio_postgres::Transaction<'_> {
    fn connection(&self) -> Connection<'_> {
        Connection { client: self.client(), is_inside: true }
    }
}

/// A plain client may or may not be in a transaction: a BEGIN sent as text is not visible here.
impl Caller for tokio_postgres::Client {
    fn connection(&self) -> Connection<'_> {
        Connection { client: self, is_inside: false }
    }
}

#[cfg(feature = "deadpool")]
impl Caller for deadpool_postgres::Transaction<'_> {
    fn connection(&self) -> Connection<'_> {
        Connection { client: self.client(), is_inside: true }
    }
}

#[cfg(feature = "deadpool")]
impl Caller for deadpool_postgres::Client {
    fn connection(&self) -> Connection<'_> {
        Connection { client: self, is_inside: false }
    }
}

impl Driver for Connection<'_> {
    fn database(&self) -> Database {
        Database::Postgres
    }

    async fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        // Parsed and executed in one round trip, the first time too, and behind a pooler of transactions.
        let request = call.request();
        let rows = self.client.query_typed(call.statement(), &[(&request, Type::TEXT)]).await;
        let rows = rows.map_err(|error| refusal(error, self.is_inside))?;
        let answer = rows.first().map_or(Ok(None), |row| row.try_get(0));
        let answer = answer.map_err(|error| Refusal::new(None, error.to_string(), error))?;
        answer.ok_or_else(|| Refusal::new(None, "the statement has answered nothing", "no row"))
    }
}

/// A transaction that [`commit`] takes.
pub trait Commit: Caller {
    /// Commits as the driver does.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Cancel safety
    /// Dropped, the transaction is committed or not.
    fn commit(self) -> impl Future<Output = Result<(), tokio_postgres::Error>> + Send;
}

impl Commit for tokio_postgres::Transaction<'_> {
    fn commit(self) -> impl Future<Output = Result<(), tokio_postgres::Error>> + Send {
        self.commit()
    }
}

#[cfg(feature = "deadpool")]
impl Commit for deadpool_postgres::Transaction<'_> {
    fn commit(self) -> impl Future<Output = Result<(), tokio_postgres::Error>> + Send {
        self.commit()
    }
}

/// Commits as the transaction's own `commit` does, and says whether the jobs may have been stored where it
/// fails.
///
/// A transaction in which a statement has failed is rolled back by PostgreSQL without an error, here as
/// there.
///
/// # Errors
/// [`certainty`](Error::certainty) is `MaybeStored` where the connection was lost before the answer.
///
/// # Cancel safety
/// Dropped, the transaction is committed or not.
pub async fn commit(tx: impl Commit) -> Result<(), Error> {
    tx.commit().await.map_err(|error| refusal(error, true).at_commit())
}

fn refusal(error: tokio_postgres::Error, is_inside: bool) -> Refusal {
    let refusal = match error.as_db_error() {
        Some(database) => {
            let (code, message) = (database.code().clone(), database.message().to_owned());
            Refusal::new(Some(code.code()), message, error)
        }
        // The driver's own errors, where nothing is to be encoded but one text, are those of a connection
        // that is gone.
        None => Refusal::lost(error),
    };
    if is_inside { refusal } else { refusal.outside_transaction() }
}
