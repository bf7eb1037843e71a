//! The worker over the memory backend: what becomes of jobs, handlers and leases.
//!
//! Most tests run under tokio's paused time, which the store's clock follows: every wait is exact and takes
//! no time.

mod ahead;
mod apart;
mod bytes;
mod faults;
mod fixture;
mod idle;
mod lease;
mod ledger;
mod lessened;
mod locked;
mod log;
mod outcomes;
mod pressed;
mod stop;
mod transaction;
mod unwind;
