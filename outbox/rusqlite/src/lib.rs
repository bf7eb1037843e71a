#![doc = include_str!("../README.md")]

use gristmill_outbox::{BlockingDriver, Call, Database, InBlockingTransaction, Refusal};
#[doc(no_inline)]
pub use gristmill_outbox::{Error, Outbox, OutboxFilter, OutboxJob, OutboxPage, RequestReceipt};
use rusqlite::{Savepoint, Transaction};

/// One of rusqlite's connections, as the outbox uses it; [`Within::within`] makes it.
#[derive(Debug)]
pub struct Connection<'c> {
    connection: &'c rusqlite::Connection,
    is_transaction: bool,
}

/// Adds `within` to the outbox.
pub trait Within {
    /// Acts in a [`Transaction`] or a [`Savepoint`], or on a [connection](rusqlite::Connection), in the
    /// transaction that it is in. What a pool lends is passed as `&*lent`.
    fn within<'c>(&self, tx: &'c impl Caller) -> InBlockingTransaction<'_, Connection<'c>>;
}

impl Within for Outbox {
    fn within<'c>(&self, tx: &'c impl Caller) -> InBlockingTransaction<'_, Connection<'c>> {
        self.in_blocking_transaction(tx.connection())
    }
}

/// What [`Within::within`] takes: a transaction, a savepoint, or a connection.
pub trait Caller {
    /// Its connection.
    fn connection(&self) -> Connection<'_>;
}

impl Caller for Transaction<'_> {
    fn connection(&self) -> Connection<'_> {
        Connection { connection: self, is_transaction: true }
    }
}

impl Caller for Savepoint<'_> {
    fn connection(&self) -> Connection<'_> {
        Connection { connection: self, is_transaction: true }
    }
}

/// Whether a transaction was begun on it, SQLite alone knows.
impl Caller for rusqlite::Connection {
    fn connection(&self) -> Connection<'_> {
        Connection { connection: self, is_transaction: false }
    }
}

impl BlockingDriver for Connection<'_> {
    fn database(&self) -> Database {
        Database::Sqlite
    }

    fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        let is_inside = !self.connection.is_autocommit();
        if self.is_transaction && !is_inside {
            return Err(Refusal::rolled_back());
        }
        let answer = self
            .connection
            .prepare_cached(call.statement())
            .and_then(|mut statement| statement.query_row([call.request()], |row| row.get(0)));
        answer.map_err(|error| {
            let refusal = refusal(error);
            if is_inside { refusal } else { refusal.outside_transaction() }
        })
    }
}

/// Commits as [`Transaction::commit`] does, and says whether the jobs may have been stored where it fails.
/// The transaction is rolled back then.
///
/// # Errors
/// [`certainty`](Error::certainty) is `MaybeStored` where the disk has failed: what was written before may be
/// found when the file is opened again. Nothing is stored where others hold the file; the whole transaction
/// can be repeated.
pub fn commit(tx: Transaction<'_>) -> Result<(), Error> {
    tx.commit().map_err(|error| refusal(error).at_commit())
}

fn refusal(error: rusqlite::Error) -> Refusal {
    let code = error.sqlite_error().map(|failure| failure.extended_code.to_string());
    let message = error.to_string();
    Refusal::new(code.as_deref(), message, error)
}
