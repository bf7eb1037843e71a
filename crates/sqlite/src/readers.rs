//! Reads: two threads with a connection each, so that a long list holds up neither the writer nor the other
//! reader.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_channel::oneshot;
use gristmill_core::{BackendError, Call, Clock, Timestamp};
use rusqlite::Connection;

use crate::error::{Answer, timed_out};
use crate::inbox::Inbox;
use crate::reading::Quiet;
use crate::task::{Patience, Waiting};

/// Threads that read.
pub(crate) const READERS: usize = 2;

/// A read that waits for a thread.
pub(crate) type Read = Box<dyn FnOnce(&Connection, Option<&Quiet>) + Send>;

/// A read, and what its caller waits on. It sees one state of the store.
pub(crate) fn read<T: Send + 'static>(
    call: Call,
    clock: Arc<dyn Clock>,
    question: impl FnOnce(&Connection, Timestamp) -> Answer<T> + Send + 'static,
) -> (Read, Waiting<T>) {
    let (caller, waiting) = oneshot::channel();
    let patience = Patience::of(call);
    let read = move |connection: &Connection, quiet: Option<&Quiet>| {
        if caller.is_canceled() {
            return;
        }
        let answer = if patience.is_over() {
            Err(timed_out())
        } else {
            let now = call.now.unwrap_or_else(|| clock.now());
            let answer = in_one_state(connection, |connection| question(connection, now));
            quiet.map_or(Ok(()), Quiet::check).and(answer)
        };
        // A caller that has gone has no use for the answer.
        let _ = caller.send(answer);
    };
    (Box::new(read), waiting)
}

fn in_one_state<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> Answer<T>,
) -> Result<T, BackendError> {
    let begin = || Answer::Ok(connection.prepare_cached("BEGIN")?.execute([])?);
    begin()?;
    let answer = question(connection);
    end(connection);
    Ok(answer?)
}

fn end(connection: &Connection) {
    if !connection.is_autocommit() {
        // Nothing was written; a failure leaves nothing to undo.
        let _ = connection.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]));
    }
}

/// Works until the inbox is closed and empty. A file that has no log and was written nevertheless is opened
/// `again`.
pub(crate) fn run(
    (mut connection, mut quiet): (Connection, Option<Quiet>),
    again: impl Fn() -> Result<(Connection, Option<Quiet>), BackendError>,
    inbox: &Inbox<Read>,
) {
    while let Some(read) = inbox.take_one() {
        if quiet.as_ref().is_some_and(|quiet| quiet.check().is_err())
            && let Ok(opened) = again()
        {
            (connection, quiet) = opened;
        }
        if catch_unwind(AssertUnwindSafe(|| read(&connection, quiet.as_ref()))).is_err() {
            // The caller sees its answer's channel end.
            end(&connection);
        }
    }
}
