//! A connection in use: statements, and transactions that never outlive it half done.
//!
//! No statement waits on the server for longer than a turn for a lock, see `settings.rs`, and none outlives
//! its call: a session that is dropped while it waits for an answer has its statement cancelled, see
//! `cleanup.rs`.

mod settings;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::{try_join, try_join3};
use futures_util::stream::TryStreamExt as _;
use gristmill_core::{BackendError, BackendErrorKind};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use crate::cleanup::Cleanup;
use crate::cursor::{Cursors, Position};
use crate::error::{Answer, Fail};
use crate::lent::Borrower;
use crate::statement::{Sql, Statements};

pub(crate) use self::settings::LONGEST_IDLE;
use self::settings::Settings;

/// Parameters of a statement, in the order of their numbers.
pub(crate) type Params<'p> = [&'p (dyn ToSql + Sync)];

/// How statements reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Prepared once a connection.
    Prepared,
    /// Sent anew each time: what a transaction pooler needs.
    Unnamed,
}

/// How long a transaction waits for a lock at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// A turn.
    None,
    /// Hardly at all.
    Much,
}

/// The way to the server.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every session is of the large one, which a box would only add to"
)]
enum Link {
    /// A connection of a pool, and what is done when it is dropped in use.
    Pooled(Object, Arc<Cleanup>),
    /// A transaction of the caller's.
    Lent(Borrower),
    /// It was given back.
    Closed,
}

/// A connection taken from a pool. Dropped in the middle of a transaction it is rolled back, and in the
/// middle of a statement that is cancelled.
pub(crate) struct Session {
    link: Link,
    statements: Arc<Statements>,
    cursors: Arc<Cursors>,
    /// The first job of each queue and priority that the transaction made available.
    available: HashMap<(i32, i16), Position>,
    naming: Naming,
    settings: Settings,
    /// The connection may not be given back as it is: a transaction is open, or an answer was lost.
    is_open: bool,
    /// A statement was sent whose answer has not come.
    awaits: bool,
    /// The server is not one to stay with: it takes no writes.
    is_stale: bool,
}

impl Session {
    pub(crate) fn new(
        object: Object,
        cleanup: Arc<Cleanup>,
        statements: Arc<Statements>,
        cursors: Arc<Cursors>,
        naming: Naming,
        lease: Duration,
    ) -> Self {
        let settings = Settings::ours(naming == Naming::Unnamed, lease);
        Self::over(Link::Pooled(object, cleanup), statements, cursors, naming, settings)
    }

    fn over(
        link: Link,
        statements: Arc<Statements>,
        cursors: Arc<Cursors>,
        naming: Naming,
        settings: Settings,
    ) -> Self {
        Self {
            link,
            statements,
            cursors,
            available: HashMap::new(),
            naming,
            settings,
            is_open: false,
            awaits: false,
            is_stale: false,
        }
    }

    /// Leaves the settings of its transactions as their owner has them, until [ours](Self::comes_to_ours) are
    /// needed.
    pub(crate) fn with_settings_of_its_own(mut self) -> Self {
        self.settings = self.settings.theirs();
        self
    }

    /// A session whose statements go to the lender of a connection.
    pub(crate) fn lent(borrower: Borrower, statements: Arc<Statements>, cursors: Arc<Cursors>) -> Self {
        let settings = Settings::ours(true, LONGEST_IDLE).theirs();
        Self::over(Link::Lent(borrower), statements, cursors, Naming::Unnamed, settings)
    }

    /// The rows of a statement that is a transaction of its own, or a part of the one that was begun.
    pub(crate) async fn query(&mut self, sql: Sql, params: &Params<'_>) -> Answer<Vec<Row>> {
        let was_open = std::mem::replace(&mut self.is_open, true);
        self.awaits = true;
        let mut rows = Vec::new();
        let answer = self.send(was_open, (sql, params), keep(&mut rows)).await.map(|()| rows);
        self.answered(&answer);
        self.is_open = was_open || answer.as_ref().is_err_and(|fail| !fail.is_of_server());
        answer
    }

