//! Runs jobs over any [`Backend`](gristmill_core::Backend): the client, the handlers, the worker.
//!
//! Users depend on the `gristmill` crate, which re-exports what stands here.

mod client;
mod context;
mod handler;
mod hooks;
mod instrument;
mod maintenance;
pub mod middleware;
mod span;
#[cfg(feature = "testing")]
pub mod testing;
mod worker;

pub use client::{
    Client, ClientBuilder, EnqueueMiddleware, IntoBackend, Leased, PartlyEnqueued, Queues, Receipt, Tally,
};
pub use context::JobContext;
pub use handler::route::Attempted;
pub use handler::{
    AnyOutput, Attempt, BlockingFn, BoxError, FromJob, FromRef, Handler, HandlerArgs, HandlerFn, IntoOutcome,
    Meta, RawHandlerArgs, State, Tx, Undecodable, capture_backtraces,
};
pub use instrument::Instrumented;
pub use middleware::Middleware;
pub use worker::{Worker, WorkerBuilder, WorkerHandle, WorkerReport, WorkerStats};
