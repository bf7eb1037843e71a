//! The SQLite backend of Gristmill: jobs in one file, no server.
//!
//! One writer thread a process takes everything that waits into one transaction (group commit), so that many
//! concurrent callers share each sync of the disk; readers have connections of their own. Several processes
//! may use one file; it must lie on a local disk.

mod backend;
mod batch;
mod claim;
mod claims;
mod connection;
mod diagnose;
mod end;
mod enqueue;
mod error;
mod fetch;
mod filesystem;
mod finish;
mod group;
mod handle;
mod inbox;
mod inspect;
mod lease;
mod list;
mod locate;
mod maintain;
mod memory;
mod migrate;
mod names;
mod notify;
mod numbers;
mod open;
mod opened;
mod operate;
mod parked;
mod pause;
mod place;
mod progress;
mod prune;
mod readers;
mod reading;
mod register;
mod remark;
mod renumber;
mod request_pass;
mod request_pause;
mod requests;
mod row;
mod run;
mod run_key;
mod statements;
mod task;
mod trim;
mod writer;

pub use connection::Synchronous;
pub use handle::Sqlite;
pub use open::SqliteBuilder;
