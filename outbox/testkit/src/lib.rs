//! What every adapter of the outbox has to do, as checks that its tests run.
//!
//! The tests of an adapter implement [`Adapter`] and [`Session`] on its driver, some forty lines, and name
//! it:
//!
//! ```ignore
//! gristmill_outbox_testkit::postgres_checks!(Adapter);
//! gristmill_outbox_testkit::sqlite_checks!(Adapter);
//! ```
//!
//! Each check becomes a test with its name. Checks on PostgreSQL share a private server, each with a schema
//! of its own; those on SQLite have a file each. A driver that is asynchronous blocks here, on a runtime with
//! more than one thread.

mod adapter;
pub mod apart;
mod checks;
mod example;
mod letter;
pub mod on_both;
pub mod on_postgres;
pub mod on_sqlite;
mod site;
pub mod wake;

pub use adapter::{Act, Adapter, Answer, End, Session, perform, perform_blocking};
pub use example::run_example;
pub use letter::Letter;
pub use site::{Site, runtime};
