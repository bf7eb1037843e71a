//! Sends hints about what was stored: to this process's listeners at once, to other processes by NOTIFY.
//!
//! A NOTIFY in the transaction of every enqueue would divide their rate by two to five, since such commits
//! take a lock of the whole database one after the other. So notifications are summed up, and one statement
//! on a connection of its own carries them:
//!
//! ```text
//! now and then   enqueue ─ commit ─ NOTIFY ─ return     the caller waits a fraction of a millisecond for it
//! a flood        enqueue ─ commit ─ return              NOTIFY every 10 ms, by a task
//! ```
//!
//! A program that ends right after a call has therefore notified the workers. What a flood has left to the
//! task is sent when the handle is dropped, and when the runtime ends ([`Sending`]). A lost notification only
//! delays other processes until their next poll.
//!
//! The lock of [`Outbox`] is held for a few moves and never over an await. Its task ends when nothing is left
//! to send.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::Hint;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::{Answer, Fail};
use crate::handle::Inner;
use crate::hint_sum::{HintSum, Position};
use crate::notice;
use crate::statement::sql;

/// The time between the notifications of a flood.
const FLOOD_PAUSE: Duration = Duration::from_millis(10);
/// Operations that follow each other more closely than this are a flood.
const FLOOD_GAP: Duration = Duration::from_millis(4);
/// A gap counts as no more than this, so that a flood is known after a few operations.
const LONGEST_GAP: Duration = Duration::from_millis(40);
/// How long a caller waits for its notification.
const CALLERS_PATIENCE: Duration = Duration::from_millis(250);
/// Give up sending a notification after this long: a server that does not answer must not hold up the
/// heartbeats' connections.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end of a runtime waits for the last notification.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// Most ids of ended jobs in one notification. A caller that waits for another job finds its end by polling.
const MOST_ENDED: usize = 500;
/// How long this process remembers that another one watches ends. The other one repeats it with each ping.
const WATCH: Duration = Duration::from_secs(45);

/// Hints that wait to be sent to other processes.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Marks the notices of this process. Its own listeners have received their hints already.
    pub(crate) process: u64,
    waiting: Mutex<Waiting>,
    /// The number of the last notification that was sent, or given up.
    sent: watch::Sender<u64>,
}

#[derive(Debug)]
struct Waiting {
    hints: HintSum,
    is_sending: bool,
    /// The number of the last notification that was begun.
    begun: u64,
    added: Instant,
    /// The time between operations, as an average of the latest ones.
    gap: Duration,
    others_watch_until: Option<Instant>,
}

impl Default for Outbox {
    fn default() -> Self {
        let waiting = Waiting {
            hints: HintSum::default(),
            is_sending: false,
            begun: 0,
            added: Instant::now(),
            gap: LONGEST_GAP,
            others_watch_until: None,
        };
        Self { process: fastrand::u64(..), waiting: Mutex::new(waiting), sent: watch::Sender::new(0) }
    }
}

impl Outbox {
    /// Adds hints to send. True if no task is sending: the caller must start one.
    fn add(&self, hints: HintSum) -> bool {
        let mut waiting = self.lock();
        let now = Instant::now();
        let gap = now.duration_since(waiting.added).min(LONGEST_GAP);
        waiting.gap = (waiting.gap + gap) / 2;
        waiting.added = now;
        waiting.hints.merge(hints);
        waiting.hints.ended.truncate(MOST_ENDED);
        !std::mem::replace(&mut waiting.is_sending, true)
    }

    /// Takes the hints to send, with the number of their notification. `None` ends the sending.
    fn take(&self) -> Option<(u64, HintSum)> {
        let mut waiting = self.lock();
        waiting.is_sending = !waiting.hints.is_empty();
        if !waiting.is_sending {
            return None;
        }
        waiting.begun += 1;
        Some((waiting.begun, std::mem::take(&mut waiting.hints)))
    }

    /// The number of the notification that carries the last of the hints added so far. `None` in a flood, and
    /// when no hint waits.
    fn awaited(&self) -> Option<u64> {
        let waiting = self.lock();
        let is_wanted = waiting.is_sending && waiting.gap >= FLOOD_GAP;
        is_wanted.then(|| waiting.begun + u64::from(!waiting.hints.is_empty()))
    }

    /// How long to wait before the next notification, so that it carries more.
    fn pause(&self) -> Duration {
        if self.lock().gap < FLOOD_GAP { FLOOD_PAUSE } else { Duration::ZERO }
    }

