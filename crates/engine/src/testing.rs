//! Tests of handlers and of the code that enqueues, without a worker's loops and without waiting.
//!
//! Users take `gristmill::testing::TestQueue`, which brings the memory backend.

mod asserts;
mod performed;
mod queue;
mod session;

pub use performed::Performed;
pub use queue::TestQueue;
