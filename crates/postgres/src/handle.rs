//! The backend's handle: pools, and what a process remembers.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use deadpool_postgres::Pool;
use gristmill_core::{
    Backend as _, BackendError, BackendErrorKind, Call, Clock as _, IdSource, Listeners, MigrateMode,
    SystemClock, Timestamp,
};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::apart::Apart;
use crate::checked::Checked;
use crate::cleanup::Cleanup;
use crate::cursor::Cursors;
use crate::dial::Dial;
use crate::enqueue::Groups;
use crate::error::{Answer, Fail};
use crate::fetch::{Near, Turns};
use crate::inflight::InFlight;
use crate::listen::Listening;
use crate::locked::Locked;
use crate::migrate;
use crate::names::Names;
use crate::notify::Outbox;
use crate::options::PostgresBuilder;
use crate::parked::Parked;
use crate::partition::Rotation;
use crate::pool;
use crate::promote::Promotions;
use crate::requests::Requests;
use crate::servers::Servers;
use crate::session::{Naming, Session};
use crate::statement::{Statements, sql};
use crate::steps::Logged;
use crate::sweep::Swept;
use crate::url;

/// How long a call with a connection of the caller's waits for a check of the schema on another one.
const APART_PATIENCE: Duration = Duration::from_secs(1);

/// Jobs in a PostgreSQL database. Cheap to clone; the clones share their connections.
#[derive(Clone)]
pub struct Postgres {
    pub(crate) inner: Arc<Inner>,
}

/// What the clones share.
///
/// No lock of these is held over an await. Of the pools, `control` is for heartbeats alone, so that neither a
/// full load nor handlers with transactions of their own can keep a worker from renewing its leases.
pub(crate) struct Inner {
    /// Itself, for the tasks it starts; they end with it.
    pub(crate) me: Weak<Inner>,
    pub(crate) runtime: Handle,
    /// Where heartbeats run, and their connections live.
    pub(crate) apart: Apart,
    pub(crate) statements: Arc<Statements>,
    pub(crate) naming: Naming,
    pub(crate) names: Names,
    pub(crate) listeners: Listeners,
    /// Where fetches go on.
    pub(crate) cursors: Arc<Cursors>,
    /// Up to where waiting jobs were promoted.
    pub(crate) promotions: Promotions,
    /// Which requests of callers were looked at.
    pub(crate) requests: Requests,
    /// Whether the jobs of fetches lie close together.
    pub(crate) near: Near,
    /// Whose turn it is to fetch.
    pub(crate) turns: Turns,
    /// Where fetches look for parked jobs, and the kinds of the workers.
    pub(crate) parked: Parked,
    /// Fetches and renewals in flight.
    pub(crate) renewals: InFlight,
    pub(crate) outbox: Outbox,
    pub(crate) listening: Listening,
    /// How a connection of no pool is made.
    pub(crate) dial: Dial,
    /// What was found locked lately.
    pub(crate) locked: Locked,
    /// Ends what dropped calls leave on their connections.
    cleanup: Arc<Cleanup>,
    /// Which server new connections reach.
    pub(crate) servers: Arc<Servers>,
    /// Of calls that meet a lock, so many hold a connection at a time.
    pub(crate) waiting: Semaphore,
    /// How far completed jobs were swept.
    pub(crate) swept: Swept,
    /// The partitions whose drop waits.
    pub(crate) rotation: Rotation,
    /// Failing steps of maintenance that were logged.
    pub(crate) logged: Logged,
    /// Single enqueues that wait for each other's company.
    pub(crate) groups: Groups,
    /// Ids of jobs that are enqueued in a caller's transaction.
    pub(crate) ids: IdSource,
    /// How far the server's clock is ahead of this machine's, in milliseconds.
    pub(crate) clock_offset_ms: AtomicI64,
    /// Of the workers that have registered here.
    pub(crate) shortest_lease_ms: AtomicU64,
    /// When the schema was found to serve this program.
    pub(crate) checked: Checked,
    /// Which store it was, by `life.sql`.
    life: Mutex<Option<String>>,
    work: Pool,
    control: Pool,
    reads: Pool,
    handlers: Option<Pool>,
}

