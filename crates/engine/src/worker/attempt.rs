//! The code of one attempt: begun and polled, its panics caught.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use gristmill_core::BoxFuture;

use crate::handler::panicked::panicked;
use crate::handler::route::Start;
use crate::{Attempted, JobContext};

/// The running code of a handler.
pub(crate) type Attempting = BoxFuture<'static, Attempted>;

/// Starts the handler's future; a panic is an outcome.
pub(crate) fn begin(start: &dyn Start, context: JobContext) -> Result<Attempting, Attempted> {
    catch_unwind(AssertUnwindSafe(|| start.start(context))).map_err(panicked)
}

/// Polls it; a panic is an outcome. After the answer it is not polled again.
pub(crate) fn poll(attempting: &mut Attempting, context: &mut Context<'_>) -> Poll<Attempted> {
    catch_unwind(AssertUnwindSafe(|| attempting.as_mut().poll(context)))
        .unwrap_or_else(|panic| Poll::Ready(panicked(panic)))
}
