//! One connection: a thread for each direction.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    control::{Control, Fate, Link},
    exchange::Exchange,
};

/// How often a blocked write checks whether the connection was cut.
const WRITE_TURN: Duration = Duration::from_millis(50);
const BUFFER_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    ToServer,
    ToClient,
}

/// Carries bytes until both sides have ended or the connection is cut.
pub(super) fn carry(control: &Control, number: u64, link: Arc<Link>) {
    let exchange = Mutex::new(Exchange::new());
    thread::scope(|scope| {
        scope.spawn(|| pump(control, &link, &exchange, Direction::ToClient));
        pump(control, &link, &exchange, Direction::ToServer);
    });
    control.remove(number, link);
}

fn pump(control: &Control, link: &Link, exchange: &Mutex<Exchange>, direction: Direction) {
    let (from, to) = match direction {
        Direction::ToServer => (&link.client, &link.server),
        Direction::ToClient => (&link.server, &link.client),
    };
    if copy(control, link, exchange, direction, from, to).is_err() {
        // One side was reset, and the other learns it in the same way, unless the network is said to be dead.
        control.wait_out_blackhole(link);
        link.cut();
    } else {
        control.wait_out_blackhole(link);
        if !link.is_cut() {
            // Refused only where that side has gone already.
            let _ = to.shutdown(Shutdown::Write);
        }
    }
}

/// Copies until the end of `from`, or until the connection is cut.
fn copy(
    control: &Control,
    link: &Link,
    exchange: &Mutex<Exchange>,
    direction: Direction,
    mut from: &TcpStream,
    to: &TcpStream,
) -> io::Result<()> {
    to.set_write_timeout(Some(WRITE_TURN))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if count == 0 || link.is_cut() {
            return Ok(());
        }
        let bytes = &buffer[..count];
        match control.fate(link, Instant::now()) {
            Fate::Cut => return Ok(()),
            Fate::Swallow => {
                exchange.lock().unwrap_or_else(PoisonError::into_inner).give_up();
                control.count_swallowed(count);
            }
            Fate::Forward if direction == Direction::ToServer => {
                // Before the server can answer.
                let mut exchange = exchange.lock().unwrap_or_else(PoisonError::into_inner);
                exchange.client_sends(bytes, &mut |request| control.loses(request));
                drop(exchange);
                write(link, to, bytes)?;
            }
            Fate::Forward => {
                let reply = exchange.lock().unwrap_or_else(PoisonError::into_inner).server_sends(bytes);
                write(link, to, &bytes[..reply.forward])?;
                if reply.lost {
                    link.cut();
                    control.count_lost_reply();
                    return Ok(());
                }
            }
        }
    }
}

/// Writes all of `bytes` unless the connection is cut meanwhile.
fn write(link: &Link, mut to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() && !link.is_cut() {
        match to.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
