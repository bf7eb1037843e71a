//! Opens a database file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use gristmill_core::{
    BackendError, BackendErrorKind, Clock, Listeners, MigrateMode, SystemClock, format_duration,
};
use rusqlite::Connection;

use crate::connection::{self, Synchronous};
use crate::error::{Answer, Fail, is_busy, of_sqlite};
use crate::filesystem;
use crate::handle::{Access, Sqlite};
use crate::inbox::Inbox;
use crate::memory::{Memory, Settings};
use crate::migrate::{self, Neighbours};
use crate::opened::Opened;
use crate::readers;
use crate::reading::{self, Quiet};
use crate::writer::{self, Others, Writer};

/// A step of the wait for others that make the file.
const CONNECT_STEP: Duration = Duration::from_millis(2);

/// How a database file is opened. Made by [`Sqlite::builder`].
///
/// ```no_run
/// use gristmill_sqlite::{Sqlite, Synchronous};
///
/// let backend = Sqlite::builder("jobs.db").synchronous(Synchronous::Normal).open()?;
/// # Ok::<(), gristmill_core::BackendError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteBuilder {
    path: PathBuf,
    synchronous: Synchronous,
    busy_timeout: Duration,
    clock: Arc<dyn Clock>,
    migrate: MigrateMode,
    max_bytes: Option<u64>,
    neighbours: Neighbours,
    access: Access,
}

