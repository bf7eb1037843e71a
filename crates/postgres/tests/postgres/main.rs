//! What the PostgreSQL backend promises beyond the contract.

mod cursor;
mod enqueue;
mod faults;
mod finish;
mod fixture;
mod maintain;
mod measure;
mod notify;
mod operate;
mod outbox;
mod prune;
mod remarks;

mod transaction;
mod versions;
