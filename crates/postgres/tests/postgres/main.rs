//! What the PostgreSQL backend promises beyond the contract.

mod cursor;
mod finish;
mod fixture;
mod maintain;
mod notify;
mod operate;
mod prune;
