//! What the PostgreSQL backend promises beyond the contract.

mod cursor;
mod finish;
mod fixture;
mod maintain;
mod operate;
mod prune;