impl Postgres {
    /// Settings for the server that a URL names, as libpq reads it:
    /// `postgres://user:password@host:5432/database?sslmode=verify-full`. Three options are ours:
    /// `schema=NAME`, `connections=N` and `pooler=transaction`; see the methods of the builder. The variables
    /// of libpq (`PGHOST`, `PGPASSWORD` and others) and its files are not read.
    ///
    /// # Errors
    /// [`Refused`](gristmill_core::BackendErrorKind::Refused) when the text does not say where a server is.
    /// It is not repeated: it may hold a password.
    pub fn builder(url: &str) -> Result<PostgresBuilder, BackendError> {
        url::parse(url)
    }

    /// Connects to the server that a URL names, see [`builder`](Self::builder), and brings its schema up to
    /// date, which needs no rights to create where there is nothing to do.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), gristmill_core::BackendError> {
    /// let store = gristmill_postgres::Postgres::connect("postgres://app@localhost/app").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As of the builder; [`Unavailable`](gristmill_core::BackendErrorKind::Unavailable) when the server
    /// cannot be reached; [`SchemaNew`](gristmill_core::BackendErrorKind::SchemaNew) when a later release
    /// migrated it and excluded this program.
    ///
    /// # Cancel safety
    /// The schema is migrated or left as it is.
    pub async fn connect(url: &str) -> Result<Self, BackendError> {
        let store = Self::builder(url)?.open()?;
        store.migrate(Call::new(), MigrateMode::Up).await?;
        Ok(store)
    }

