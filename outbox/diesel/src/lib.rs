#![doc = include_str!("../README.md")]

use diesel::connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager as _};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel::{QueryResult, RunQueryDsl};
use gristmill_outbox::{BlockingDriver, Call, Database, InBlockingTransaction, Refusal};
#[doc(no_inline)]
pub use gristmill_outbox::{Error, Outbox, OutboxFilter, OutboxJob, OutboxPage, RequestReceipt};

/// One of diesel's connections, as the outbox uses it; [`Within::within`] makes it.
#[expect(missing_debug_implementations, reason = "diesel's connection has none")]
pub struct Connection<'c>(&'c mut SqliteConnection);

/// Adds `within` to the outbox.
pub trait Within {
    /// Acts in the transaction that the connection is in. What a pool lends is taken as well: it leads to its
    /// connection.
    fn within<'c>(&self, connection: &'c mut SqliteConnection) -> InBlockingTransaction<'_, Connection<'c>>;
}

impl Within for Outbox {
    fn within<'c>(&self, connection: &'c mut SqliteConnection) -> InBlockingTransaction<'_, Connection<'c>> {
        self.in_blocking_transaction(Connection(connection))
    }
}

impl BlockingDriver for Connection<'_> {
    fn database(&self) -> Database {
        Database::Sqlite
    }

    fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        let status = AnsiTransactionManager::transaction_manager_status_mut(self.0);
        let is_inside = matches!(status.transaction_depth(), Ok(Some(_)));
        // What diesel counts, SQLite may have ended.
        if is_inside && self.0.batch_execute(Refusal::SQLITE_PROBE).is_ok() {
            return Err(Refusal::rolled_back());
        }
        Statement(call).get_result(self.0).map_err(|error| {
            let refusal = refusal(error);
            if is_inside { refusal } else { refusal.outside_transaction() }
        })
    }
}

/// Ends what [`AnsiTransactionManager`] began, as its `commit_transaction` does, and says whether the jobs
/// may have been stored where it fails. The transaction is rolled back then. Inside of a nested transaction
/// it ends that one only.
///
/// # Errors
/// [`certainty`](Error::certainty) is `MaybeStored` where the disk has failed: what was written before may be
/// found when the file is opened again. Nothing is stored where others hold the file; the whole transaction
/// can be repeated.
pub fn commit(connection: &mut SqliteConnection) -> Result<(), Error> {
    AnsiTransactionManager::commit_transaction(connection).map_err(|error| refusal(error).at_commit())
}

fn refusal(error: DieselError) -> Refusal {
    // SQLite's message is all that diesel tells, not its code.
    let message = match &error {
        DieselError::DatabaseError(_, database) => database.message().to_owned(),
        DieselError::RollbackErrorOnCommit { commit_error, .. } => commit_error.to_string(),
        _ => error.to_string(),
    };
    Refusal::new(None, message, error)
}

/// A call as a query of diesel's. `sql_query` would do, but is prepared anew each time, with all the triggers
/// behind it.
struct Statement<'c>(&'c Call);

impl QueryFragment<Sqlite> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let (call, mut is_first) = (self.0, true);
        for text in call.statement().split("?1") {
            if !std::mem::take(&mut is_first) {
                out.push_bind_param::<Text, str>(call.request())?;
            }
            out.push_sql(text);
        }
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

impl RunQueryDsl<SqliteConnection> for Statement<'_> {}
