//! `postgres://…`: a server, and how to reach it.

use std::fmt;

use gristmill::backend::{Backend as _, BackendError, BackendErrorKind, Call};
use gristmill::{MigrateMode, Postgres, PostgresBuilder};

use super::Absent;
use crate::failure::{Failure, Result};

/// A server's URL, which may hold a password: it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server(String);

impl Server {
    /// Checks that the URL can be read.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let server = Self(url.to_owned());
        server.builder().map(|_| server)
    }

    fn builder(&self) -> Result<PostgresBuilder> {
        // Programs as handlers have no transactions of ours: eight connections at most, unless the URL says
        // otherwise.
        Ok(Postgres::builder(&self.0).map_err(|error| unusable(&error))?.handler_connections(0))
    }

    /// The URL, for another process of ours; not for people.
    #[cfg(feature = "bench")]
    pub(super) fn url(&self) -> &str {
        &self.0
    }

    /// Where the server is, without user and password.
    pub(super) fn shown(&self) -> String {
        self.builder().map_or_else(|_| "postgres:".to_owned(), |builder| builder.shown())
    }

    /// The statements that make the schema.
    pub(super) fn schema(&self) -> Result<String> {
        Ok(self.builder()?.schema_sql())
    }

    /// Opens the store.
    pub(super) async fn open(&self, absent: Absent) -> Result<Postgres> {
        let about = |error| Failure::from(error).about(self.shown());
        let store = self.builder()?.open().map_err(|error| unusable(&error))?;
        match absent {
            Absent::Create => drop(store.migrate(Call::new(), MigrateMode::Up).await.map_err(about)?),
            Absent::Migrate => {}
            Absent::Refuse | Absent::Read => {
                match store.migrate(Call::new(), MigrateMode::Status).await {
                    // A role that only produces may not read which version there is; what it does next says
                    // what it may.
                    Err(error) if absent == Absent::Read && error.kind() == BackendErrorKind::ReadOnly => {}
                    found => drop(found.map_err(about)?),
                }
            }
        }
        Ok(store)
    }
}

/// The URL asks for what cannot be.
fn unusable(error: &BackendError) -> Failure {
    let failure = Failure::usage(error.message());
    failure.hint(error.hint().unwrap_or("`gristmill --help` shows how the store is named"))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.shown()).finish()
    }
}
