//! What the PostgreSQL backend promises beyond the contract.

mod cursor;
mod fixture;
mod operate;
