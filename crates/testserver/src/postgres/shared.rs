//! One server for all tests of a process.

use std::{
    env,
    hash::{BuildHasher, Hasher, RandomState},
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{binaries, psql, server::Postgres};
use crate::url;

/// Names an existing server to use instead of a private one.
const URL_VARIABLE: &str = "GRISTMILL_TEST_POSTGRES_URL";

/// The server that the tests of a process share, from [`Postgres::shared`]. It cannot be stopped or killed:
/// others work on it at the same time. Each test takes a database or a schema of its own.
#[derive(Debug)]
pub struct SharedPostgres {
    url: String,
    /// `None` if the server was not started by this process.
    server: Option<Postgres>,
}

impl Postgres {
    /// The server that all tests of this process share, started at the first call; the watchdog ends it after
    /// the process. `GRISTMILL_TEST_POSTGRES_URL` names an existing one instead, whose account must be
    /// allowed to create databases; what tests create there stays, under names that begin with
    /// `gristmill_test_`.
    ///
    /// ```
    /// use gristmill_testserver::Postgres;
    ///
    /// let url = Postgres::shared().fresh_database();
    /// let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    /// assert_eq!(Postgres::shared().psql_at(&url, tables), "0");
    /// ```
    ///
    /// # Panics
    /// When it cannot be started, with the reason and what to do about it.
    pub fn shared() -> &'static SharedPostgres {
        static SHARED: OnceLock<SharedPostgres> = OnceLock::new();
        SHARED.get_or_init(|| {
            if let Ok(url) = env::var(URL_VARIABLE) {
                return SharedPostgres { url, server: None };
            }
            let server = Self::start();
            SharedPostgres { url: server.url().to_owned(), server: Some(server) }
        })
    }
}

impl SharedPostgres {
    /// The URL of the database that all share.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens for TCP.
    ///
    /// # Panics
    /// When the URL that was given names no TCP address.
    pub fn address(&self) -> SocketAddr {
        let place = url::host_and_port(&self.url).and_then(|place| place.to_socket_addrs().ok()?.next());
        place.unwrap_or_else(|| panic!("{URL_VARIABLE} names no TCP address"))
    }

    /// Creates an empty database, which takes some tens of milliseconds, and gives its URL.
    ///
    /// # Panics
    /// When the server does not answer.
    #[track_caller]
    pub fn fresh_database(&self) -> String {
        let name = fresh_name("gristmill_test");
        self.psql(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        url::with_database(&self.url, &name)
    }

    /// Returns an unused name for a schema, and does not create the schema. Cheaper than a database.
    pub fn fresh_schema_name(&self) -> String {
        fresh_name("gristmill_test")
    }

    /// Runs `sql` in the database that all share, see [`Postgres::psql`].
    ///
    /// # Panics
    /// When a statement fails or the server does not answer.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        self.psql_at(&self.url, sql)
    }

    /// Runs `sql` at another URL, that of a fresh database say, see [`Postgres::psql`].
    ///
    /// # Panics
    /// When a statement fails or the server does not answer.
    #[track_caller]
    pub fn psql_at(&self, url: &str, sql: &str) -> String {
        let psql = self.server.as_ref().map_or_else(binaries::any_psql, |server| server.binaries().psql());
        psql::run(psql, url, sql).unwrap_or_else(|error| error.panic())
    }
}

/// `PREFIX_RANDOM_NUMBER`: no two processes share the random part, which is the standard library's hash seed.
pub(super) fn fresh_name(prefix: &str) -> String {
    static RANDOM: OnceLock<u64> = OnceLock::new();
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let random = RANDOM.get_or_init(|| RandomState::new().build_hasher().finish());
    format!("{prefix}_{random:016x}_{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}
