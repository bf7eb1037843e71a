//! One call on its way through a thread of this backend, with the caller that waits for it.

use std::time::{Duration, Instant};

use futures_channel::oneshot;
use gristmill_core::{BackendError, Call, Certainty, Clock, Timestamp};

use crate::error::{self, Answer, Fail};
use crate::group::Group;

/// A call for the writer. It may be run again after a rollback; it is answered once, after the commit.
pub(crate) trait Task: Send {
    /// Whether to begin it: only if its caller still waits, and its deadline has not passed.
    fn is_due(&self) -> Due;
    /// Runs it inside the group's transaction and keeps the answer. An error means that the transaction is
    /// spoiled.
    fn run(&mut self, group: &mut Group<'_>, clock: &dyn Clock) -> Result<(), Spoil>;
    /// Sends the caller the reply that `run` kept.
    fn answer(self: Box<Self>);
    /// Sends the caller the error.
    fn fail(self: Box<Self>, error: BackendError);
}

/// Why a transaction is not to be committed.
#[derive(Debug)]
pub(crate) enum Spoil {
    /// SQLite failed.
    Broken(rusqlite::Error),
    /// The operation was refused after it had changed something. Its answer is kept.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Yes,
    Late,
    Unwanted,
}

/// How long a caller waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience(Option<(Instant, Duration)>);

impl Patience {
    pub(crate) fn of(call: Call) -> Self {
        Self(call.deadline.map(|deadline| (Instant::now(), deadline)))
    }

    pub(crate) fn is_over(self) -> bool {
        self.0.is_some_and(|(since, deadline)| since.elapsed() >= deadline)
    }
}

/// A request, the operation that serves it and who waits for the reply.
pub(crate) struct Request<Q, T> {
    now: Option<Timestamp>,
    patience: Patience,
    question: Q,
    operation: fn(&mut Group<'_>, &Q, Timestamp) -> Answer<T>,
    /// Whether the schema has to serve this program.
    checks_schema: bool,
    reply: Option<Result<T, BackendError>>,
    caller: oneshot::Sender<Result<T, BackendError>>,
}

/// What the caller of a request waits on.
pub(crate) type Waiting<T> = oneshot::Receiver<Result<T, BackendError>>;

impl<Q: Send + 'static, T: Send + 'static> Request<Q, T> {
    pub(crate) fn task(
        call: Call,
        question: Q,
        operation: fn(&mut Group<'_>, &Q, Timestamp) -> Answer<T>,
    ) -> (Box<dyn Task>, Waiting<T>) {
        Self::checking(true, call, question, operation)
    }

    /// One that runs on any schema of ours, such as its migration.
    pub(crate) fn task_of_any_schema(
        call: Call,
        question: Q,
        operation: fn(&mut Group<'_>, &Q, Timestamp) -> Answer<T>,
    ) -> (Box<dyn Task>, Waiting<T>) {
        Self::checking(false, call, question, operation)
    }

    fn checking(
        checks_schema: bool,
        call: Call,
        question: Q,
        operation: fn(&mut Group<'_>, &Q, Timestamp) -> Answer<T>,
    ) -> (Box<dyn Task>, Waiting<T>) {
        let (caller, waiting) = oneshot::channel();
        let (now, patience) = (call.now, Patience::of(call));
        let task = Self { now, patience, question, operation, checks_schema, reply: None, caller };
        (Box::new(task), waiting)
    }
}

impl<Q: Send, T: Send> Task for Request<Q, T> {
    fn is_due(&self) -> Due {
        if self.caller.is_canceled() {
            Due::Unwanted
        } else if self.patience.is_over() {
            Due::Late
        } else {
            Due::Yes
        }
    }

    fn run(&mut self, group: &mut Group<'_>, clock: &dyn Clock) -> Result<(), Spoil> {
        let now = self.now.unwrap_or_else(|| clock.now());
        let mark = group.mark();
        let checked = if self.checks_schema { group.check_schema() } else { Ok(()) };
        match checked.and_then(|()| (self.operation)(group, &self.question, now)) {
            Ok(reply) => self.reply = Some(Ok(reply)),
            Err(Fail::Refused(error)) => {
                let is_to_undo = error.certainty() == Certainty::NotStored && group.mark() != mark;
                self.reply = Some(Err(error));
                if is_to_undo {
                    return Err(Spoil::Refused);
                }
            }
            Err(Fail::Broken(error)) => return Err(Spoil::Broken(error)),
        }
        Ok(())
    }

    fn answer(self: Box<Self>) {
        let reply = self.reply.unwrap_or_else(|| Err(error::closed()));
        // A caller that has gone has no use for the answer: like a lost reply.
        let _ = self.caller.send(reply);
    }

    fn fail(self: Box<Self>, error: BackendError) {
        let _ = self.caller.send(Err(error));
    }
}
