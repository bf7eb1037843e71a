//! Connections and their settings.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use gristmill_core::Durability;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// Page cache of the writer, and of each reader.
const CACHE_KIB: i64 = 64 * 1024;
/// The log is merged into the file when it has this many pages, 16 MiB: a page that changes in each batch is
/// then copied once for four times as many batches as with SQLite's own 1,000.
const LOG_PAGES: i64 = 4_000;
/// The write-ahead log shrinks to this when it is reused after having grown beyond it.
const LOG_LIMIT_BYTES: i64 = 64 * 1024 * 1024;
/// Statements a connection keeps prepared; more than this library has.
const STATEMENTS: usize = 192;

/// How far a commit reaches before it is answered (`PRAGMA synchronous` in WAL mode).
///
/// | | survives |
/// |---|---|
/// | [`Full`](Self::Full), the default | a loss of power |
/// | [`Normal`](Self::Normal) | a crash of the process; a loss of power may undo the last commits, never corrupt |
/// | [`Off`](Self::Off) | a crash of the process; a loss of power may corrupt the file. For tests |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Every commit is synced to the disk.
    #[default]
    Full,
    /// Commits are synced together, when the log is merged into the file.
    Normal,
    /// Nothing is ever synced.
    Off,
}

impl Synchronous {
    /// The name SQLite knows it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
            Self::Off => "OFF",
        }
    }

    pub(crate) const fn durability(self) -> Durability {
        match self {
            Self::Full => Durability::PowerLoss,
            Self::Normal | Self::Off => Durability::ProcessCrash,
        }
    }
}

/// A connection that writes. It waits up to `busy_timeout` until the writer takes over the waiting itself.
pub(crate) fn open(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    keep_statements(&connection)?;
    Ok(connection)
}

/// The settings of a connection that writes to a file of ours. The journal mode changes the file.
pub(crate) fn configure(connection: &Connection, synchronous: Synchronous) -> rusqlite::Result<()> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    debug_assert!(mode.eq_ignore_ascii_case("wal"), "a local file takes WAL mode");
    connection.pragma_update(None, "synchronous", synchronous.as_str())?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_LIMIT_BYTES, |_| Ok(()))
}

/// Statements are prepared once a connection. With the statistics that SQLite is built with here, it would
/// prepare one that searches a range anew each time another value is bound, which costs more than most of our
/// statements (<https://www.sqlite.org/queryplanner-ng.html#qpstab>).
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Bounds the size of the file for what this connection writes.
pub(crate) fn bound(connection: &Connection, max_bytes: u64) -> rusqlite::Result<()> {
    let page_size: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    let pages = max_bytes.saturating_add(page_size - 1) / page_size;
    // SQLite knows pages up to 2^32 - 2, and takes none as "leave it".
    connection.pragma_update_and_check(None, "max_page_count", pages.clamp(1, 4_294_967_294), |_| Ok(()))
}

/// A connection that only reads.
pub(crate) fn open_reader(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, READ)?;
    connection.busy_timeout(busy_timeout)?;
    keep_statements(&connection)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

/// A connection that only reads, of a process that may write: the last one to close removes the log and its
/// index, which one without the right to write would leave behind.
pub(crate) fn open_tidy_reader(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let connection = open(path, busy_timeout)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

const READ: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// A connection that reads a file which nothing writes meanwhile, without a lock and without the files beside
/// it.
pub(crate) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let mut url = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        // Writing to a `String` cannot fail.
        let _ = match byte {
            b'/' | b'.' | b'-' | b'_' => write!(url, "{}", char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => write!(url, "{}", char::from(*byte)),
            byte => write!(url, "%{byte:02x}"),
        };
    }
    url.push_str("?immutable=1");
    let connection = Connection::open_with_flags(url, READ | OpenFlags::SQLITE_OPEN_URI)?;
    keep_statements(&connection)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}
