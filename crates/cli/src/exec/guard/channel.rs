//! Messages, and open files with them, over the socket between a worker and a guard.
//!
//! A frame is a length of four bytes and JSON. Files travel with the first bytes of their frame.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The files of one message: standard input, output and error.
pub(super) const FILES: usize = 3;
/// Bytes of the length before each frame.
const HEAD: usize = 4;

/// One end of the socket.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) socket: Arc<UnixStream>,
    read: Vec<u8>,
    files: VecDeque<OwnedFd>,
}

impl Channel {
    /// Must be called within a runtime.
    pub(super) fn new(socket: std::os::unix::net::UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UnixStream::from_std(socket)?);
        Ok(Self { socket, read: Vec::new(), files: VecDeque::new() })
    }

    /// Sends a message with files.
    ///
    /// # Cancel safety
    /// None: half a message may be sent.
    pub(super) async fn send<T: Serialize>(&self, message: &T, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let frame = [&length.to_le_bytes(), body.as_slice()].concat();
        let mut sent = 0;
        while sent < frame.len() {
            let files = if sent == 0 { files } else { &[] };
            let rest = &frame[sent..];
            sent += self.socket.async_io(Interest::WRITABLE, || send_some(&self.socket, rest, files)).await?;
        }
        Ok(())
    }

    /// The next message; `None` when the other end is closed.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let Self { socket, read, files } = self;
            let received = socket.async_io(Interest::READABLE, || receive_some(socket, read, files)).await?;
            if received == 0 {
                return Ok(None);
            }
        }
    }

    /// The files of the message that was received last; `None` where this process had no room for them.
    pub(super) fn files(&mut self) -> Option<[OwnedFd; FILES]> {
        let files: Vec<OwnedFd> = self.files.drain(..).collect();
        files.try_into().ok()
    }

    fn take<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(head) = self.read.first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head);
        let end = HEAD + usize::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?;
        let Some(body) = self.read.get(HEAD..end) else { return Ok(None) };
        let message = serde_json::from_slice(body)?;
        self.read.drain(..end);
        Ok(Some(message))
    }
}

fn send_some(socket: &UnixStream, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(files));
    }
    // Rust ignores SIGPIPE: a closed end is an error.
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty())?)
}

fn receive_some(socket: &UnixStream, read: &mut Vec<u8>, files: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
    let mut bytes = [0; 4 * 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags())?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            files.extend(received);
        }
    }
    read.extend_from_slice(&bytes[..received.bytes]);
    Ok(received.bytes)
}

/// A file that arrives is not inherited by programs.
#[cfg(target_os = "linux")]
fn flags() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

/// A guard starts one program, and closes its copies first: nothing else could inherit them.
#[cfg(not(target_os = "linux"))]
fn flags() -> RecvFlags {
    RecvFlags::empty()
}
