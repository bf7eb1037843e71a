//! The PostgreSQL backend of Gristmill: many jobs a statement, each job's row written once.
//!
//! `jobs` and `attempts` are only appended to; what may be fetched lies in the narrow table `ready`, what
//! waits in `waiting`, and a fetched batch is one row of `claims`, whose lock decides between a finish and a
//! rescue.

mod apart;
mod backend;
mod call;
mod checked;
mod claimed;
mod cleanup;
mod cursor;
mod diagnose;
mod dial;
mod end;
mod enqueue;
mod error;
mod events;
mod fetch;
mod finish;
mod handle;
mod hint_sum;
mod inflight;
mod inspect;
mod lease;
mod lent;
mod list;
mod listen;
mod locate;
mod locked;
mod maintain;
#[cfg(feature = "bench")]
mod measure;
mod member;
mod migrate;
mod names;
mod notice;
mod notify;
mod numbers;
mod operate;
mod options;
mod pace;
mod parked;
mod partition;
mod pause;
mod place;
mod pool;
mod progress;
mod promote;
mod prune;
mod register;
mod requests;
mod rescue;
mod row;
mod servers;
mod session;
mod shares;
mod statement;
mod steps;
mod sweep;
mod tls;
mod transaction;
mod url;

pub use handle::Postgres;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub use measure::{HeldSnapshot, Spent};
pub use options::PostgresBuilder;
/// The driver, of the version whose transactions this crate takes.
pub use tokio_postgres;
pub use transaction::PostgresTransaction;
