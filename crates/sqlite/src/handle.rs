//! The handle on a file: its threads, and the way to them and back.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gristmill_core::{BackendError, BackendErrorKind, Call, Clock, Listeners, Reply, Timestamp};
use rusqlite::Connection;

use crate::connection::Synchronous;
use crate::error::{Answer, closed, opened_for_reading};
use crate::group::Group;
use crate::inbox::{Inbox, Urgency};
use crate::migrate::{self, Neighbours};
use crate::opened::Opened;
use crate::readers::{self, Read};
use crate::task::{Request, Task, Waiting};

/// A job store in one SQLite file.
///
/// Several processes may open one file. Dropping the handle works off what waits and closes the file before
/// it returns.
///
/// ```no_run
/// use std::sync::Arc;
/// use gristmill_core::Backend;
/// use gristmill_sqlite::Sqlite;
///
/// let backend: Arc<dyn Backend> = Arc::new(Sqlite::open("jobs.db")?);
/// # Ok::<(), gristmill_core::BackendError>(())
/// ```
pub struct Sqlite {
    pub(crate) opened: Arc<Opened>,
    pub(crate) path: PathBuf,
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) neighbours: Neighbours,
    pub(crate) access: Access,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) listeners: Listeners,
    pub(crate) writes: Arc<Inbox<Box<dyn Task>>>,
    pub(crate) reads: Arc<Inbox<Read>>,
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) readers: Vec<JoinHandle<()>>,
}

/// What the file was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

type InGroup<Q, T> = fn(&mut Group<'_>, &Q, Timestamp) -> Answer<T>;

impl Sqlite {
    pub(crate) fn write<Q, T>(&self, call: Call, request: Q, operation: InGroup<Q, T>) -> Reply<'_, T>
    where
        Q: Send + 'static,
        T: Send + 'static,
    {
        self.write_with(call, Urgency::InTurn, request, operation)
    }

    pub(crate) fn write_with<Q, T>(
        &self,
        call: Call,
        urgency: Urgency,
        request: Q,
        operation: InGroup<Q, T>,
    ) -> Reply<'_, T>
    where
        Q: Send + 'static,
        T: Send + 'static,
    {
        self.push(Request::task(call, request, operation), urgency)
    }

    /// As [`Self::write`], of a schema that may not serve this program.
    pub(crate) fn write_any<Q, T>(&self, call: Call, request: Q, operation: InGroup<Q, T>) -> Reply<'_, T>
    where
        Q: Send + 'static,
        T: Send + 'static,
    {
        self.push(Request::task_of_any_schema(call, request, operation), Urgency::InTurn)
    }

    fn push<T: Send + 'static>(
        &self,
        (task, waiting): (Box<dyn Task>, Waiting<T>),
        urgency: Urgency,
    ) -> Reply<'_, T> {
        if self.access == Access::Read {
            return Box::pin(async { Err(opened_for_reading()) });
        }
        Box::pin(async move {
            self.writes.push(task, urgency).await.map_err(|_| closed())?;
            answer(waiting).await
        })
    }

    pub(crate) fn read<T: Send + 'static>(
        &self,
        call: Call,
        question: impl FnOnce(&Connection, Timestamp) -> Answer<T> + Send + 'static,
    ) -> Reply<'_, T> {
        self.read_any(call, move |connection, now| {
            migrate::check_again(connection)?;
            question(connection, now)
        })
    }

    /// As [`Self::read`], of a schema that may not serve this program.
    pub(crate) fn read_any<T: Send + 'static>(
        &self,
        call: Call,
        question: impl FnOnce(&Connection, Timestamp) -> Answer<T> + Send + 'static,
    ) -> Reply<'_, T> {
        let opened = Arc::clone(&self.opened);
        let (read, waiting) = readers::read(call, Arc::clone(&self.clock), move |connection, now| {
            opened.check()?;
            question(connection, now)
        });
        Box::pin(async move {
            self.reads.push(read, Urgency::InTurn).await.map_err(|_| closed())?;
            answer(waiting).await
        })
    }
}

async fn answer<T>(waiting: Waiting<T>) -> Result<T, BackendError> {
    waiting.await.unwrap_or_else(|_| {
        let message = "the thread of the database gave the call up";
        Err(BackendError::new(BackendErrorKind::Internal, message).maybe_stored())
    })
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let this = std::thread::current().id();
        let join = |thread: JoinHandle<()>| {
            // A listener may drop the last handle on the writer's own thread, which cannot wait for itself.
            if thread.thread().id() != this {
                // Callers of a thread that panicked have received an error already.
                let _ = thread.join();
            }
        };
        // The readers first: the last connection to close merges the log into the file, and they may not
        // write.
        self.reads.close();
        self.readers.drain(..).for_each(join);
        self.writes.close();
        self.writer.take().into_iter().for_each(join);
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.path)
            .field("synchronous", &self.synchronous)
            .finish_non_exhaustive()
    }
}
