//! What counts as a handler: a function of one to nine arguments.

use std::future::Future;

/// An async function, or a closure that returns a future, of one to nine arguments: the job, then extractors.
///
/// It looks at the arity only; what the arguments must be is said by [`HandlerArgs`](super::HandlerArgs).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not usable as a job handler",
    label = "expected `async fn(job, extractor, ..)` with 1 to 9 arguments",
    note = "a handler is an `async fn` (or a closure that returns a future) whose first argument is a `Job`",
    note = "for a function that is not async use `.handle_blocking(..)`"
)]
pub trait HandlerFn<Args>: Send + Sync + 'static {
    /// What it comes to.
    type Return;
    /// The future it returns.
    type Future: Future<Output = Self::Return>;

    /// Calls it.
    fn call(&self, args: Args) -> Self::Future;
}

/// A function that is not async, of one to nine arguments: the job, then extractors.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not usable as a blocking job handler",
    label = "expected `fn(job, extractor, ..)` with 1 to 9 arguments",
    note = "a blocking handler is a function (or closure) whose first argument is a `Job`"
)]
pub trait BlockingFn<Args>: Send + Sync + 'static {
    /// What it returns.
    type Return;

    /// Calls it.
    fn call(&self, args: Args) -> Self::Return;
}

macro_rules! arity {
    ($($arg:ident),+) => {
        impl<Function, Returned, $($arg,)+> HandlerFn<($($arg,)+)> for Function
        where
            Function: Fn($($arg),+) -> Returned + Send + Sync + 'static,
            Returned: Future,
        {
            type Return = Returned::Output;
            type Future = Returned;

            #[expect(non_snake_case, reason = "a variable is named after its type")]
            fn call(&self, ($($arg,)+): ($($arg,)+)) -> Returned {
                self($($arg),+)
            }
        }

        impl<Function, Return, $($arg,)+> BlockingFn<($($arg,)+)> for Function
        where
            Function: Fn($($arg),+) -> Return + Send + Sync + 'static,
        {
            type Return = Return;

            #[expect(non_snake_case, reason = "a variable is named after its type")]
            fn call(&self, ($($arg,)+): ($($arg,)+)) -> Return {
                self($($arg),+)
            }
        }
    };
}

arity!(A);
arity!(A, B);
arity!(A, B, C);
arity!(A, B, C, D);
arity!(A, B, C, D, E);
arity!(A, B, C, D, E, F);
arity!(A, B, C, D, E, F, G);
arity!(A, B, C, D, E, F, G, H);
arity!(A, B, C, D, E, F, G, H, I);
