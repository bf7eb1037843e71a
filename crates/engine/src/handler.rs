//! From a user's function to what the executor can start.
//!
//! A function is known by its arity alone ([`HandlerFn`]), its arguments by what they are ([`HandlerArgs`]):
//! so the compiler always finds exactly one implementation, infers the argument types, and names the argument
//! at fault.

pub(crate) mod args;
pub(crate) mod backtrace;
pub(crate) mod decode;
pub(crate) mod extract;
pub(crate) mod function;
pub(crate) mod object;
pub(crate) mod panicked;
pub(crate) mod returns;
pub(crate) mod route;
pub(crate) mod start;
pub(crate) mod transaction;

pub use args::{HandlerArgs, RawHandlerArgs};
pub use backtrace::capture_backtraces;
pub use decode::Undecodable;
pub use extract::{Attempt, FromJob, FromRef, Meta, State};
pub use function::{BlockingFn, HandlerFn};
pub use object::Handler;
pub use returns::{AnyOutput, IntoOutcome};
pub use transaction::Tx;

/// Any error a handler may end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
