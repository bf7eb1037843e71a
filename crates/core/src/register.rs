//! Registers: small values that several processes agree on, and the acts that replace them.

pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod commit;
pub(crate) mod query;

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;

use crate::Timestamp;

/// Names one write of a register: random, chosen by the writer, never the same twice. The next writer gives
/// it back, to say which value it has read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(NonZeroU64);

impl Stamp {
    /// A new one.
    pub fn random() -> Self {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        Self(NonZeroU64::new(high ^ low).unwrap_or(NonZeroU64::MIN))
    }

    /// One that was stored; `None` for zero, which stands for no stamp.
    pub fn from_stored(stored: u64) -> Option<Self> {
        NonZeroU64::new(stored).map(Self)
    }

    /// Its bits, to be stored.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A small value in the store, found by its space and key.
///
/// For what is cold, small and to be agreed on by several processes, such as a schedule. It is not a lock, a
/// queue or a place for anything that each job has: writers of one register get about 200 writes a second
/// through, together.
///
/// ```
/// use gristmill_core::Register;
///
/// let register = Register::new(r#"{"v":1,"rate":7}"#);
/// assert_eq!(register.format(), Some(1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Register {
    /// The write that it stems from.
    pub stamp: Stamp,
    /// JSON of at most [`Self::MAX_VALUE_BYTES`]: an object whose first member, `v`, is the number of its
    /// format.
    pub value: Bytes,
    /// An instant by which the registers of a space can be read in order. It triggers nothing.
    pub due: Option<Timestamp>,
    /// From this instant on the register counts as absent. Default: never.
    pub forget_at: Option<Timestamp>,
}

impl Register {
    /// The most bytes of a value.
    pub const MAX_VALUE_BYTES: usize = 64 * 1024;
    /// The most bytes of a key.
    pub const MAX_KEY_BYTES: usize = 255;
    /// How long a forgotten register is still there, so that the write that forgot it is recognised when it
    /// is repeated.
    pub const KEPT_FORGOTTEN: Duration = Duration::from_secs(600);
    /// How far ahead a register may be forgotten, at most.
    pub const LONGEST: Duration = Duration::from_secs(400 * 86_400);

    /// A value under a new stamp, that is never due or forgotten.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self { stamp: Stamp::random(), value: value.into(), due: None, forget_at: None }
    }

    /// As it was stored.
    pub fn from_stored(
        stamp: Stamp,
        value: Bytes,
        due: Option<Timestamp>,
        forget_at: Option<Timestamp>,
    ) -> Self {
        Self { stamp, value, due, forget_at }
    }

    /// Sets the instant by which it can be read in order.
    pub fn due(mut self, due: Timestamp) -> Self {
        self.due = Some(due);
        self
    }

    /// Sets when it is forgotten. An instant that has passed deletes it.
    pub fn forget_at(mut self, at: Timestamp) -> Self {
        self.forget_at = Some(at);
        self
    }

    /// Whether it counts as absent.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        self.forget_at.is_some_and(|at| at <= now)
    }

    /// The number of the value's format; `None` if it does not begin with one.
    pub fn format(&self) -> Option<u32> {
        let rest = self.value.strip_prefix(br#"{"v":"#)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    }
}
