//! Runs jobs over any [`Backend`](gristmill_core::Backend): the client, the handlers, the worker.
//!
//! Users depend on the `gristmill` crate, which re-exports what stands here.

mod client;
mod context;
mod handler;
mod worker;

pub use client::Client;
pub use context::JobContext;
pub use handler::route::Attempted;
