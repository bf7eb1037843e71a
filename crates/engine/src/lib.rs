//! Runs jobs over any [`Backend`](gristmill_core::Backend): the client, the handlers, the worker.
//!
//! Users depend on the `gristmill` crate, which re-exports what stands here.

mod apart;
mod at_work;
mod by_hand;
mod call;
mod cancel;
mod claims;
mod client;
mod context;
mod decide;
mod handler;
mod hooks;
mod instrument;
mod label;
mod lease;
mod leased;
mod lessen;
pub mod middleware;
mod panics;
mod report;
mod run_result;
mod span;
#[cfg(feature = "testing")]
pub mod testing;
mod watchdog;
mod worker;

pub use client::{
    Client, ClientBuilder, EnqueueMiddleware, IntoBackend, PartlyEnqueued, Queues, Receipt, Tally,
};
pub use context::JobContext;
pub use handler::route::Attempted;
pub use handler::{
    AnyOutput, Attempt, BlockingFn, BoxError, FromJob, FromRef, Handler, HandlerArgs, HandlerFn, IntoOutcome,
    Meta, RawHandlerArgs, State, Tx, Undecodable, capture_backtraces,
};
pub use instrument::Instrumented;
pub use leased::Leased;
pub use middleware::Middleware;
pub use report::{WorkerReport, WorkerStats};
pub use worker::{Worker, WorkerBuilder, WorkerHandle};
