#![cfg_attr(feature = "postgres", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "postgres"),
    doc = "Gristmill's jobs inside the caller's own transaction, with SeaORM 2.0."
)]

use gristmill_outbox::{Call, Database, Driver, InTransaction, Refusal};
#[doc(no_inline)]
pub use gristmill_outbox::{Error, Outbox, OutboxFilter, OutboxJob, OutboxPage, RequestReceipt};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqlxError, Statement,
};

/// One of SeaORM's connections, as the outbox uses it; [`Within::within`] makes it.
#[derive(Debug)]
pub struct Connection<'c, C> {
    connection: &'c C,
    outbox: Database,
}

/// Adds `within` to the outbox.
pub trait Within {
    /// Acts in a transaction of SeaORM, or on a connection of its pool.
    fn within<'c, C: Caller>(&self, tx: &'c C) -> InTransaction<'_, Connection<'c, C>>;
}

impl Within for Outbox {
    fn within<'c, C: Caller>(&self, connection: &'c C) -> InTransaction<'_, Connection<'c, C>> {
        self.in_transaction(Connection { connection, outbox: self.database() })
    }
}

/// What [`Within::within`] takes: a transaction, a pool, or what may be either.
pub trait Caller: ConnectionTrait {
    /// Whether it is a transaction.
    fn is_transaction(&self) -> bool;
}

impl Caller for DatabaseTransaction {
    fn is_transaction(&self) -> bool {
        true
    }
}

impl Caller for DatabaseConnection {
    fn is_transaction(&self) -> bool {
        false
    }
}

impl Caller for DatabaseExecutor<'_> {
    fn is_transaction(&self) -> bool {
        !matches!(self, Self::Connection(_))
    }
}

impl<C: Caller> Driver for Connection<'_, C> {
    fn database(&self) -> Database {
        match self.connection.get_database_backend() {
            DbBackend::Postgres => Database::Postgres,
            DbBackend::Sqlite => Database::Sqlite,
            // There is no outbox of it: `send` says so.
            _ => self.outbox,
        }
    }

    async fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        let backend = self.connection.get_database_backend();
        if !matches!(backend, DbBackend::Postgres | DbBackend::Sqlite) {
            let message = format!("there is no outbox of {}", backend.as_str());
            return Err(Refusal::new(None, message, "the outbox is of PostgreSQL or SQLite"));
        }
        let is_inside = self.connection.is_transaction();
        // What sqlx counts, SQLite may have ended.
        if is_inside
            && backend == DbBackend::Sqlite
            && self.connection.execute_unprepared(Refusal::SQLITE_PROBE).await.is_ok()
        {
            return Err(Refusal::rolled_back());
        }
        let statement = Statement::from_sql_and_values(backend, call.statement(), [call.request().into()]);
        let answer = match self.connection.query_one_raw(statement).await {
            Ok(row) => row.map(|row| row.try_get_by_index(0)).transpose(),
            Err(error) => Err(error),
        };
        let answer = answer.map_err(|error| refusal(error, is_inside))?;
        answer.ok_or_else(|| Refusal::new(None, "the statement has answered nothing", "no row"))
    }
}

/// Commits as [`DatabaseTransaction::commit`] does, and says whether the jobs may have been stored where it
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
pub async fn commit(tx: DatabaseTransaction) -> Result<(), Error> {
    tx.commit().await.map_err(|error| refusal(error, true).at_commit())
}

fn refusal(error: DbErr, is_inside: bool) -> Refusal {
    let refusal = match of_sqlx(&error) {
        Some(SqlxError::Database(database)) => {
            let (code, message) = (database.code().map(String::from), database.message().to_owned());
            Refusal::new(code.as_deref(), message, error)
        }
        Some(SqlxError::Io(_) | SqlxError::Tls(_) | SqlxError::Protocol(_) | SqlxError::WorkerCrashed) => {
            Refusal::lost(error)
        }
        _ => Refusal::new(None, error.to_string(), error),
    };
    if is_inside { refusal } else { refusal.outside_transaction() }
}

/// SeaORM's driver is sqlx, and only its error has the code.
fn of_sqlx(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}
