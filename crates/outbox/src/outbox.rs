//! The handle that a program keeps: where its jobs are, and where their ids come from.

use std::sync::Arc;

use gristmill_core::{Args, Clock, Enqueue, Error, IdSource, Job, JobId, JobOptions, NewJob, SystemClock};

use crate::statement::{Database, Statements};
use crate::{BlockingDriver, Driver, InBlockingTransaction, InTransaction};

/// Where the jobs are unless another schema is named.
const DEFAULT_SCHEMA: &str = "gristmill";
/// The longest name PostgreSQL keeps, in bytes; of a longer one it drops the rest.
const MAX_SCHEMA_BYTES: usize = 63;

/// Enqueues inside the caller's transactions. It holds no connection; cloning is cheap, and clones share the
/// source of ids.
///
/// An adapter adds the method `within`, which takes the caller's transaction:
///
/// ```text
/// let outbox = Outbox::postgres();
/// let mut tx = pool.begin().await?;
/// sqlx::query("INSERT INTO users …").execute(&mut *tx).await?;
/// outbox.within(&mut tx).enqueue(Welcome { user_id: 7 }).await?;
/// tx.commit().await?;
/// ```
///
/// The enqueue middleware of a client and its hooks see nothing of these jobs. Where middleware is needed,
/// the client prepares the job (`Client::prepare`), and [`enqueue_prepared`](InTransaction::enqueue_prepared)
/// stores it.
///
/// What must be stored although the transaction rolls back does not go through an outbox, but through a
/// client of its own connection (`Client::enqueue`).
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
    schema: Arc<str>,
    statements: Arc<Statements>,
    actor: Option<Arc<str>>,
    clock: Arc<dyn Clock>,
    ids: Arc<IdSource>,
}

impl Outbox {
    fn new(database: Database, statements: Statements) -> Self {
        Self {
            database,
            schema: DEFAULT_SCHEMA.into(),
            statements: Arc::new(statements),
            actor: None,
            clock: Arc::new(SystemClock),
            ids: Arc::default(),
        }
    }

    /// The jobs of a PostgreSQL database, in the schema `gristmill`.
    pub fn postgres() -> Self {
        Self::new(Database::Postgres, Statements::postgres(DEFAULT_SCHEMA))
    }

    /// The jobs in an SQLite file, which is the caller's own: its tables are beside Gristmill's.
    pub fn sqlite() -> Self {
        Self::new(Database::Sqlite, Statements::sqlite())
    }

    /// Another schema of a PostgreSQL database; default `gristmill`. 1 to 63 bytes without NUL; another name
    /// is refused by the first call, before anything is sent. SQLite has no schemas.
    pub fn schema(mut self, schema: &str) -> Self {
        self.schema = schema.into();
        if self.database == Database::Postgres {
            self.statements = Arc::new(Statements::postgres(schema));
        }
        self
    }

    /// Name of the operator in the events of jobs that are cancelled or updated; default none. NUL, which not
    /// every database can store, becomes U+FFFD.
    pub fn actor(mut self, actor: &str) -> Self {
        self.actor = Some(actor.replace('\0', "\u{fffd}").into());
        self
    }

    /// The clock that ids are made by; default the machine's. When a job is due is decided by the database's
    /// clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What it leads to.
    pub fn database(&self) -> Database {
        self.database
    }

    /// A new job id. Each is greater than the one before.
    pub fn mint_id(&self) -> JobId {
        self.ids.next(self.clock.now())
    }

    /// Checks a job and gives it its id, without sending it. For enqueueing it with
    /// [`enqueue_prepared`](InTransaction::enqueue_prepared), as often as need be: the id makes repeats
    /// harmless.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) lists everything that is wrong with the job.
    ///
    /// ```
    /// use gristmill_core::{Job, JobExt};
    /// use gristmill_outbox::Outbox;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Welcome { user_id: i64 }
    /// impl Job for Welcome { const KIND: &'static str = "email.welcome"; type Output = (); }
    ///
    /// let outbox = Outbox::postgres().schema("jobs");
    /// let job = outbox.prepare(Welcome { user_id: 7 }.priority(-3))?;
    /// assert_eq!(job.spec.kind.as_str(), "email.welcome");
    /// assert!(outbox.prepare(Welcome { user_id: 8 }.priority(11)).is_err());
    /// # Ok::<(), gristmill_core::Error>(())
    /// ```
    pub fn prepare<J: Job>(&self, job: impl Into<Enqueue<J>>) -> Result<NewJob, Error> {
        Ok(job.into().prepare(self.mint_id())?)
    }

    /// As [`Self::prepare`], without a Rust type: any kind, JSON as args.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn prepare_raw(&self, kind: &str, json: &str, options: JobOptions) -> Result<NewJob, Error> {
        let args =
            Args::from_json(json.to_owned()).map_err(|error| Error::invalid(format!("args: {error}")))?;
        Ok(options.prepare(self.mint_id(), kind, args)?)
    }

    /// For adapters: acts through this connection, in the transaction that it is in.
    pub fn in_transaction<D: Driver>(&self, driver: D) -> InTransaction<'_, D> {
        InTransaction::new(self, driver)
    }

    /// For adapters: acts through this connection, in the transaction that it is in.
    pub fn in_blocking_transaction<D: BlockingDriver>(&self, driver: D) -> InBlockingTransaction<'_, D> {
        InBlockingTransaction::new(self, driver)
    }

    /// Whether it can be used with a connection to this database at all.
    pub(crate) fn check(&self, connected: Database) -> Result<(), Error> {
        let schema = self.schema.escape_debug();
        if self.database != connected {
            let Self { database, .. } = self;
            return Err(Error::invalid(format!(
                "the outbox is of {database}, the connection of {connected}"
            ))
            .with_hint(match connected {
                Database::Postgres => "make it with `Outbox::postgres()`",
                Database::Sqlite => "make it with `Outbox::sqlite()`",
            }));
        }
        if self.database == Database::Sqlite && &*self.schema != DEFAULT_SCHEMA {
            return Err(Error::invalid(format!("SQLite has no schema `{schema}`"))
                .with_hint("leave `Outbox::schema` away; the jobs are in the file that is connected to"));
        }
        if self.schema.is_empty() || self.schema.len() > MAX_SCHEMA_BYTES || self.schema.contains('\0') {
            return Err(Error::invalid(format!(
                "`{schema}` is not the name of a schema; it has 1 to {MAX_SCHEMA_BYTES} bytes and no NUL"
            )));
        }
        Ok(())
    }

    /// The store's name in messages.
    pub(crate) fn shown(&self) -> String {
        match self.database {
            Database::Postgres => format!("the schema `{}`", self.schema.escape_debug()),
            Database::Sqlite => "the file".to_owned(),
        }
    }

    pub(crate) fn statements(&self) -> &Arc<Statements> {
        &self.statements
    }

    pub(crate) fn acting(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    pub(crate) fn schema_name(&self) -> &str {
        &self.schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_a_text_that_every_database_can_store() {
        assert_eq!(Outbox::postgres().actor("a\0b").acting(), Some("a\u{fffd}b"));
    }
}
