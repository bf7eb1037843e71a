//! What the PostgreSQL backend promises beyond the contract.

mod cursor;
mod finish;
mod fixture;
mod operate;
mod prune;
