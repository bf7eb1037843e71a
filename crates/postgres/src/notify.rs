//! Telling: this process's listeners at once, other processes by NOTIFY.
//!
//! A NOTIFY in the transaction of every enqueue would divide their rate by two to five, since such commits take a lock of
//! the whole database one after the other. So what is to be told is summed up, and one statement on a connection of its own
//! carries it: the first at once, and as long as there is more one after each pause, from [`SHORTEST_PAUSE`] to
//! [`LONGEST_PAUSE`]. So a job now and then is told at once, and a flood a hundred times a second. A notification that is lost
//! costs others the time until they look by themselves.
//!
//! The lock of [`Outbox`] is held for a few moves and never over an await. Its task ends when there is nothing more to
//! say, or the backend is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use gristmill_core::Hint;

use crate::error::Answer;
use crate::handle::Inner;
use crate::notice;
use crate::statement::sql;
use crate::told::{Position, Told};

/// The time between the first two notifications in a row.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// The time between notifications of a process that go on and on.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// Longer than this nothing is told: a server that does not answer must not hold up the heartbeats' connections.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ids of ended jobs that are told at a time; whoever waits for another one looks by himself.
const MOST_ENDED: usize = 500;
/// How long it is remembered that another process watches ends. It says so with each of its pings.
const WATCH: Duration = Duration::from_secs(45);

/// What other processes are to be told.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Marks the notices of this process, which it has told its listeners already.
    pub(crate) process: u64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    told: Told,
    is_sending: bool,
    others_watch_until: Option<Instant>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { process: fastrand::u64(..), waiting: Mutex::default() }
    }
}

impl Outbox {
    /// Adds to what is to be told. True for the caller that has to start sending.
    fn add(&self, told: Told) -> bool {
        let mut waiting = self.lock();
        waiting.told.merge(told);
        waiting.told.ended.truncate(MOST_ENDED);
        !std::mem::replace(&mut waiting.is_sending, true)
    }

    /// What is to be told; with `None` the sending is over.
    fn take(&self) -> Option<Told> {
        let mut waiting = self.lock();
        waiting.is_sending = !waiting.told.is_empty();
        waiting.is_sending.then(|| std::mem::take(&mut waiting.told))
    }

    /// Another process wants to know of ends.
    pub(crate) fn others_watch(&self) {
        self.lock().others_watch_until = Some(Instant::now() + WATCH);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether anybody, here or in another process, wants to know of each job that ends.
    pub(crate) fn wants_ends(&self) -> bool {
        self.listeners.watch_ends()
            || self.outbox.lock().others_watch_until.is_some_and(|until| Instant::now() < until)
    }

    /// Tells what was stored: to be called after the commit.
    pub(crate) fn tell(&self, told: Told) {
        if told.is_empty() {
            return;
        }
        self.lower_cursors(&told);
        self.tell_here(&told);
        if self.outbox.add(told) {
            self.runtime.spawn(send(Weak::clone(&self.me)));
        }
    }

    /// Lets fetches begin before the jobs that became available.
    pub(crate) fn lower_cursors(&self, told: &Told) {
        for (queue, Position { priority, run_at_ms, id }) in &told.available {
            self.cursors.lower(*queue, *priority, *run_at_ms, *id);
        }
    }

    /// Tells this process's listeners.
    pub(crate) fn tell_here(&self, told: &Told) {
        let mut unnamed = Vec::new();
        let mut hints = Vec::with_capacity(told.available.len() + 1);
        for (place, (queue, _)) in told.available.iter().enumerate() {
            if told.available[..place].iter().any(|(earlier, _)| earlier == queue) {
                continue;
            }
            match self.names.known_name(*queue) {
                Some(name) => hints.push(Hint::Available(name)),
                None => unnamed.push(*queue),
            }
        }
        hints.extend(told.due.map(Hint::Due));
        hints.extend(told.cancels.iter().copied().map(Hint::CancelRequested));
        hints.extend(told.changed.iter().cloned().map(Hint::QueueChanged));
        hints.extend(told.ended.iter().copied().map(Hint::Ended));
        self.listeners.tell(&hints);
        if !unnamed.is_empty() && !self.listeners.is_empty() {
            self.me.upgrade().map(|inner| self.runtime.spawn(tell_unnamed(inner, unnamed)));
        }
    }
}

/// Tells of queues whose names this process has to look up.
async fn tell_unnamed(inner: Arc<Inner>, queues: Vec<i32>) {
    let look_up = async {
        let mut session = inner.reads().await?;
        for queue in queues {
            let name = inner.names.name(&mut session, queue).await?;
            inner.listeners.tell(&[Hint::Available(name)]);
        }
        Answer::Ok(())
    };
    if let Ok(Err(fail)) = tokio::time::timeout(PATIENCE, look_up).await {
        tracing::debug!(?fail, "a hint is lost: the queue's name could not be read");
    }
}

/// Sends what there is to be told until there is nothing more.
async fn send(backend: Weak<Inner>) {
    let mut pause = SHORTEST_PAUSE;
    while let Some(inner) = backend.upgrade() {
        let Some(told) = inner.outbox.take() else { return };
        let texts = notice::write(inner.outbox.process, &told);
        match tokio::time::timeout(PATIENCE, notify(&inner, &texts)).await {
            Ok(Ok(())) => {}
            // A lost notification costs latency only, and a server that is away says so elsewhere.
            Ok(Err(fail)) => tracing::debug!(?fail, "a notification is lost"),
            Err(_) => tracing::debug!("a notification is lost: the server did not answer in time"),
        }
        drop(inner);
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

async fn notify(inner: &Inner, texts: &[String]) -> Answer<()> {
    let mut session = inner.control().await?;
    let channel = notice::channel(session.schema());
    session.execute(sql!("notify"), &[&channel, &texts]).await
}
