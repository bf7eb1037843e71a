//! How a backend is set up.

use std::fmt;
use std::time::Duration;

use gristmill_core::{BackendError, BackendErrorKind};
use tokio_postgres::Config;

use crate::handle::Postgres;
use crate::session::Naming;
use crate::url;

/// Where the jobs are unless another schema is named.
pub(crate) const DEFAULT_SCHEMA: &str = "gristmill";

/// Settings of a PostgreSQL backend; see [`Postgres::builder`].
#[derive(Clone)]
#[must_use]
pub struct PostgresBuilder {
    pub(crate) config: Config,
    pub(crate) schema: String,
    pub(crate) connections: usize,
    pub(crate) handler_connections: usize,
    pub(crate) naming: Naming,
    pub(crate) verifies: bool,
    pub(crate) connect_timeout: Duration,
}

/// Without user, password and options of the driver.
impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBuilder")
            .field("server", &self.shown())
            .field("connections", &self.connections)
            .field("handler_connections", &self.handler_connections)
            .field("naming", &self.naming)
            .field("verifies", &self.verifies)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

impl PostgresBuilder {
    pub(crate) fn new(config: Config) -> Self {
        let connect_timeout = config.get_connect_timeout().copied();
        Self {
            config,
            schema: DEFAULT_SCHEMA.to_owned(),
            connections: 5,
            handler_connections: 10,
            naming: Naming::Prepared,
            verifies: false,
            connect_timeout: connect_timeout.unwrap_or(Duration::from_secs(5)),
        }
    }

    /// Where the server and the schema are, without user and password: for people.
    pub fn shown(&self) -> String {
        url::shown(&self.config, &self.schema)
    }

    /// The statements that make the schema, see [`Postgres::schema_sql`].
    pub fn schema_sql(&self) -> String {
        Postgres::schema_sql(&self.schema)
    }

    /// The schema that holds the tables; default `gristmill`. Two schemas of one database are two stores. 1 to 63 bytes.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// How many connections fetches, finishes, enqueues and maintenance share; default 5, at least 1. Under load a worker
    /// has three fetches and one finish under way, each of up to a thousand jobs and more; fewer connections make it
    /// slower, no more. Heartbeats and reads have four more of their own, and one listens.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How many connections handlers may hold for transactions of their own at a time; default 10, at least 1. A handler
    /// that finds none waits for a call's deadline, then its job is put off; heartbeats and finishes do not wait. As many as
    /// the slots of handlers with transactions are best.
    pub fn handler_connections(mut self, connections: usize) -> Self {
        self.handler_connections = connections;
        self
    }

    /// For a transaction pooler such as PgBouncer in transaction mode between here and the server: nothing is prepared,
    /// nothing is set for a session, and nobody listens, so that workers find jobs by polling.
    pub fn behind_transaction_pooler(mut self) -> Self {
        self.naming = Naming::Unnamed;
        self
    }

    /// How long a connection may take to be made; default `connect_timeout` of the URL (seconds), or 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Connects to nothing yet: connections are made as they are needed.
    ///
    /// # Errors
    /// [`Refused`](BackendErrorKind::Refused) for a setting that cannot be, with all that is wrong.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(self) -> Result<Postgres, BackendError> {
        let mut wrong = Vec::new();
        if self.schema.is_empty() || self.schema.len() > 63 || self.schema.contains('\0') {
            wrong.push("a schema's name has 1 to 63 bytes and no NUL");
        }
        // Whatever is made in a temporary schema is gone with its connection.
        if self.schema.starts_with("pg_") || self.schema == "information_schema" {
            wrong.push("a schema whose name begins with `pg_`, or is `information_schema`, is the server's own: name another");
        }
        if self.connections == 0 {
            wrong.push("`connections` is at least 1");
        }
        if self.handler_connections == 0 {
            wrong.push("`handler_connections` is at least 1");
        }
        if !wrong.is_empty() {
            return Err(BackendError::new(BackendErrorKind::Refused, wrong.join("; ")));
        }
        Postgres::open(&self)
    }
}
