//! PostgreSQL.

mod account;
mod binaries;
mod builder;
mod certificate;
mod psql;
mod running;
mod server;
mod shared;
mod template;
mod watchdog;

pub(crate) use account::Account;
pub use binaries::PostgresBinaries;
pub use builder::PostgresBuilder;
pub use server::Postgres;
pub use shared::SharedPostgres;