    pub(crate) fn open(builder: &PostgresBuilder) -> Result<Self, BackendError> {
        let apart = Apart::start()?;
        let servers = Arc::new(Servers::default());
        let pools = pool::pools(builder, apart.handle(), &servers)?;
        let inner = Arc::new_cyclic(|me| Inner {
            me: Weak::clone(me),
            runtime: Handle::current(),
            apart,
            statements: Arc::new(Statements::new(&builder.schema)),
            naming: builder.naming,
            names: Names::default(),
            listeners: Listeners::default(),
            cursors: Arc::default(),
            promotions: Promotions::default(),
            requests: Requests::default(),
            near: Near::default(),
            turns: Turns::default(),
            parked: Parked::default(),
            renewals: InFlight::default(),
            outbox: Outbox::default(),
            listening: Listening::default(),
            dial: pools.dial,
            locked: Locked::default(),
            cleanup: Arc::new(pools.cleanup),
            waiting: Semaphore::new((pools.shares.work / 2).max(1)),
            servers,
            swept: Swept::default(),
            rotation: Rotation::default(),
            logged: Logged::default(),
            groups: Groups::default(),
            ids: IdSource::new(),
            clock_offset_ms: AtomicI64::new(0),
            shortest_lease_ms: AtomicU64::new(u64::MAX),
            checked: Checked::default(),
            life: Mutex::default(),
            work: pools.work,
            control: pools.control,
            reads: pools.reads,
            handlers: pools.handlers,
        });
        inner.runtime.spawn(close_unused(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }
}

impl Inner {
    /// A connection for fetches, finishes, enqueues, verbs and maintenance.
    pub(crate) async fn work(&self) -> Answer<Session> {
        self.session(&self.work).await
    }

    /// A connection for heartbeats and what a worker's life needs.
    pub(crate) async fn control(&self) -> Answer<Session> {
        self.session(&self.control).await
    }

    /// A connection for the inspection.
    pub(crate) async fn reads(&self) -> Answer<Session> {
        self.session(&self.reads).await
    }

    /// A connection for a handler's own transaction.
    pub(crate) async fn handlers(&self) -> Answer<Session> {
        let none = || {
            let message = "no connection is left for transactions of handlers";
            BackendError::new(BackendErrorKind::Refused, message).with_hint("raise `connections`")
        };
        let handlers = self.handlers.as_ref().ok_or_else(none)?;
        Ok(self.session(handlers).await?.with_settings_of_its_own())
    }

    /// A connection before the schema is known to be there.
    pub(crate) async fn unchecked(&self) -> Answer<Session> {
        self.connect(&self.control).await
    }

    async fn session(&self, pool: &Pool) -> Answer<Session> {
        let mut session = self.connect(pool).await?;
        if let Some(_due) = self.checked.due() {
            self.check(&mut session).await?;
        }
        Ok(session)
    }

    /// The same check for calls that run on a connection of the caller's. It has one of the backend's, so
    /// that the caller's transaction holds no locks on the catalog. There may be none while that is open,
    /// such as behind a pooler with one connection. If the schema has served this program, the call then goes
    /// on without the check.
    pub(crate) async fn check_apart(&self) -> Answer<()> {
        let Some(due) = self.checked.due_apart() else { return Ok(()) };
        let check = async {
            let mut session = self.connect(&self.reads).await?;
            self.check(&mut session).await
        };
        match tokio::time::timeout(APART_PATIENCE, check).await.unwrap_or(Err(Fail::Late)) {
            Err(fail) if !is_refusal(&fail) && due.put_off() => Ok(()),
            checked => checked,
        }
    }

    /// Fails unless the schema serves this program. After a refusal each later call fails until it does.
    pub(crate) async fn check(&self, session: &mut Session) -> Answer<()> {
        let checked = self.read_version(session).await;
        match &checked {
            Ok(()) => self.checked.passed(),
            Err(fail) if is_refusal(fail) => self.checked.refused(),
            Err(_) => {}
        }
        checked
    }

    async fn read_version(&self, session: &mut Session) -> Answer<()> {
        migrate::check(session).await?;
        let life = session.query_one(sql!("life"), &[]).await?;
        self.is_same_life(life.try_get(0)?);
        Ok(())
    }

    /// Forgets all that is known of the store: it may have been dropped, restored or replaced under this
    /// process.
    pub(crate) fn forget(&self) {
        self.checked.forget();
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.names.forget();
        self.cursors.forget();
        self.promotions.forget();
        self.requests.forget();
        self.swept.forget();
        self.rotation.forget();
        self.renewals.read_all_again();
    }

    /// Whether the store is the one that was known, if one was; otherwise all that was known of that is
    /// forgotten.
    pub(crate) fn is_same_life(&self, life: &str) -> bool {
        let known = self.life.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_same = known.as_deref().is_none_or(|known| known == life);
        if !is_same {
            self.forget();
        }
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = Some(life.to_owned());
        is_same
    }

    async fn connect(&self, pool: &Pool) -> Answer<Session> {
        let object = pool.get().await.map_err(pool::of_pool)?;
        if deadpool_postgres::Object::metrics(&object).recycle_count == 0 {
            // It may lead to another server than the last one: a standby that lacks the latest queues.
            self.names.forget();
            if std::ptr::eq(pool, &raw const self.control) {
                self.renewals.read_all_again();
            }
        }
        let lease = Duration::from_millis(self.shortest_lease_ms.load(Ordering::Relaxed));
        let (statements, cursors) = (Arc::clone(&self.statements), Arc::clone(&self.cursors));
        Ok(Session::new(object, Arc::clone(&self.cleanup), statements, cursors, self.naming, lease))
    }

    /// About what the server's clock says.
    pub(crate) fn server_now(&self) -> Timestamp {
        SystemClock.now().offset_millis(self.clock_offset_ms.load(Ordering::Relaxed))
    }

    /// Learns the server's clock from an answer of it that was just read.
    pub(crate) fn learn_clock(&self, server: Timestamp) {
        let here = SystemClock.now();
        self.clock_offset_ms.store(server.as_millis() - here.as_millis(), Ordering::Relaxed);
    }
}

/// Whether the version of the schema was read and does not serve this program.
fn is_refusal(fail: &Fail) -> bool {
    use BackendErrorKind::{Foreign, SchemaNew, SchemaOld};
    matches!(fail, Fail::Refused(error) if matches!(error.kind(), Foreign | SchemaNew | SchemaOld))
}

/// Closes connections that are not used, until the backend is dropped.
async fn close_unused(backend: Weak<Inner>) {
    loop {
        tokio::time::sleep(pool::LOOK).await;
        let Some(inner) = backend.upgrade() else { return };
        pool::close_unused([&inner.work, &inner.control, &inner.reads].into_iter().chain(&inner.handlers));
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the configuration: it may hold a password.
        f.debug_struct("Postgres").field("schema", &self.inner.statements.schema()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
