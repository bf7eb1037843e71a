//! Which reply belongs to which request, in both directions of one connection.
//!
//! A request is everything a client sends up to a simple query, a function call or a Sync; the server answers
//! it with frames of which ReadyForQuery is the last. Clients need not wait for it before they send the next
//! request, so requests without a reply stand in a queue.

use std::collections::VecDeque;

use super::frames::{End, Frames};

/// How much of a request is kept to be looked at.
const LOOK_BYTES: usize = 1 << 20;

/// A request that the server has not answered yet.
#[derive(Clone, Copy, Debug)]
struct Request {
    /// Its reply must not reach the client.
    lose: bool,
    /// It ended with a Sync.
    synced: bool,
}

/// What becomes of bytes that the server sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    /// How many of them the client gets.
    pub(super) forward: usize,
    /// The reply that must not arrive is complete.
    pub(super) lost: bool,
}

/// One connection's requests and replies.
#[derive(Debug)]
pub(super) struct Exchange {
    client: Frames,
    server: Frames,
    request: Vec<u8>,
    unanswered: VecDeque<Request>,
    copying: bool,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self {
            client: Frames::of_client(),
            server: Frames::of_server(),
            request: Vec::new(),
            unanswered: VecDeque::new(),
            copying: false,
        }
    }

    /// Bytes have gone astray, so nothing can be known any more.
    pub(super) fn give_up(&mut self) {
        self.client.give_up();
        self.server.give_up();
        self.unanswered.clear();
    }

    /// Notes what the client sends. `lose` is asked about each request that becomes complete.
    pub(super) fn client_sends(&mut self, bytes: &[u8], lose: &mut dyn FnMut(&[u8]) -> bool) {
        for byte in bytes {
            if self.client.is_opaque() {
                return;
            }
            if self.request.len() < LOOK_BYTES {
                self.request.push(*byte);
            }
            match self.client.push(*byte) {
                Some(End::EncryptionRequest) => {
                    self.server.expect_bare();
                    self.request.clear();
                }
                Some(End::Startup) => {
                    self.unanswered.push_back(Request { lose: false, synced: false });
                    self.request.clear();
                }
                // The server ignores a Sync while it takes the rows of a COPY.
                Some(End::Frame(b'S')) if self.copying => {}
                Some(End::Frame(kind @ (b'Q' | b'S' | b'F'))) => {
                    let request = Request { lose: lose(&self.request), synced: kind == b'S' };
                    self.unanswered.push_back(request);
                    self.request.clear();
                }
                Some(End::Frame(b'c' | b'f')) => self.copying = false,
                Some(End::Frame(_) | End::Bare(_)) | None => {}
            }
        }
    }

    /// Notes what the server sends, and decides how much of it the client gets.
    pub(super) fn server_sends(&mut self, bytes: &[u8]) -> Reply {
        for (index, byte) in bytes.iter().enumerate() {
            if self.unanswered.front().is_some_and(|request| request.lose) {
                let lost =
                    bytes[index..].iter().any(|byte| self.answer(*byte).is_some_and(|request| request.lose));
                return Reply { forward: index, lost };
            }
            self.answer(*byte);
        }
        Reply { forward: bytes.len(), lost: false }
    }

    /// Reads one byte of the server's; the request whose reply it ends.
    fn answer(&mut self, byte: u8) -> Option<Request> {
        match self.server.push(byte)? {
            End::Frame(b'Z') => return self.unanswered.pop_front(),
            End::Frame(b'G') => {
                self.copying = true;
                // The Sync that has come with the COPY is ignored; the one after the rows ends the request.
                if self.unanswered.front().is_some_and(|request| request.synced) {
                    self.unanswered.pop_front();
                }
            }
            End::Frame(b'E') => self.copying = false,
            // The client goes on in the clear only after a no.
            End::Bare(answer) if answer != b'N' => self.give_up(),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, body: &str) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], &length.to_be_bytes()[..], body.as_bytes()].concat()
    }

    fn startup(code: u32, body: &str) -> Vec<u8> {
        let length = u32::try_from(body.len() + 8).unwrap();
        [&length.to_be_bytes()[..], &code.to_be_bytes(), body.as_bytes()].concat()
    }

    fn ready() -> Vec<u8> {
        frame(b'Z', "I")
    }

    fn whole(bytes: &[u8]) -> Reply {
        Reply { forward: bytes.len(), lost: false }
    }

    /// A connection over which the first words have passed.
    fn opened() -> Exchange {
        let mut exchange = Exchange::new();
        exchange.client_sends(&startup(3 << 16, "user\0u\0\0"), &mut |_| panic!("startup is no request"));
        let hello = [frame(b'R', "\0\0\0\0"), ready()].concat();
        assert_eq!(exchange.server_sends(&hello), whole(&hello));
        exchange
    }

    fn commits(bytes: &[u8]) -> bool {
        bytes.windows(6).any(|window| window == b"COMMIT")
    }

    #[test]
    fn reply_to_the_request_that_matches_is_held_back_to_its_end() {
        let mut exchange = opened();
        exchange.client_sends(&frame(b'Q', "COMMIT\0"), &mut commits);
        assert_eq!(exchange.server_sends(&frame(b'C', "COMMIT\0")), Reply { forward: 0, lost: false });
        assert_eq!(exchange.server_sends(&ready()), Reply { forward: 0, lost: true });
    }

    #[test]
    fn replies_to_earlier_requests_in_the_pipeline_pass() {
        let mut exchange = opened();
        let requests = [frame(b'Q', "SELECT 1\0"), frame(b'Q', "COMMIT\0"), frame(b'Q', "BEGIN\0")].concat();
        exchange.client_sends(&requests, &mut commits);
        let first = [frame(b'C', "SELECT 1\0"), ready()].concat();
        let all = [first.clone(), frame(b'C', "COMMIT\0"), ready(), frame(b'C', "BEGIN\0"), ready()].concat();
        assert_eq!(exchange.server_sends(&all), Reply { forward: first.len(), lost: true });
    }

    #[test]
    fn request_that_comes_byte_by_byte_is_seen_whole() {
        let mut exchange = opened();
        let request =
            [frame(b'P', "\0COMMIT\0\0\0"), frame(b'B', "x"), frame(b'E', "x"), frame(b'S', "")].concat();
        for byte in &request {
            exchange.client_sends(&[*byte], &mut commits);
        }
        let mut reply = [frame(b'1', ""), frame(b'C', "COMMIT\0"), ready()].concat();
        let last = reply.pop().unwrap();
        assert_eq!(exchange.server_sends(&reply), Reply { forward: 0, lost: false });
        assert_eq!(exchange.server_sends(&[last]), Reply { forward: 0, lost: true });
    }

    #[test]
    fn refused_encryption_leaves_the_protocol_readable() {
        let mut exchange = Exchange::new();
        exchange.client_sends(&startup(80_877_103, ""), &mut commits);
        assert_eq!(exchange.server_sends(b"N"), whole(b"N"));
        exchange.client_sends(&startup(3 << 16, "user\0u\0\0"), &mut commits);
        exchange.server_sends(&ready());
        exchange.client_sends(&frame(b'Q', "COMMIT\0"), &mut commits);
        assert_eq!(exchange.server_sends(&ready()), Reply { forward: 0, lost: true });
    }

    #[test]
    fn encrypted_connection_passes_unread() {
        let mut exchange = Exchange::new();
        exchange.client_sends(&startup(80_877_103, ""), &mut commits);
        exchange.server_sends(b"S");
        exchange.client_sends(b"COMMIT", &mut |_| panic!("nothing is known of it"));
        assert_eq!(exchange.server_sends(b"ZZZZZZZZ"), whole(b"ZZZZZZZZ"));
    }

    #[test]
    fn another_protocol_passes_unread() {
        let mut exchange = Exchange::new();
        exchange.client_sends(b"GET / HTTP/1.1\r\n\r\nCOMMIT", &mut |_| panic!("nothing is known of it"));
        assert_eq!(exchange.server_sends(b"HTTP/1.1 200 OK"), whole(b"HTTP/1.1 200 OK"));
    }

    #[test]
    fn copy_has_one_reply_for_its_two_syncs() {
        let mut exchange = opened();
        let copy = [frame(b'P', "\0COPY\0\0\0"), frame(b'E', "x"), frame(b'S', "")].concat();
        exchange.client_sends(&copy, &mut commits);
        exchange.server_sends(&frame(b'G', "x"));
        let rows = [frame(b'd', "1\n"), frame(b'c', ""), frame(b'S', "")].concat();
        exchange.client_sends(&rows, &mut commits);
        let done = [frame(b'C', "COPY 1\0"), ready()].concat();
        assert_eq!(exchange.server_sends(&done), whole(&done));
        exchange.client_sends(&frame(b'Q', "COMMIT\0"), &mut commits);
        assert_eq!(exchange.server_sends(&ready()), Reply { forward: 0, lost: true });
    }
}
