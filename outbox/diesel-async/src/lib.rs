#![doc = include_str!("../README.md")]

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind as Kind, Error as DieselError};
use diesel::{QueryResult, sql_types::Text};
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
    TransactionManager as _,
};
use gristmill_outbox::{Call, Database, Driver, InTransaction, Refusal};
#[doc(no_inline)]
pub use gristmill_outbox::{Error, Outbox, OutboxFilter, OutboxJob, OutboxPage, RequestReceipt};

/// One of diesel-async's connections, as the outbox uses it; [`Within::within`] makes it.
#[expect(missing_debug_implementations, reason = "diesel-async's connection has none")]
pub struct Connection<'c>(&'c mut AsyncPgConnection);

/// Adds `within` to the outbox.
pub trait Within {
    /// Acts in the transaction that the connection is in. What a pool lends is taken as well: it leads to its
    /// connection.
    fn within<'c>(&self, connection: &'c mut AsyncPgConnection) -> InTransaction<'_, Connection<'c>>;
}

impl Within for Outbox {
    fn within<'c>(&self, connection: &'c mut AsyncPgConnection) -> InTransaction<'_, Connection<'c>> {
        self.in_transaction(Connection(connection))
    }
}

impl Driver for Connection<'_> {
    fn database(&self) -> Database {
        Database::Postgres
    }

    async fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        let status = AnsiTransactionManager::transaction_manager_status_mut(self.0);
        let is_inside = matches!(status.transaction_depth(), Ok(Some(_)));
        match Statement(call).get_result(self.0).await {
            Ok(answer) => Ok(answer),
            Err(error) if is_inside => Err(refusal(self.0, error).await),
            Err(error) => Err(refusal(self.0, error).await.outside_transaction()),
        }
    }
}

/// Runs `body` in a transaction as [`AsyncConnection::transaction`] does, and says whether the jobs may have
/// been stored where the commit fails.
///
/// A transaction in which a statement has failed is rolled back by PostgreSQL without an error, here as
/// there.
///
/// # Errors
/// Those of `body`, after which the transaction is rolled back; diesel's where it cannot begin or be rolled
/// back; those of [`commit`].
///
/// # Cancel safety
/// That of diesel-async: dropped, the transaction stays open, and a pool throws its connection away.
///
/// [`AsyncConnection::transaction`]: diesel_async::AsyncConnection::transaction
pub async fn transaction<T, E, F>(connection: &mut AsyncPgConnection, body: F) -> Result<T, E>
where
    F: AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
    E: From<DieselError> + From<Error>,
{
    AnsiTransactionManager::begin_transaction(connection).await?;
    match body(connection).await {
        Ok(value) => {
            commit(connection).await?;
            Ok(value)
        }
        Err(error) => match AnsiTransactionManager::rollback_transaction(connection).await {
            Ok(()) | Err(DieselError::BrokenTransactionManager) => Err(error),
            Err(rollback_error) => Err(rollback_error.into()),
        },
    }
}

/// Ends what [`AnsiTransactionManager`] began, as its `commit_transaction` does, and says whether the jobs
/// may have been stored where it fails. Inside of a nested transaction it ends that one only.
///
/// # Errors
/// [`certainty`](Error::certainty) is `MaybeStored` where the connection was lost before the answer.
///
/// # Cancel safety
/// Dropped, the transaction is committed or not.
pub async fn commit(connection: &mut AsyncPgConnection) -> Result<(), Error> {
    match AnsiTransactionManager::commit_transaction(connection).await {
        Ok(()) => Ok(()),
        Err(DieselError::RollbackErrorOnCommit { commit_error, .. }) => {
            Err(refusal(connection, *commit_error).await.at_commit())
        }
        Err(error) => Err(refusal(connection, error).await.at_commit()),
    }
}

async fn refusal(connection: &mut AsyncPgConnection, error: DieselError) -> Refusal {
    let DieselError::DatabaseError(kind, database) = &error else {
        return Refusal::new(None, error.to_string(), error);
    };
    let (state, message) = (sqlstate(*kind, database.message()), database.message().to_owned());
    let is_lost = match kind {
        Kind::UnableToSendCommand | Kind::ClosedConnection => true,
        // A server that ends the connection says so first, in a language of its own. An empty statement,
        // which even an aborted transaction takes, tells whether it has.
        Kind::Unknown if state.is_none() => connection.batch_execute("").await.is_err(),
        _ => false,
    };
    if is_lost { Refusal::lost(error) } else { Refusal::new(state, message, error) }
}

/// Diesel does not tell the SQLSTATE. Some it has a kind for; others are known by the message, where the
/// server speaks English; else the message stays as it is.
fn sqlstate(kind: Kind, message: &str) -> Option<&'static str> {
    let begins = |text: &&(&str, &str)| message.starts_with(text.0);
    match kind {
        Kind::SerializationFailure => Some("40001"),
        Kind::ReadOnlyTransaction => Some("25006"),
        _ if message.ends_with("does not exist") => MISSING.iter().find(begins).map(|(_, state)| *state),
        _ => MESSAGES.iter().find(begins).map(|(_, state)| *state),
    }
}

/// How messages begin that end with "does not exist".
const MISSING: [(&str, &str); 3] = [("schema ", "3F000"), ("relation ", "42P01"), ("function ", "42883")];

/// How messages begin.
const MESSAGES: [(&str, &str); 6] = [
    ("current transaction is aborted", "25P02"),
    ("permission denied for ", "42501"),
    ("deadlock detected", "40P01"),
    ("could not obtain lock", "55P03"),
    ("canceling statement due to lock timeout", "55P03"),
    ("canceling statement due to ", "57014"),
];

/// A call as a query of diesel's. `sql_query` would do, but is prepared anew each time: one round trip more.
struct Statement<'c>(&'c Call);

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let statement = self.0.statement();
        // The last one: what stands before is the schema's name, whatever is in it.
        let (before, behind) = statement.rsplit_once("$1").unwrap_or((statement, ""));
        out.push_sql(before);
        out.push_bind_param::<Text, str>(self.0.request())?;
        out.push_sql(behind);
        Ok(())
    }
}

/// Known by its text.
impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Text;
}