    /// Notes that another process watches ends.
    pub(crate) fn others_watch(&self) {
        self.lock().others_watch_until = Some(Instant::now() + WATCH);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether a listener, here or in another process, watches ends.
    pub(crate) fn wants_ends(&self) -> bool {
        self.listeners.watch_ends()
            || self.outbox.lock().others_watch_until.is_some_and(|until| Instant::now() < until)
    }

    /// Sends the hints to all listeners, here and in other processes. Call it after the commit.
    pub(crate) fn send_hints(&self, hints: HintSum) {
        if hints.is_empty() {
            return;
        }
        self.note(&hints);
        self.send_here(&hints);
        if self.outbox.add(hints)
            && let Some(inner) = self.me.upgrade()
        {
            self.runtime.spawn(send(Sending { inner, unsent: None, is_over: false }));
        }
    }

    /// Waits until other processes are notified of the hints so far, so that a program may end right after a
    /// call. Returns at once in a flood, where a task sends them. Waits 250 ms at most.
    ///
    /// # Cancel safety
    /// If dropped, the task still sends the hints.
    pub(crate) async fn until_told(&self) {
        if let Some(number) = self.outbox.awaited() {
            let mut sent = self.outbox.sent.subscribe();
            let _ = timeout(CALLERS_PATIENCE, sent.wait_for(|sent| *sent >= number)).await;
        }
    }

    /// Makes fetches of this process begin before the jobs that became available, and look at parked ones.
    pub(crate) fn note(&self, hints: &HintSum) {
        hints.parked.iter().for_each(|queue| self.parked.add(*queue));
        for (queue, Position { priority, run_at_ms, id }) in &hints.available {
            self.cursors.lower(*queue, *priority, *run_at_ms, *id);
        }
    }

    /// Sends the hints to this process's listeners.
    pub(crate) fn send_here(&self, sum: &HintSum) {
        let mut unnamed = Vec::new();
        let mut hints = Vec::with_capacity(sum.available.len() + 1);
        let mut queues: Vec<i32> = sum.available.iter().map(|(queue, _)| *queue).collect();
        queues.extend(&sum.parked);
        for (place, queue) in queues.iter().enumerate() {
            if queues[..place].contains(queue) {
                continue;
            }
            match self.names.known_name(*queue) {
                Some(name) => hints.push(Hint::Available(name)),
                None => unnamed.push(*queue),
            }
        }
        hints.extend(sum.due.map(Hint::Due));
        hints.extend(sum.cancels.iter().copied().map(Hint::CancelRequested));
        hints.extend(sum.changed.iter().cloned().map(Hint::QueueChanged));
        hints.extend(sum.ended.iter().copied().map(Hint::Ended));
        self.listeners.send(&hints);
        if !unnamed.is_empty() && !self.listeners.is_empty() {
            self.me.upgrade().map(|inner| self.runtime.spawn(send_unnamed(inner, unnamed)));
        }
    }
}

/// Sends the hints of queues whose names this process must first look up.
async fn send_unnamed(inner: Arc<Inner>, queues: Vec<i32>) {
    let look_up = async {
        let mut session = inner.reads().await?;
        for queue in queues {
            let name = inner.names.name(&mut session, queue).await?;
            inner.listeners.send(&[Hint::Available(name)]);
        }
        Answer::Ok(())
    };
    if let Ok(Err(fail)) = timeout(PATIENCE, look_up).await {
        gristmill_core::log!(debug, ?fail, "a hint is lost: the queue's name could not be read");
    }
}

/// The task that sends. Dropped before its end, which only the end of its runtime does, it sends the rest by
/// itself.
struct Sending {
    inner: Arc<Inner>,
    /// What is under way.
    unsent: Option<HintSum>,
    is_over: bool,
}

/// Sends hints until none is left.
async fn send(mut sending: Sending) {
    let inner = Arc::clone(&sending.inner);
    while let Some((number, hints)) = inner.outbox.take() {
        let texts = notice::write(inner.outbox.process, &hints);
        sending.unsent = Some(hints);
        if let Err(fail) = notify_apart(&inner, texts).await {
            // A lost notification costs latency only, and a server that is away says so elsewhere.
            gristmill_core::log!(debug, ?fail, "a notification is lost");
        }
        sending.unsent = None;
        inner.outbox.sent.send_replace(number);
        let pause = inner.outbox.pause();
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    // What is added from here on has a task of its own.
    sending.is_over = true;
}

/// Notifies from the thread for heartbeats. The connection is one of theirs, perhaps the only one: code of
/// jobs that blocks the program's runtime must not keep it. Dropped, the notification is given up.
async fn notify_apart(inner: &Arc<Inner>, texts: Vec<String>) -> Answer<()> {
    let mut apart = JoinSet::new();
    let own = Arc::clone(inner);
    let limited = async move { timeout(PATIENCE, notify(&own, &texts)).await.unwrap_or(Err(Fail::Late)) };
    apart.spawn_on(limited, inner.apart.handle());
    match apart.join_next().await {
        Some(Ok(answer)) => answer,
        // The thread has ended with the backend.
        Some(Err(_)) | None => Err(Fail::Late),
    }
}

async fn notify(inner: &Inner, texts: &[String]) -> Answer<()> {
    let mut session = inner.control().await?;
    let channel = notice::channel(session.schema());
    session.execute(sql!("notify"), &[&channel, &texts]).await
}

impl Drop for Sending {
    /// The connections of the pools ended with the runtime, so a thread of its own sends the rest on another
    /// one.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut hints = self.unsent.take().unwrap_or_default();
        if let Some((_, rest)) = self.inner.outbox.take() {
            hints.merge(rest);
        }
        if hints.is_empty() {
            return;
        }
        let texts = notice::write(self.inner.outbox.process, &hints);
        let (dial, statements) = (self.inner.dial.clone(), Arc::clone(&self.inner.statements));
        let (ended, end) = channel();
        let sender = thread::Builder::new().name("gristmill-last-notice".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                let sent = dial.notify_once(&statements, &texts);
                let _ = runtime.block_on(async { timeout(LAST_PATIENCE, sent).await });
                runtime.shutdown_background();
            }
            let _ = ended.send(());
        });
        if sender.is_ok() {
            let _ = end.recv_timeout(LAST_PATIENCE);
        }
    }
}
