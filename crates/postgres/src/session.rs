//! A connection in use: statements, and transactions that never outlive it half done.

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

/// The way to the server.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every session is of the large one, which a box would only add to"
)]
enum Link {
    /// A connection of a pool.
    Pooled(Object),
    /// A transaction of the caller's.
    Lent(Borrower),
    /// It was given back.
    Closed,
}

/// A connection taken from a pool. Dropped in the middle of a statement or a transaction it is closed instead of given
/// back, and the server rolls back.
pub(crate) struct Session {
    link: Link,
    statements: Arc<Statements>,
    cursors: Arc<Cursors>,
    /// The first job of each queue and priority that the transaction made available.
    available: HashMap<(i32, i16), Position>,
    naming: Naming,
    settings: Settings,
    /// A statement was sent whose answer has not come, or a transaction is open.
    is_open: bool,
}

impl Session {
    pub(crate) fn new(
        object: Object,
        statements: Arc<Statements>,
        cursors: Arc<Cursors>,
        naming: Naming,
        lease: Duration,
    ) -> Self {
        let (link, settings) = (Link::Pooled(object), Settings::ours(naming == Naming::Unnamed, lease));
        Self { link, statements, cursors, available: HashMap::new(), naming, settings, is_open: false }
    }

    /// Leaves the settings of its transactions to whoever has them, until [ours](Self::comes_to_ours) are needed.
    pub(crate) fn with_settings_of_its_own(mut self) -> Self {
        self.settings = self.settings.theirs();
        self
    }

    /// A session whose statements go to the lender of a connection.
    pub(crate) fn lent(borrower: Borrower, statements: Arc<Statements>, cursors: Arc<Cursors>) -> Self {
        let (link, naming) = (Link::Lent(borrower), Naming::Unnamed);
        let settings = Settings::ours(true, LONGEST_IDLE).theirs();
        Self { link, statements, cursors, available: HashMap::new(), naming, settings, is_open: false }
    }

    /// The rows of a statement that is a transaction of its own, or a part of the one that was begun.
    pub(crate) async fn query(&mut self, sql: Sql, params: &Params<'_>) -> Answer<Vec<Row>> {
        let was_open = std::mem::replace(&mut self.is_open, true);
        let mut rows = Vec::new();
        let answer = self.send(was_open, (sql, params), keep(&mut rows)).await.map(|()| rows);
        // After an error a transaction is as good as rolled back, and the connection is not worth keeping.
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

    /// Two statements one after the other, each a transaction of its own outside of one that was begun, in one round trip.
    /// Each row of the first is told when it comes, which may be long before the statement is committed.
    pub(crate) async fn query_each_and(
        &mut self,
        first: (Sql, &Params<'_>),
        each: impl FnMut(Row) -> Answer<()>,
        second: (Sql, &Params<'_>),
    ) -> Answer<Vec<Row>> {
        let was_open = std::mem::replace(&mut self.is_open, true);
        let mut rows = Vec::new();
        let first = self.send(was_open, first, each);
        let answer = try_join(first, self.send(was_open, second, keep(&mut rows))).await;
        self.is_open = was_open || answer.is_err();
        answer.map(|_| rows)
    }

    /// Begins a transaction at READ COMMITTED. Without a commit it is rolled back when the session is dropped, and by the
    /// server when it hears nothing for as long as a lease: a network that died must not keep a claim.
    pub(crate) async fn begin(&mut self) -> Answer<()> {
        self.is_open = true;
        self.control(&self.settings.begin()).await
    }

    /// Begins a transaction that may come to rows which a user's transaction has locked. It waits for them only so long, and
    /// ends with an error after which it [makes room](Self::make_room), for calls that wait for nobody.
    pub(crate) async fn begin_in_turns(&mut self) -> Answer<()> {
        self.is_open = true;
        self.control(&self.settings.begin_in_turns()).await
    }

    /// Gives the connection back in order when a turn was over. The call is begun anew then.
    pub(crate) async fn make_room<T>(&mut self, answer: Answer<T>) -> Answer<T> {
        if answer.as_ref().is_err_and(Fail::is_end_of_turn) {
            self.roll_back().await?;
        }
        answer
    }

    /// Begins a transaction that only reads, all of it as of its first statement.
    pub(crate) async fn begin_snapshot(&mut self) -> Answer<()> {
        self.is_open = true;
        self.control(&self.settings.begin_snapshot()).await
    }

    /// From here on a transaction with settings of its own has our statements, until it commits.
    pub(crate) async fn comes_to_ours(&mut self) -> Answer<()> {
        self.batch(&self.settings.of_ours_in_theirs()).await
    }

    /// Commits. An error without an answer of the server leaves open whether it did.
    pub(crate) async fn commit(&mut self) -> Answer<()> {
        let answer = self.control("COMMIT").await;
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
        self.control("ROLLBACK").await?;
        self.is_open = false;
        Ok(())
    }

    /// Runs statements without parameters, several in one text.
    pub(crate) async fn batch(&mut self, text: &str) -> Answer<()> {
        let was_open = std::mem::replace(&mut self.is_open, true);
        let answer = self.control(text).await;
        self.is_open = was_open || answer.is_err();
        answer
    }

    async fn control(&self, text: &str) -> Answer<()> {
        self.client()?.batch_execute(text).await.map_err(Fail::Broken)
    }

    /// The driver's client, for what is not a statement of `sql/`.
    pub(crate) fn client(&self) -> Answer<&deadpool_postgres::ClientWrapper> {
        match &self.link {
            Link::Pooled(object) => Ok(object),
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
        if let Link::Pooled(object) = std::mem::replace(&mut self.link, Link::Closed)
            && self.is_open
        {
            drop(Object::take(object));
        }
    }
}
