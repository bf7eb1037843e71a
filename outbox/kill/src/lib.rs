//! Transactions with jobs in them, killed at any moment: a row of the user's is there if and only if its job
//! is.
//!
//! The program of this crate is a client: each of its lanes has a connection of its own and stores orders,
//! one after the other, each a row of the user's with the jobs that ship it, in one transaction through the
//! adapter of sqlx. What an order's transaction does follows from its number ([`Plan`]). A client writes down
//! what it does before and after it does it ([`Journal`]), so that what it was at when it was killed is
//! known. The test kills clients, and their server, and compares rows, jobs and journals in the end.

mod client;
mod journal;
mod lane;
mod plan;
mod trouble;

pub use client::{Settings, run};
pub use journal::{Fact, Journal, Line, lines};
pub use plan::{End, Plan, QUEUES, Ship, Step};
