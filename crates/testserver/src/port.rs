//! A loopback port that stays ours while the server behind it is down.

use std::{
    fs::{File, OpenOptions},
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::fs::{FlockOperation, flock};

use crate::{error::ServerError, folder};

/// The first port. The range ends below 32768, where Linux begins to hand out ports to clients (ip(7),
/// `ip_local_port_range`), so no client takes the port between two starts of a server.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port and the lock that keeps other test processes away from it.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Held, never read.
    _lock: File,
}

impl Port {
    /// Takes a port that no process listens on and no other test process has taken.
    pub(crate) fn take() -> Result<Self, ServerError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let locks = folder::base()?.join("ports");
        if !locks.is_dir() {
            folder::make(&locks)?;
        }
        for _ in 0..COUNT {
            // Processes start far from each other, so most take the first port they look at.
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + process::id().wrapping_mul(37).wrapping_add(step) % COUNT;
            let Ok(number) = u16::try_from(number) else { continue };
            let path = locks.join(number.to_string());
            let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let lock = lock.map_err(|error| ServerError::at("open", &path, error))?;
            let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
            if locked && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        let last = FIRST + COUNT - 1;
        Err(ServerError::new(format!("no loopback port from {FIRST} to {last} is free")))
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_taken_once_even_while_nobody_listens() {
        let ports: Vec<Port> = (0..20).map(|_| Port::take().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
    }
}
