//! The in-memory backend of Gristmill: the executable specification.
//!
//! Everything lives in this process and ends with it. It is the place to read what an operation means, the
//! store of tests, and the right choice where losing the jobs with the process is fine.

mod backend;
mod end;
mod enqueue;
mod fetch;
mod finish;
mod inspect;
mod job;
mod lease;
mod maintain;
mod operate;
mod pause;
mod register;
mod store;

pub use backend::Memory;
