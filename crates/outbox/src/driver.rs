//! What an adapter implements: how one call travels through its driver.

use std::future::Future;

use crate::{Call, Database, Refusal};

/// A connection of an asynchronous driver, usually in the caller's transaction.
///
/// ```
/// use gristmill_outbox::{Call, Database, Driver, Refusal};
///
/// # struct Client;
/// # impl Client {
/// #     async fn text(&mut self, _: &str, _: &[&str]) -> std::io::Result<String> { Ok(String::new()) }
/// # }
/// struct Adapter<'c>(&'c mut Client);
///
/// impl Driver for Adapter<'_> {
///     fn database(&self) -> Database {
///         Database::Postgres
///     }
///
///     async fn send(&mut self, call: &Call) -> Result<String, Refusal> {
///         let answer = self.0.text(call.statement(), &[call.request()]).await;
///         answer.map_err(|error| Refusal::new(None, error.to_string(), error))
///     }
/// }
/// ```
pub trait Driver: Send {
    /// What the connection leads to. A call for another database is refused before it is sent.
    fn database(&self) -> Database;

    /// Sends [`Call::statement`] with [`Call::request`] as its only parameter, a text, and returns the only
    /// column of the only row, a text.
    ///
    /// SQLite may have ended the transaction by itself, and the job would be stored alone: where the driver
    /// says that it is in a transaction and SQLite is not, an adapter answers [`Refusal::rolled_back`].
    /// Either the driver tells (`sqlite3_get_autocommit`), or [`Refusal::SQLITE_PROBE`] does.
    ///
    /// # Errors
    /// [`Refusal`] says what the driver said.
    ///
    /// # Cancel safety
    /// That of the driver: dropped, the statement may have been executed in the transaction.
    fn send(&mut self, call: &Call) -> impl Future<Output = Result<String, Refusal>> + Send;
}

/// As [`Driver`], for a driver that blocks its thread.
pub trait BlockingDriver {
    /// What the connection leads to. A call for another database is refused before it is sent.
    fn database(&self) -> Database;

    /// As [`Driver::send`].
    ///
    /// # Errors
    /// [`Refusal`] says what the driver said.
    fn send(&mut self, call: &Call) -> Result<String, Refusal>;
}
