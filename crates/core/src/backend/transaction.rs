//! A handler's transaction, which also finishes its job.

use std::any::Any;
use std::fmt;

use super::{BoxFuture, Call};
use crate::{BackendError, FinishItem, Finished};

/// A transaction of the store in which a handler writes and its run ends: both are stored, or neither.
///
/// From [`Backend::begin`](crate::Backend::begin). The engine lends it to one handler at a time and ends it
/// when the handler's code has ended.
///
/// # Rules
/// * **Atomic.** What was written in it, the end of the run and the consequences of that end are stored by
///   one commit.
/// * **It holds nothing of the job while the handler works.** The claim's row is locked from the finish to
///   the commit only, so other runs of the same claim end meanwhile, leases are renewed and lost ones are
///   rescued. What the handler's own statements lock is the handler's affair.
/// * **Tokens decide.** A handler whose lease has passed on may write as much as it likes: its finish answers
///   [`LeaseLost`](Finished::LeaseLost) and nothing of it is stored.
/// * **Dropped** at any moment it is rolled back; the store may notice a little later.
/// * **Crash in the middle.** Nothing of it is stored, and the job is rescued when its lease ends.
pub trait BackendTx: fmt::Debug + Send + Sync {
    /// The driver's transaction, for a downcast to the type that the backend documents.
    fn driver(&self) -> &(dyn Any + Send + Sync);

    /// As [`Self::driver`], for drivers whose transactions are changed by their use.
    fn driver_mut(&mut self) -> &mut (dyn Any + Send + Sync);

    /// Ends the run in the transaction and commits.
    ///
    /// *Answers:* [`Accepted`](Finished::Accepted), and then everything is stored, also where a requested
    /// cancel has won over the decision. [`LeaseLost`](Finished::LeaseLost) or
    /// [`AlreadyAccepted`](Finished::AlreadyAccepted), and then the transaction is rolled back; a stale
    /// finish is counted and becomes an event of the job as with [`Backend::finish`](crate::Backend::finish).
    /// *Errors:* after one that is [`NotStored`](crate::Certainty::NotStored) nothing of it is, and never
    /// will be. After one that is [`MaybeStored`](crate::Certainty::MaybeStored) an ordinary finish of the
    /// same lease decides: it answers `AlreadyAccepted` if this one was stored, and else is accepted in its
    /// place. It must not ask for `Complete`, which would complete the job without the handler's writes.
    ///
    /// *Cancel safety:* dropping the future leaves it done or not done, like a lost reply.
    fn finish(
        self: Box<Self>,
        call: Call,
        item: FinishItem,
    ) -> BoxFuture<'static, Result<Finished, BackendError>>;

    /// Rolls back. The run continues and must be finished in the ordinary way.
    ///
    /// *Errors:* the request did not reach the store, which rolls back when it notices the lost connection.
    /// *Cancel safety:* dropping the future has the same effect as dropping the transaction.
    fn roll_back(self: Box<Self>, call: Call) -> BoxFuture<'static, Result<(), BackendError>>;
}
