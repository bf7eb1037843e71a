//! The proxy makes the faults it is asked for, with plain TCP and in front of a real server.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use gristmill_testserver::{FaultProxy, Postgres};

/// Longer than anything takes here that comes at all.
const LONG: Duration = Duration::from_secs(60);
/// Long enough to see that something does not come.
const SHORT: Duration = Duration::from_millis(100);

/// Sends back what it gets, each connection on a thread that ends with it.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    stream
}

fn say(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).expect("it is open");
}

fn hear(stream: &mut TcpStream) -> [u8; 4] {
    let mut word = [0; 4];
    stream.read_exact(&mut word).expect("somebody answers");
    word
}

fn hears_nothing(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SHORT)).expect("a timeout");
    let error = stream.read(&mut [0; 4]).err().map(|error| error.kind());
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    matches!(error, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn bytes_pass_in_both_directions() {
    let proxy = FaultProxy::start(echo());
    let mut stream = connect(&proxy);
    say(&mut stream, b"ping");
    assert_eq!(&hear(&mut stream), b"ping");
    let big = vec![7; 1 << 20];
    let mut back = vec![0; big.len()];
    thread::scope(|scope| {
        let mut writer = stream.try_clone().unwrap();
        let big = &big;
        scope.spawn(move || writer.write_all(big).unwrap());
        stream.read_exact(&mut back).unwrap();
    });
    assert_eq!(big, back);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the end passes too");
}

#[test]
fn cut_resets_what_exists_and_nothing_later() {
    let proxy = FaultProxy::start(echo());
    let mut streams: Vec<TcpStream> = (0..3).map(|_| connect(&proxy)).collect();
    for stream in &mut streams {
        say(stream, b"ping");
        hear(stream);
    }
    assert_eq!(proxy.connections(), 3);
    proxy.cut_all();
    assert_eq!(proxy.connections(), 0);
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let mut stream = connect(&proxy);
    say(&mut stream, b"ping");
    assert_eq!(&hear(&mut stream), b"ping");
}

#[test]
fn cut_ends_a_connection_whose_reader_is_stuck() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap());
    let mut stream = connect(&proxy);
    let (_server, _) = listener.accept().unwrap();
    stream.set_write_timeout(Some(SHORT)).unwrap();
    // No process reads, so every buffer on the way fills up.
    let much = vec![0; 1 << 16];
    while stream.write_all(&much).is_ok() {}
    proxy.cut_all();
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn refuse_closes_new_connections_at_once_and_leaves_the_others() {
    let proxy = FaultProxy::start(echo());
    let mut old = connect(&proxy);
    say(&mut old, b"ping");
    hear(&mut old);
    proxy.refuse();
    let mut new = connect(&proxy);
    assert_eq!(new.read(&mut [0; 1]).unwrap(), 0);
    say(&mut old, b"pong");
    assert_eq!(&hear(&mut old), b"pong");
    proxy.pass();
    let mut new = connect(&proxy);
    say(&mut new, b"ping");
    assert_eq!(&hear(&mut new), b"ping");
}

#[test]
fn blackhole_swallows_and_keeps_connections_open() {
    let proxy = FaultProxy::start(echo());
    let mut old = connect(&proxy);
    say(&mut old, b"ping");
    hear(&mut old);
    proxy.blackhole();
    let mut new = connect(&proxy);
    for stream in [&mut old, &mut new] {
        say(stream, b"lost");
        assert!(hears_nothing(stream));
    }
    while proxy.swallowed_bytes() < 8 {
        thread::yield_now();
    }
    proxy.pass();
    for stream in [&mut old, &mut new] {
        say(stream, b"pong");
        assert_eq!(&hear(stream), b"pong", "what was swallowed stays lost");
    }
}

#[test]
fn blackhole_hides_the_end_of_the_other_side() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap());
    let stream = connect(&proxy);
    let (mut server, _) = listener.accept().unwrap();
    proxy.blackhole();
    drop(stream);
    assert!(hears_nothing(&mut server));
    proxy.pass();
    server.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn delay_holds_bytes_back_in_each_direction() {
    let proxy = FaultProxy::start(echo());
    let mut stream = connect(&proxy);
    proxy.delay(SHORT);
    let started = Instant::now();
    say(&mut stream, b"ping");
    assert_eq!(&hear(&mut stream), b"ping");
    assert!(started.elapsed() >= 2 * SHORT);
    // What waits goes on at once when the delay ends, or this would take an hour.
    proxy.delay(Duration::from_secs(3600));
    say(&mut stream, b"pong");
    assert!(hears_nothing(&mut stream));
    proxy.pass();
    assert_eq!(&hear(&mut stream), b"pong");
}

#[test]
fn dead_server_ends_connections() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = FaultProxy::start(address);
    assert_eq!(connect(&proxy).read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn server_is_reached_through_the_proxy() {
    let server = Postgres::start();
    let proxy = FaultProxy::before(&server);
    let url = proxy.url_for(&server);
    assert!(url.contains(&proxy.port().to_string()));
    assert_eq!(server.try_psql(&url, "SELECT 1").unwrap(), "1");
    proxy.refuse();
    assert!(server.try_psql(&url, "SELECT 1").is_err());
    proxy.blackhole();
    assert!(server.try_psql(&format!("{url}?connect_timeout=2"), "SELECT 1").is_err());
}

#[test]
fn lost_reply_to_a_commit_leaves_the_commit_done_once() {
    let server = Postgres::start();
    server.psql("CREATE TABLE letters (n int)");
    let proxy = FaultProxy::before(&server);
    let url = proxy.url_for(&server);
    proxy.lose_next_reply_to(|request| request.windows(6).any(|word| word == b"COMMIT"));
    let transaction = "BEGIN; INSERT INTO letters VALUES (1); SELECT 'before'; COMMIT; SELECT 'after'";
    let error = server.try_psql(&url, transaction).unwrap_err();
    assert!(error.to_string().contains("connection"), "{error}");
    assert_eq!(proxy.lost_replies(), 1);
    assert_eq!(server.psql("SELECT n FROM letters"), "1");
    // Once only.
    server.try_psql(&url, transaction).unwrap();
    assert_eq!(server.psql("SELECT count(*) FROM letters"), "2");
    assert_eq!(proxy.lost_replies(), 1);
}

#[test]
fn cut_ends_the_session_of_a_waiting_client() {
    let server = Postgres::start();
    let proxy = FaultProxy::before(&server);
    let url = proxy.url_for(&server);
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
    thread::scope(|scope| {
        let client = scope.spawn(|| server.try_psql(&url, "SELECT pg_sleep(3600)"));
        while server.psql(sleeping) == "0" {}
        proxy.cut_all();
        assert!(client.join().unwrap().is_err());
    });
}