impl SqliteBuilder {
    /// Default time that a call waits for another process that holds the file: 5 s.
    pub const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::default(),
            busy_timeout: Self::DEFAULT_BUSY_TIMEOUT,
            clock: Arc::new(SystemClock),
            migrate: MigrateMode::Up,
            max_bytes: None,
            neighbours: Neighbours::Refused,
            access: Access::Write,
        }
    }

    /// How far a commit reaches before it is answered. Default [`Synchronous::Full`].
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How long a call waits for another process that holds the file. Default
    /// [`DEFAULT_BUSY_TIMEOUT`](Self::DEFAULT_BUSY_TIMEOUT), at most one minute. A worker's lease has to be
    /// twice as long at least, so that a heartbeat that waits is in time: a shorter one is refused when the
    /// worker is built.
    pub fn busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Where the store's time comes from. Default the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The largest the file may become, in bytes, rounded up to pages; the log beside it is not counted.
    /// Default: as large as the disk takes. What does not fit is refused with
    /// [`Full`](BackendErrorKind::Full). It holds for this handle.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Whether the jobs may go into a file that has tables already: those of your own program, so that both
    /// can be written in one transaction (the outbox). Such a file is refused unless this is set: a mistyped
    /// path shall change nothing. It is refused still where a name of the schema is taken, or where the
    /// header's `user_version` or `application_id` is in use: from then on they are Gristmill's, so your own
    /// migrations have to keep their count in a table. Default: `false`.
    pub fn share(mut self, share: bool) -> Self {
        self.neighbours = if share { Neighbours::Welcome } else { Neighbours::Refused };
        self
    }

    /// Whether the file is opened for reading only: it is neither made nor changed, no lock of another
    /// program is waited for, and a user without the right to write it may look. Whatever would write is
    /// refused with [`ReadOnly`](BackendErrorKind::ReadOnly). Default: `false`.
    ///
    /// A user without that right reads the log of a file that is in use only if `FILE-wal` and `FILE-shm` may
    /// be read, too.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.access = if read_only { Access::Read } else { Access::Write };
        self
    }

    /// Whether the schema is brought up to date at once, which is the default, or left as it is
    /// ([`MigrateMode::Status`]): then [`Backend::migrate`](gristmill_core::Backend::migrate) does it.
    pub fn migrate(mut self, mode: MigrateMode) -> Self {
        self.migrate = mode;
        self
    }

    /// Opens the file; makes one that only its owner may read if there is none.
    ///
    /// Blocks for some milliseconds, or up to the busy timeout while another process migrates.
    ///
    /// # Errors
    /// [`Unavailable`](BackendErrorKind::Unavailable) when the file cannot be made or opened;
    /// [`ReadOnly`](BackendErrorKind::ReadOnly) when it may not be written;
    /// [`Foreign`](BackendErrorKind::Foreign) when it is no database, or one of another program and
    /// [`share`](Self::share) is not set or does not help; it is not changed;
    /// [`SchemaNew`](BackendErrorKind::SchemaNew) when a later release migrated it and excluded this program;
    /// [`Refused`](BackendErrorKind::Refused) on a network file system or with a bad option;
    /// [`Busy`](BackendErrorKind::Busy) when another process holds it.
    pub fn open(self) -> Result<Sqlite, BackendError> {
        const LONGEST: Duration = Duration::from_secs(60);
        if self.busy_timeout > LONGEST {
            let (given, longest) = (format_duration(self.busy_timeout), format_duration(LONGEST));
            let message = format!("a busy timeout of {given} is too long; the longest is {longest}");
            return Err(BackendError::new(BackendErrorKind::Refused, message));
        }
        let path =
            std::path::absolute(&self.path).map_err(|error| unusable(&self.path).with_source(error))?;
        if path.is_dir() {
            return Err(unusable(&path).with_hint("it is a folder; name a file in it"));
        }
        filesystem::refuse_network(&path)?;
        if self.access == Access::Read {
            return self.start_reading(&path);
        }
        filesystem::create(&path)?;
        let writer = self.connect(&path)?;
        self.start(&path, writer)
    }

    /// Readers alone, of a file that is ours.
    fn start_reading(self, path: &Path) -> Result<Sqlite, BackendError> {
        let (connection, quiet) = reading::open(path, self.busy_timeout)?;
        migrate::version(&connection, self.neighbours)?;
        let mut backend = self.handle(path);
        backend.access = Access::Read;
        backend.writes.close();
        backend.start_reader(connection, quiet)?;
        Ok(backend)
    }

    /// The writer's connection, to a file that is ours and has its schema.
    fn connect(&self, path: &Path) -> Result<Connection, BackendError> {
        let since = Instant::now();
        loop {
            match self.try_connect(path) {
                // SQLite's own wait does not cover the change of the journal mode, which several processes
                // that make the file try at once.
                Err(Fail::Broken(error)) if is_busy(&error) && since.elapsed() < self.busy_timeout => {
                    std::thread::park_timeout(CONNECT_STEP);
                }
                outcome => return outcome.map_err(BackendError::from),
            }
        }
    }

    fn try_connect(&self, path: &Path) -> Answer<Connection> {
        let connection = connection::open(path, self.busy_timeout)?;
        let version = migrate::version(&connection, self.neighbours)?;
        // A file that may only be read is opened without a word; this is what tells.
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
        connection::configure(&connection, self.synchronous)?;
        if self.migrate == MigrateMode::Up && version < migrate::latest() {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            migrate::migrate(&connection, self.neighbours, MigrateMode::Up)?;
            connection.execute_batch("COMMIT")?;
        }
        if let Some(max_bytes) = self.max_bytes {
            connection::bound(&connection, max_bytes)?;
        }
        // From here on the writer waits by itself.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(connection)
    }

    fn start(self, path: &Path, connection: Connection) -> Result<Sqlite, BackendError> {
        let mut backend = self.handle(path);
        let settings = Settings {
            durability: self.synchronous.durability(),
            busy_timeout: self.busy_timeout,
            watch_ends: false,
            neighbours: self.neighbours,
        };
        let writer = Writer {
            opened: Arc::clone(&backend.opened),
            connection,
            inbox: Arc::clone(&backend.writes),
            clock: Arc::clone(&self.clock),
            listeners: backend.listeners.clone(),
            settings,
            memory: Memory::default(),
            others: Others::default(),
            commit: writer::commit,
        };
        // From here on a failure drops the backend, which ends the threads that have started.
        backend.writer = Some(spawn("gristmill-sqlite-writer", move || writer.run())?);
        for _ in 0..readers::READERS {
            let connection =
                connection::open_reader(path, self.busy_timeout).map_err(|error| of_sqlite(&error))?;
            backend.start_reader(connection, None)?;
        }
        Ok(backend)
    }

    /// A handle without threads.
    fn handle(&self, path: &Path) -> Sqlite {
        Sqlite {
            opened: Arc::new(Opened::new(path)),
            path: path.to_owned(),
            synchronous: self.synchronous,
            busy_timeout: self.busy_timeout,
            neighbours: self.neighbours,
            access: self.access,
            clock: Arc::clone(&self.clock),
            listeners: Listeners::default(),
            writes: Arc::new(Inbox::new()),
            reads: Arc::new(Inbox::new()),
            writer: None,
            readers: Vec::new(),
        }
    }
}

impl Sqlite {
    /// Opens a file with the default options, which survive a loss of power; makes it if it is not there.
    ///
    /// # Errors
    /// As [`SqliteBuilder::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, BackendError> {
        Self::builder(path).open()
    }

    /// Options for opening a file.
    pub fn builder(path: impl Into<PathBuf>) -> SqliteBuilder {
        SqliteBuilder::new(path)
    }

    /// The statements that make the schema of this version in an empty file, with what marks the file as
    /// ours; for those who want to read it first.
    pub fn schema() -> String {
        migrate::schema()
    }

    fn start_reader(&mut self, connection: Connection, quiet: Option<Quiet>) -> Result<(), BackendError> {
        let inbox = Arc::clone(&self.reads);
        let (path, busy_timeout) = (self.path.clone(), self.busy_timeout);
        let again = move || reading::open(&path, busy_timeout);
        let run = move || readers::run((connection, quiet), again, &inbox);
        self.readers.push(spawn("gristmill-sqlite-reader", run)?);
        Ok(())
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, BackendError> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        BackendError::new(BackendErrorKind::Full, "no thread can be started").with_source(error)
    })
}

fn unusable(path: &Path) -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, format!("`{}` cannot be opened", path.display()))
        .lasting()
}
