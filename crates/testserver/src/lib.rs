//! Servers for tests: private, disposable, and made to fail on purpose.
//!
//! [`Postgres`] starts a PostgreSQL server of its own from the binaries found on the machine, with its files
//! in a temporary folder; it can be killed, paused, stopped and started again. [`FaultProxy`] stands between
//! a client and a server and loses, delays or cuts what passes. [`PgBouncer`] pools the sessions of a server.
//!
//! What fails here panics with the reason, since the only caller is a test: [`PostgresBuilder::try_start`] is
//! the exception, for programs that want to say it in their own words.
//!
//! ```
//! use gristmill_testserver::Postgres;
//!
//! let server = Postgres::start();
//! assert_eq!(server.psql("SELECT 1 + 1"), "2");
//! server.kill();
//! server.start_again();
//! assert_eq!(server.psql("SELECT 1 + 1"), "2");
//! ```

mod error;
mod folder;
mod pgbouncer;
mod port;
mod postgres;
mod processes;
mod proxy;
mod url;
mod waiting;

pub use error::ServerError;
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, PostgresBinaries, PostgresBuilder, SharedPostgres};
pub use proxy::FaultProxy;
