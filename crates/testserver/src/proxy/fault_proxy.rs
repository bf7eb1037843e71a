//! The proxy that tests hold.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    connection,
    control::{Control, Link, Mode},
};
use crate::{postgres::Postgres, url};

/// How long the server may take to accept.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A TCP proxy in front of a server that loses, delays and cuts what passes, as the test says.
///
/// It stands for the network: a connection to it always succeeds; if the server behind does not accept, it
/// ends at once. One mode holds at a time, for all connections; [`pass`](Self::pass) is the first. Except for
/// [`lose_next_reply_to`](Self::lose_next_reply_to) it knows nothing of what passes.
///
/// ```
/// use gristmill_testserver::{FaultProxy, Postgres};
///
/// let server = Postgres::start();
/// server.psql("CREATE TABLE letters (n int)");
/// let proxy = FaultProxy::before(&server);
/// let url = proxy.url_for(&server);
///
/// // The client cannot know that the server has done it.
/// proxy.lose_next_reply_to(|request| request.windows(6).any(|word| word == b"INSERT"));
/// assert!(server.try_psql(&url, "INSERT INTO letters VALUES (1)").is_err());
/// assert_eq!(proxy.lost_replies(), 1);
/// assert_eq!(server.psql("SELECT count(*) FROM letters"), "1");
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    control: Arc<Control>,
    server: Arc<Mutex<SocketAddr>>,
    listener: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// A proxy in front of a PostgreSQL server.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn before(server: &Postgres) -> Self {
        Self::start(server.address())
    }

    /// A proxy in front of any TCP server.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let address = listener.local_addr().expect("it is bound");
        let control = Arc::new(Control::new());
        let server = Arc::new(Mutex::new(server));
        let (of_thread, target) = (Arc::clone(&control), Arc::clone(&server));
        let thread = thread::Builder::new().name("fault-proxy".to_owned());
        let listener = thread.spawn(move || listen(&listener, &target, &of_thread));
        Self { address, control, server, listener: Some(listener.expect("a thread starts")) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port on 127.0.0.1 where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of the server's database through this proxy.
    pub fn url_for(&self, server: &Postgres) -> String {
        self.url_through(server.url())
    }

    /// `url` with this proxy as its host and port; account, database and query stay.
    pub fn url_through(&self, url: &str) -> String {
        url::with_place(url, &self.address.to_string())
    }

    /// New connections reach another server from now on; those that exist go on.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// Everything passes at once, as without a proxy, and no reply is waited for to be lost any more. A
    /// connection that has lost bytes to [`blackhole`](Self::blackhole) stays broken: follow with
    /// [`cut_all`](Self::cut_all) to play a network that tells its clients.
    pub fn pass(&self) {
        self.control.set_lose(None);
        self.control.set_mode(Mode::Pass);
    }

    /// New connections are accepted and closed at once; those that exist go on.
    pub fn refuse(&self) {
        self.control.set_mode(Mode::Refuse);
    }

    /// All bytes vanish, in both directions; connections stay open, new ones too, and neither side learns
    /// when the other ends.
    pub fn blackhole(&self) {
        self.control.set_mode(Mode::Blackhole);
    }

    /// Bytes arrive later by this time in each direction, a round trip later by twice as much. What is sent
    /// within one delay arrives together.
    pub fn delay(&self, by: Duration) {
        self.control.set_mode(Mode::Delay(by));
    }

    /// Ends all connections with a reset on both sides (RST), and returns when they are gone. The mode stays.
    ///
    /// # Panics
    /// When they are still there after ten seconds.
    #[track_caller]
    pub fn cut_all(&self) {
        assert!(self.control.cut_all(), "connections are still there");
    }

    /// Lets the server do what it is asked, and the client never learn it: the next request that `matches` is
    /// passed on, its reply is awaited and held back to its end, then the connection is cut. Once; other
    /// requests and connections are not touched.
    ///
    /// `matches` gets a whole request of PostgreSQL's protocol (its first megabyte), which is everything a
    /// client sends up to and including a simple query or a Sync. A statement's text is in it when it is
    /// prepared or sent as a simple query, not when a prepared one is executed again. Not for the request
    /// that begins a `COPY … FROM STDIN`, nor for encrypted connections.
    pub fn lose_next_reply_to(&self, matches: impl Fn(&[u8]) -> bool + Send + 'static) {
        self.control.set_lose(Some(Box::new(matches)));
    }

    /// How many replies were lost so far.
    pub fn lost_replies(&self) -> u64 {
        self.control.lost_replies()
    }

    /// How many bytes have vanished in [`blackhole`](Self::blackhole) so far.
    pub fn swallowed_bytes(&self) -> u64 {
        self.control.swallowed_bytes()
    }

    /// How many connections pass through it now.
    pub fn connections(&self) -> usize {
        self.control.connections()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.control.close();
        // It waits for a connection, so it gets one.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        self.control.cut_all();
    }
}

fn listen(listener: &TcpListener, target: &Mutex<SocketAddr>, control: &Arc<Control>) {
    while let Ok((client, _)) = listener.accept() {
        if control.is_closing() {
            return;
        }
        if control.mode() == Mode::Refuse {
            continue;
        }
        let server = *target.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(server) = TcpStream::connect_timeout(&server, CONNECT_PATIENCE) else { continue };
        // Small packets in both directions are what databases send.
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let link = Arc::new(Link::new(client, server));
        let number = control.add(Arc::clone(&link));
        let control = Arc::clone(control);
        let thread = thread::Builder::new().name(format!("fault-proxy-{number}"));
        thread.spawn(move || connection::carry(&control, number, link)).expect("a thread starts");
    }
}
