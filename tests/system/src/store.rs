//! Where the jobs of a product are.

use std::path::PathBuf;

use gristmill_core::Backend;
use gristmill_postgres::Postgres;
use gristmill_sqlite::Sqlite;
use tokio::runtime::Runtime;

/// Where the jobs of a product are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// An SQLite file.
    File(PathBuf),
    /// The URL of a PostgreSQL database.
    Server(String),
}

impl Store {
    /// The store's URL. A short busy timeout of a file allows short leases, a relaxed sync makes the tests
    /// quicker; neither matters to a process that is killed.
    pub fn url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite:{}?synchronous=normal&busy_timeout=1s", path.display()),
            Self::Server(url) => url.clone(),
        }
    }

    /// The backend's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "sqlite",
            Self::Server(_) => "postgres",
        }
    }

    /// Opens the store in this process and lets `look` at it; what it awaits needs no runtime around it.
    ///
    /// # Panics
    /// When the store cannot be opened.
    pub fn with_backend<T>(&self, look: impl FnOnce(&dyn Backend) -> T) -> T {
        let runtime = Runtime::new().expect("a runtime starts");
        let _entered = runtime.enter();
        match self {
            Self::File(path) => look(&Sqlite::open(path).expect("the store opens")),
            Self::Server(url) => {
                let builder = Postgres::builder(url).expect("the URL can be read");
                look(&builder.open().expect("the store opens"))
            }
        }
    }
}
