//! Cutting a stream of PostgreSQL's protocol 3 into frames: a type byte, a length of four bytes that counts
//! itself, and a body (manual, "Message Formats"). Only types and lengths are looked at; bodies are skipped.

/// The first four bytes of what a client says before the first frame: its length, and then one of these.
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
/// The protocol's major version, in the upper half of the code.
const MAJOR_VERSION: u32 = 3;

/// What ended at a byte of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// A question whether to encrypt, which is answered by one bare byte.
    EncryptionRequest,
    /// The client's first real words.
    Startup,
    /// A frame of this type.
    Frame(u8),
    /// The answer to an encryption request.
    Bare(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// A client that has not sent its version yet.
    Opening,
    Framed,
    /// Not this protocol, or encrypted: nothing is known any more.
    Opaque,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    phase: Phase,
    head: Vec<u8>,
    /// What the body still has, once the head is complete.
    body: Option<(End, u32)>,
    bare: bool,
}

impl Frames {
    pub(super) fn of_client() -> Self {
        Self { phase: Phase::Opening, head: Vec::new(), body: None, bare: false }
    }

    pub(super) fn of_server() -> Self {
        Self { phase: Phase::Framed, ..Self::of_client() }
    }

    /// The next byte is not a frame but the answer to an encryption request.
    pub(super) fn expect_bare(&mut self) {
        self.bare = true;
    }

    /// Looks into nothing that follows.
    pub(super) fn give_up(&mut self) {
        self.phase = Phase::Opaque;
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.phase == Phase::Opaque
    }

    /// Reads one byte; tells what it ends.
    pub(super) fn push(&mut self, byte: u8) -> Option<End> {
        if self.is_opaque() {
            return None;
        }
        if std::mem::take(&mut self.bare) {
            return Some(End::Bare(byte));
        }
        if let Some((end, left)) = self.body {
            return self.skip(end, left - 1);
        }
        self.head.push(byte);
        let opening = self.phase == Phase::Opening;
        if self.head.len() < if opening { 8 } else { 5 } {
            return None;
        }
        let head = std::mem::take(&mut self.head);
        if opening { self.open(&head) } else { self.begin(&head) }
    }

    fn open(&mut self, head: &[u8]) -> Option<End> {
        let (length, code) = (number(&head[..4]), number(&head[4..]));
        match code {
            SSL_REQUEST | GSS_REQUEST if length == 8 => Some(End::EncryptionRequest),
            version if version >> 16 == MAJOR_VERSION && length >= 8 => {
                self.phase = Phase::Framed;
                self.skip(End::Startup, length - 8)
            }
            // A cancel request, which the server does not answer, or another protocol.
            _ => {
                self.give_up();
                None
            }
        }
    }

    fn begin(&mut self, head: &[u8]) -> Option<End> {
        let Some(left) = number(&head[1..]).checked_sub(4) else {
            self.give_up();
            return None;
        };
        self.skip(End::Frame(head[0]), left)
    }

    fn skip(&mut self, end: End, left: u32) -> Option<End> {
        self.body = (left > 0).then_some((end, left));
        (left == 0).then_some(end)
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
