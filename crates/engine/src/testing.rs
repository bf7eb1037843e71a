//! Tests of handlers and of the code that enqueues, without a worker's loops and without waiting.
//!
//! Users take `gristmill::testing::TestQueue`, which brings the memory backend.

mod asserts;
mod queue;

pub use queue::{Performed, TestQueue};
