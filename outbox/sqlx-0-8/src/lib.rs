#![doc = include_str!("../README.md")]

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use gristmill_outbox::{Call, Database};
use gristmill_outbox::{Driver, InTransaction, Refusal};
#[doc(no_inline)]
pub use gristmill_outbox::{Error, Outbox, OutboxFilter, OutboxJob, OutboxPage, RequestReceipt};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use sqlx::Connection as _;
#[cfg(feature = "sqlite")]
use sqlx::Executor as _;
use sqlx::{Transaction, pool::PoolConnection};

/// One of sqlx's connections, as the outbox uses it; [`Within::within`] makes it.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "without a database nothing is sent")
)]
pub struct Connection<'c, C>(&'c mut C);

/// Adds `within` to the outbox.
pub trait Within {
    /// Acts in a transaction of sqlx, or on one of its connections, in the transaction that it is in.
    fn within<'c, T: Caller>(&self, tx: &'c mut T) -> InTransaction<'_, Connection<'c, T::Connection>>
    where
        Connection<'c, T::Connection>: Driver;
}

impl Within for Outbox {
    fn within<'c, T: Caller>(&self, tx: &'c mut T) -> InTransaction<'_, Connection<'c, T::Connection>>
    where
        Connection<'c, T::Connection>: Driver,
    {
        self.in_transaction(Connection(tx.connection()))
    }
}

/// What [`Within::within`] takes: a transaction, a connection of a pool, or a connection itself.
pub trait Caller {
    /// Its connection.
    type Connection;

    /// Its connection.
    fn connection(&mut self) -> &mut Self::Connection;
}

impl<D: sqlx::Database> Caller for Transaction<'_, D> {
    type Connection = D::Connection;

    fn connection(&mut self) -> &mut D::Connection {
        self
    }
}

impl<D: sqlx::Database> Caller for PoolConnection<D> {
    type Connection = D::Connection;

    fn connection(&mut self) -> &mut D::Connection {
        self
    }
}

#[cfg(feature = "postgres")]
impl Caller for sqlx::PgConnection {
    type Connection = Self;

    fn connection(&mut self) -> &mut Self {
        self
    }
}

#[cfg(feature = "sqlite")]
impl Caller for sqlx::SqliteConnection {
    type Connection = Self;

    fn connection(&mut self) -> &mut Self {
        self
    }
}

#[cfg(feature = "postgres")]
impl Driver for Connection<'_, sqlx::PgConnection> {
    fn database(&self) -> Database {
        Database::Postgres
    }

    async fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        let is_inside = self.0.is_in_transaction();
        let query = sqlx::query_scalar(call.statement()).bind(call.request());
        query.fetch_one(&mut *self.0).await.map_err(|error| refusal(error, is_inside))
    }
}

#[cfg(feature = "sqlite")]
impl Driver for Connection<'_, sqlx::SqliteConnection> {
    fn database(&self) -> Database {
        Database::Sqlite
    }

    async fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        let is_inside = self.0.is_in_transaction();
        // What sqlx counts, SQLite may have ended.
        if is_inside && (&mut *self.0).execute(Refusal::SQLITE_PROBE).await.is_ok() {
            return Err(Refusal::rolled_back());
        }
        let query = sqlx::query_scalar(call.statement()).bind(call.request());
        query.fetch_one(&mut *self.0).await.map_err(|error| refusal(error, is_inside))
    }
}

/// Commits as [`Transaction::commit`] does, and says whether the jobs may have been stored where it fails.
///
/// A transaction in which a statement has failed is rolled back by PostgreSQL without an error, here as
/// there.
///
/// # Errors
/// [`certainty`](Error::certainty) is `MaybeStored` where the connection was lost before the answer.
///
/// # Cancel safety
/// Dropped, the transaction is committed or not.
pub async fn commit<D: sqlx::Database>(tx: Transaction<'_, D>) -> Result<(), Error> {
    tx.commit().await.map_err(|error| refusal(error, true).at_commit())
}

fn refusal(error: sqlx::Error, is_inside: bool) -> Refusal {
    let refusal = match &error {
        sqlx::Error::Database(database) => {
            let (code, message) = (database.code().map(String::from), database.message().to_owned());
            Refusal::new(code.as_deref(), message, error)
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            Refusal::lost(error)
        }
        _ => Refusal::new(None, error.to_string(), error),
    };
    if is_inside { refusal } else { refusal.outside_transaction() }
}
