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
    pub(crate) connections: Option<usize>,
    pub(crate) handler_connections: Option<usize>,
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
            connections: None,
            handler_connections: None,
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

    /// The schema that holds the tables; default `gristmill`. Two schemas of one database are two stores. 1
    /// to 63 bytes.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// The most connections that this handle, with its clones, has open at a time, for all purposes; default
    /// 16, at least 3. `max_connections` of the server has to hold the sum of all processes.
    ///
    /// | of 16 | for | with another number |
    /// |---|---|---|
    /// | 4 | fetches, finishes, enqueues, verbs, maintenance | a third of the rest |
    /// | 8 | transactions of handlers that take a `Tx` | what is left, or [`handler_connections`](Self::handler_connections) |
    /// | 2 | heartbeats, and the notifications that are sent | 1 of fewer than 8 |
    /// | 1 | lists and counts | with fewer than 8 they share those for work |
    /// | 1 | the notifications that are heard | none behind a transaction pooler |
    ///
    /// Connections are made when they are needed, and closed when they were idle for a minute: a worker whose
    /// handlers take no `Tx` has 8 at most. More than 4 for work gain nothing, since a worker has three
    /// fetches and one finish under way; with fewer it is slower. Examinations (`diagnose`) and requests to
    /// cancel a statement connect for a moment beside these.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = Some(connections);
        self
    }

    /// How many of the connections handlers may hold for transactions of their own at a time; default 8 of
    /// 16, may be
    /// 0. A handler that finds none waits for a call's deadline, then its job is put off; heartbeats and
    ///    finishes do
    /// not wait. As many as the slots of handlers with transactions are best. Without
    /// [`connections`](Self::connections) the others are 8.
    pub fn handler_connections(mut self, connections: usize) -> Self {
        self.handler_connections = Some(connections);
        self
    }

    /// Works through a transaction pooler, such as PgBouncer in transaction mode; default off. Statements are
    /// not prepared, and no setting of a session is used. Notifications do not arrive, so workers find jobs
    /// by polling.
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
        if !wrong.is_empty() {
            return Err(BackendError::new(BackendErrorKind::Refused, wrong.join("; ")));
        }
        Postgres::open(&self)
    }
}
