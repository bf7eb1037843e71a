//! Receives the notifications of other processes.
//!
//! One task with a connection of its own. It starts with the first subscription. It ends when there has been
//! none for a while, or with the backend, which owns it. The task holds the backend weakly. At least every
//! [`PING`] it sends a notification to itself. Only so does it notice a dead link, or a pooler that gave the
//! session away. After every new connection the listeners receive hints to look at every queue, since earlier
//! notifications may be lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use gristmill_core::{BackendError, Hint, Listener, Priority, Subscription};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::dial::Ear;
use crate::error::{Answer, unavailable};
use crate::handle::Inner;
use crate::notice::{self, PING as PING_WORD, WATCHES};
use crate::servers::{Reached, Servers};
use crate::session::Naming;

/// The time between two pings.
const PING: Duration = Duration::from_secs(10);
/// How long a ping may be on its way.
const ECHO: Duration = Duration::from_secs(5);
/// A connection is not given up for another server before this.
const SETTLED: Duration = Duration::from_secs(2);
/// The first wait after a connection was lost; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait before the next attempt.
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// The listening of a backend. Dropping it ends the task.
#[derive(Debug, Default)]
pub(crate) struct Listening(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Signalled when a new listener watches ends, which other processes should know.
    watcher: Notify,
    /// A connection listens, as far as is known.
    hears: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    subscriptions: usize,
    task: Option<AbortHandle>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the task must end because there is no subscription.
    fn ends_unused(&self) -> bool {
        let mut state = self.lock();
        let is_unused = state.subscriptions == 0;
        if is_unused {
            state.task = None;
        }
        is_unused
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(task) = self.0.lock().task.take() {
            task.abort();
        }
    }
}

impl Inner {
    /// Whether notifications of other processes arrive.
    pub(crate) fn hears_hints(&self) -> bool {
        self.listening.0.hears.load(Ordering::Relaxed)
    }

    /// Subscribes a listener to the hints of this process and of others.
    pub(crate) fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
        let watches_ends = listener.watches_ends();
        let subscription = self.listeners.subscribe(listener);
        if self.naming == Naming::Unnamed {
            return subscription;
        }
        let shared = Arc::clone(&self.listening.0);
        let mut state = shared.lock();
        state.subscriptions += 1;
        if state.task.is_none() {
            let task = listen(Weak::clone(&self.me), Arc::clone(&shared));
            state.task = Some(self.runtime.spawn(task).abort_handle());
        }
        drop(state);
        if watches_ends {
            shared.watcher.notify_one();
        }
        Subscription::new(move || {
            drop(subscription);
            shared.lock().subscriptions -= 1;
        })
    }

    /// Reads a notification: passes on those of other processes, ignores those of this one. True for the echo
    /// of a ping.
    fn hear(&self, text: &str) -> bool {
        let Some(notice) = notice::read(text) else { return false };
        if notice.process == self.outbox.process {
            return notice.pings;
        }
        if notice.watches {
            self.outbox.others_watch();
        }
        self.note(&notice.hints);
        self.send_here(&notice.hints);
        false
    }

    /// Makes every listener look for jobs, because notifications may have been lost. Fetches begin at the
    /// start of every known queue again; those that others have made meanwhile are not known yet.
    fn look_around(&self) {
        for queue in self.names.known() {
            self.parked.add(queue);
            for priority in Priority::FIRST.get()..=Priority::LAST.get() {
                self.cursors.lower(queue, priority.into(), i64::MIN, Uuid::nil());
            }
        }
        self.listeners.send(&[Hint::Missed, Hint::Due(self.server_now())]);
    }
}

/// Listens, connects anew when the connection is lost, and ends with the last subscription or the backend.
async fn listen(backend: Weak<Inner>, shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    let mut is_lost = false;
    loop {
        let Some(inner) = backend.upgrade() else { return };
        let (dial, statements) = (inner.dial.clone(), Arc::clone(&inner.statements));
        let servers = Arc::clone(&inner.servers);
        drop(inner);
        let ended = match dial.listen(&statements, &servers).await {
            Ok(ear) => {
                let since = Instant::now();
                shared.hears.store(true, Ordering::Relaxed);
                if std::mem::take(&mut is_lost) {
                    gristmill_core::log!(warn, "the server is heard again: notifications arrive");
                }
                let left = left(&servers, ear.reached.clone(), since);
                let ended = tokio::select! {
                    ended = hear_all(ear, &backend, &shared) => ended,
                    () = left => Err(unavailable("the server is not the one that takes writes").into()),
                };
                shared.hears.store(false, Ordering::Relaxed);
                // Workers look more often from now on, and not only once their long wait is over.
                if let Some(inner) = backend.upgrade() {
                    inner.look_around();
                }
                if since.elapsed() > PING {
                    pause = FIRST_PAUSE;
                }
                ended
            }
            Err(fail) => Err(fail),
        };
        match ended {
            Ok(()) => return,
            Err(fail) if !std::mem::replace(&mut is_lost, true) => {
                gristmill_core::log!(
                    warn,
                    error = %BackendError::from(fail).chain(),
                    "notifications are lost until the server is heard again; workers poll"
                );
            }
            Err(fail) => gristmill_core::log!(debug, ?fail, "the server is still not heard"),
        }
        if shared.ends_unused() {
            return;
        }
        // Half of it at least: many processes shall not come back at once after the server's restart.
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = LAST_PAUSE.min(pause * 2);
    }
}

/// Waits until the listening is to begin anew, at another server perhaps. A server that takes no writes for a
/// while is not left again and again.
async fn left(servers: &Servers, reached: Reached, since: Instant) {
    servers.left(&reached).await;
    tokio::time::sleep_until(since + SETTLED).await;
}

/// Receives notifications until the connection is lost; `Ok` when the backend or the last subscription is
/// gone.
async fn hear_all(mut ear: Ear, backend: &Weak<Inner>, shared: &Shared) -> Answer<()> {
    let Some(inner) = backend.upgrade() else { return Ok(()) };
    inner.look_around();
    drop(inner);
    let mut is_echo_due = false;
    let mut next = Instant::now();
    let mut announced: Option<Instant> = None;
    loop {
        tokio::select! {
            text = ear.next() => {
                let text = text?;
                let Some(inner) = backend.upgrade() else { return Ok(()) };
                if inner.hear(&text) && is_echo_due {
                    is_echo_due = false;
                    next = Instant::now() + PING;
                }
                continue;
            }
            () = tokio::time::sleep_until(next) => {
                if is_echo_due {
                    return Err(unavailable("a notification to itself was not heard").into());
                }
                if shared.ends_unused() {
                    return Ok(());
                }
            }
            () = shared.watcher.notified() => {
                if is_echo_due || announced.is_some_and(|at| at.elapsed() < PING) {
                    continue;
                }
            }
        }
        let Some(inner) = backend.upgrade() else { return Ok(()) };
        let watches = inner.listeners.watch_ends();
        let words: &[&str] = if watches { &[PING_WORD, WATCHES] } else { &[PING_WORD] };
        let ping = notice::write_words(inner.outbox.process, words);
        drop(inner);
        announced = watches.then(Instant::now).or(announced);
        let mut has_echoed = false;
        let hear = |text: &str| has_echoed |= backend.upgrade().is_some_and(|inner| inner.hear(text));
        ear.notify(&ping, hear).await?;
        is_echo_due = !has_echoed;
        next = Instant::now() + if has_echoed { PING } else { ECHO };
    }
}