    /// The one row of a statement.
    pub(crate) async fn query_one(&mut self, sql: Sql, params: &Params<'_>) -> Answer<Row> {
        let row = self.query(sql, params).await?.into_iter().next();
        row.ok_or_else(|| crate::error::undecodable("answer").into())
    }

    /// The first row of a statement, if there is one.
    pub(crate) async fn query_opt(&mut self, sql: Sql, params: &Params<'_>) -> Answer<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement for its effect.
    pub(crate) async fn execute(&mut self, sql: Sql, params: &Params<'_>) -> Answer<()> {
        self.query(sql, params).await.map(drop)
    }

    /// Two statements one after the other, each a transaction of its own outside of one that was begun, in
    /// one round trip. `each` receives the rows of the first as they arrive, which may be long before that
    /// statement commits.
    pub(crate) async fn query_each_and(
        &mut self,
        first: (Sql, &Params<'_>),
        each: impl FnMut(Row) -> Answer<()>,
        second: (Sql, &Params<'_>),
    ) -> Answer<Vec<Row>> {
        let was_open = std::mem::replace(&mut self.is_open, true);
        self.awaits = true;
        let mut rows = Vec::new();
        let first = self.send(was_open, first, each);
        let answer = try_join(first, self.send(was_open, second, keep(&mut rows))).await;
        self.answered(&answer);
        self.is_open = was_open || answer.is_err();
        answer.map(|_| rows)
    }

    /// Begins a transaction at READ COMMITTED. Without a commit it is rolled back when the session is
    /// dropped, and by the server when it hears nothing for as long as a lease: a network that died must not
    /// keep a claim.
    pub(crate) async fn begin(&mut self) -> Answer<()> {
        self.is_open = true;
        self.awaited(&self.settings.begin()).await
    }

    /// Begins a transaction as [`begin`](Self::begin) does, that hardly waits for a lock.
    pub(crate) async fn begin_hasty(&mut self) -> Answer<()> {
        self.is_open = true;
        self.awaited(&self.settings.begin_hasty()).await
    }

    /// Begins a transaction as [`begin`](Self::begin) does, which the server rolls back after two seconds
    /// without a statement.
    pub(crate) async fn begin_brief(&mut self, haste: Haste) -> Answer<()> {
        self.is_open = true;
        let settings = self.settings.brief();
        self.awaited(&match haste {
            Haste::None => settings.begin(),
            Haste::Much => settings.begin_hasty(),
        })
        .await
    }

    /// Begins a transaction that only reads, all of it as of its first statement.
    pub(crate) async fn begin_snapshot(&mut self) -> Answer<()> {
        self.is_open = true;
        self.awaited(&self.settings.begin_snapshot()).await
    }

    /// From here on a transaction with settings of its own has our statements, until it commits. Those wait
    /// for locks until the call's deadline, since the transaction cannot be begun anew.
    pub(crate) async fn comes_to_ours(&mut self) -> Answer<()> {
        self.batch(&self.settings.of_ours_in_theirs()).await
    }

    /// Commits. An error without an answer of the server leaves open whether it did.
    pub(crate) async fn commit(&mut self) -> Answer<()> {
        let answer = self.awaited("COMMIT").await;
        self.lower_cursors();
        answer?;
        self.is_open = false;
        Ok(())
    }

    fn lower_cursors(&mut self) {
        for ((queue, priority), first) in self.available.drain() {
            self.cursors.lower(queue, priority, first.run_at_ms, first.id);
        }
    }

    /// Notes that the transaction makes a job available: once it has committed, fetches begin before the job.
    pub(crate) fn makes_available(&mut self, queue: i32, priority: i16, run_at_ms: i64, id: Uuid) {
        let job = Position { run_at_ms, id };
        self.available.entry((queue, priority)).and_modify(|first| *first = job.min(*first)).or_insert(job);
    }

    /// Rolls back, so that the connection can be used again.
    pub(crate) async fn roll_back(&mut self) -> Answer<()> {
        self.available.clear();
        self.awaited("ROLLBACK").await?;
        self.is_open = false;
        Ok(())
    }

    /// Runs statements without parameters, several in one text.
    pub(crate) async fn batch(&mut self, text: &str) -> Answer<()> {
        let was_open = std::mem::replace(&mut self.is_open, true);
        let answer = self.awaited(text).await;
        self.is_open = was_open || answer.is_err();
        answer
    }

    async fn awaited(&mut self, text: &str) -> Answer<()> {
        self.awaits = true;
        let answer = self.control(text).await;
        self.answered(&answer);
        answer
    }

    fn answered<T>(&mut self, answer: &Answer<T>) {
        self.awaits = false;
        self.is_stale |= answer.as_ref().is_err_and(Fail::is_read_only);
    }

    async fn control(&self, text: &str) -> Answer<()> {
        self.client()?.batch_execute(text).await.map_err(Fail::Broken)
    }

    /// The driver's client, for what is not a statement of `sql/`.
    pub(crate) fn client(&self) -> Answer<&deadpool_postgres::ClientWrapper> {
        match &self.link {
            Link::Pooled(object, _) => Ok(object),
            Link::Lent(_) | Link::Closed => {
                let message = "a transaction of the caller's is the caller's to begin and to end";
                Err(BackendError::new(BackendErrorKind::Internal, message).into())
            }
        }
    }

    /// The name of the schema.
    pub(crate) fn schema(&self) -> &str {
        self.statements.schema()
    }

    /// Sends a statement within a transaction that was begun, or as one of its own.
    async fn send(
        &self,
        was_begun: bool,
        (sql, params): (Sql, &Params<'_>),
        each: impl FnMut(Row) -> Answer<()>,
    ) -> Answer<()> {
        let sent = self.send_plain(sql, params, each);
        if was_begun || !self.settings.are_of_each_statement() {
            return sent.await;
        }
        let begin = self.settings.begin();
        // In one round trip. When the statement is refused, the commit behind it rolls back.
        try_join3(self.control(&begin), sent, self.control("COMMIT")).await.map(|_| ())
    }

    async fn send_plain(
        &self,
        sql: Sql,
        params: &Params<'_>,
        mut each: impl FnMut(Row) -> Answer<()>,
    ) -> Answer<()> {
        let ready = self.statements.of(sql);
        if let Link::Lent(borrower) = &self.link {
            return borrower.ask(ready, params).await?.into_iter().try_for_each(each);
        }
        let client = self.client()?;
        let rows = match self.naming {
            Naming::Prepared => {
                let statement: Statement = client.prepare_typed_cached(&ready.text, &ready.types).await?;
                client.query_raw(&statement, params.iter().copied()).await
            }
            Naming::Unnamed => {
                let typed = params.iter().copied().zip(ready.types.iter().cloned());
                client.query_typed_raw(&ready.text, typed).await
            }
        };
        let mut rows = pin!(rows.map_err(Fail::Broken)?);
        while let Some(row) = rows.try_next().await.map_err(Fail::Broken)? {
            each(row)?;
        }
        Ok(())
    }
}

/// Keeps the rows that a statement gives.
fn keep(rows: &mut Vec<Row>) -> impl FnMut(Row) -> Answer<()> {
    |row| {
        rows.push(row);
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A commit whose answer has not come may have been done.
        self.lower_cursors();
        let Link::Pooled(object, cleanup) = std::mem::replace(&mut self.link, Link::Closed) else { return };
        // What a handler has sent on its own connection is not known.
        let may_await = self.awaits || (self.is_open && self.settings.are_theirs());
        if may_await {
            cleanup.cancel(object);
        } else if self.is_stale {
            drop(Object::take(object));
        } else if self.is_open {
            cleanup.roll_back(object);
        }
    }
}
