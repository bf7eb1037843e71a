//! What the test has ordered, and which connections there are.
//!
//! Locks: `state` is held for moments only, never during I/O that can wait, and never together with `lose`.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::net::sockopt::set_socket_linger;

/// How long connections may take to be gone once they are cut.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says of a request whether its reply is to be lost.
type Predicate = Box<dyn Fn(&[u8]) -> bool + Send>;

/// What happens to bytes and connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Pass,
    Refuse,
    Blackhole,
    Delay(Duration),
}

/// What happens to some bytes that have been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Forward,
    Swallow,
    Cut,
}

/// The two sockets of a connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: TcpStream,
    pub(super) server: TcpStream,
    cut: AtomicBool,
}

impl Link {
    pub(super) fn new(client: TcpStream, server: TcpStream) -> Self {
        Self { client, server, cut: AtomicBool::new(false) }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Lets both sockets end with a reset as soon as their threads let go of them.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        for socket in [&self.client, &self.server] {
            // Without lingering, closing sends RST instead of FIN (socket(7), SO_LINGER). Ending the reading
            // side wakes the thread that waits there and sends nothing. Both fail only where the peer has
            // gone first.
            let _ = set_socket_linger(socket, Some(Duration::ZERO));
            let _ = socket.shutdown(Shutdown::Read);
        }
    }
}

/// Shared by the proxy and the threads of its connections.
pub(super) struct Control {
    state: Mutex<State>,
    changed: Condvar,
    lose: Mutex<Option<Predicate>>,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// By number; none once its threads have ended, until its sockets are closed.
    connections: BTreeMap<u64, Option<Arc<Link>>>,
    next: u64,
    lost_replies: u64,
    swallowed_bytes: u64,
    closing: bool,
}

impl State {
    fn new() -> Self {
        let connections = BTreeMap::new();
        Self { mode: Mode::Pass, connections, next: 0, lost_replies: 0, swallowed_bytes: 0, closing: false }
    }
}

impl Control {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::new()), changed: Condvar::new(), lose: Mutex::new(None) }
    }

    pub(super) fn mode(&self) -> Mode {
        self.state().mode
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        self.state().mode = mode;
        self.changed.notify_all();
    }

    pub(super) fn set_lose(&self, predicate: Option<Predicate>) {
        *self.lose.lock().unwrap_or_else(PoisonError::into_inner) = predicate;
    }

    /// True if the reply to this request is to be lost; it is the only one then.
    pub(super) fn loses(&self, request: &[u8]) -> bool {
        let mut predicate = self.lose.lock().unwrap_or_else(PoisonError::into_inner);
        let loses = predicate.as_ref().is_some_and(|predicate| predicate(request));
        if loses {
            *predicate = None;
        }
        loses
    }

    pub(super) fn count_lost_reply(&self) {
        self.state().lost_replies += 1;
        self.changed.notify_all();
    }

    pub(super) fn lost_replies(&self) -> u64 {
        self.state().lost_replies
    }

    pub(super) fn count_swallowed(&self, bytes: usize) {
        self.state().swallowed_bytes += bytes as u64;
    }

    pub(super) fn swallowed_bytes(&self) -> u64 {
        self.state().swallowed_bytes
    }

    pub(super) fn connections(&self) -> usize {
        self.state().connections.len()
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
        self.changed.notify_all();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state().closing
    }

    pub(super) fn add(&self, link: Arc<Link>) -> u64 {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.connections.insert(number, Some(link));
        number
    }

    /// The threads of a connection have ended: its sockets are closed, and after that it is gone.
    pub(super) fn remove(&self, number: u64, link: Arc<Link>) {
        let registered = self.state().connections.get_mut(&number).and_then(Option::take);
        drop((registered, link));
        self.state().connections.remove(&number);
        self.changed.notify_all();
    }

    /// Cuts every connection there is; true when all of them are gone.
    pub(super) fn cut_all(&self) -> bool {
        let state = self.state();
        let end = state.next;
        state.connections.values().flatten().for_each(|link| link.cut());
        self.changed.notify_all();
        let remain = |state: &mut State| state.connections.range(..end).next().is_some();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, remain);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits for a mode that says what becomes of bytes read at `received`.
    pub(super) fn fate(&self, link: &Link, received: Instant) -> Fate {
        let mut state = self.state();
        loop {
            if link.is_cut() {
                return Fate::Cut;
            }
            let left = match state.mode {
                Mode::Pass | Mode::Refuse => return Fate::Forward,
                Mode::Blackhole => return Fate::Swallow,
                Mode::Delay(by) => by.saturating_sub(received.elapsed()),
            };
            if left.is_zero() {
                return Fate::Forward;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the end of a connection may be passed on, which nothing is in a black hole.
    pub(super) fn wait_out_blackhole(&self, link: &Link) {
        let inside = |state: &mut State| state.mode == Mode::Blackhole && !link.is_cut() && !state.closing;
        drop(self.changed.wait_while(self.state(), inside));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Control").field("state", &*self.state()).finish_non_exhaustive()
    }
}
