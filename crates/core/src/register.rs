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

/// Identifies one write of a register. The writer chooses it at random; the next writer returns it as the
/// stamp that it expects. It is shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(NonZeroU64);

impl Stamp {
    /// Creates a random stamp.
    pub fn random() -> Self {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        Self(NonZeroU64::new(high ^ low).unwrap_or(NonZeroU64::MIN))
    }

    /// Reads the bits of a stored stamp; `None` for zero, which means that there is none.
    pub fn from_stored(stored: u64) -> Option<Self> {
        NonZeroU64::new(stored).map(Self)
    }

    /// The bits to store; never zero.
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

/// A small value in the store, found by its space and key, and replaced by compare-and-set.
///
/// Registers are for values that several processes agree on and that change rarely, such as a schedule. A
/// register is not a lock, a queue or a place for something that every job has: all writers of one register
/// together get a few hundred writes a second through.
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
    /// Stamp of the write that stored it.
    pub stamp: Stamp,
    /// JSON of at most [`Self::MAX_VALUE_BYTES`]: an object whose text starts with `{"v":` and the number
    /// of its format, as in `{"v":1,"rate":7}`, without spaces. A program that does not know the format
    /// leaves the register alone.
    pub value: Bytes,
    /// Instant by which the registers of a space can be read in order. It triggers nothing. Default: none.
    pub due: Option<Timestamp>,
    /// From this instant on, by the clock of the store, the register counts as absent; at most
    /// [`Self::LONGEST`] ahead. Default: never.
    pub forget_at: Option<Timestamp>,
}

impl Register {
    /// Longest value, in bytes.
    pub const MAX_VALUE_BYTES: usize = 64 * 1024;
    /// Longest key, in bytes.
    pub const MAX_KEY_BYTES: usize = 255;
    /// How long a forgotten register is kept, so that a repeat of the write that deleted it is recognised.
    pub const KEPT_FORGOTTEN: Duration = Duration::from_secs(600);
    /// How far ahead a register may be forgotten, at most.
    pub const LONGEST: Duration = Duration::from_secs(400 * 86_400);

    /// Creates a register with a new stamp, without a due time, that is never forgotten.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self { stamp: Stamp::random(), value: value.into(), due: None, forget_at: None }
    }

    /// Reads a stored register; for backends.
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

    /// Sets when it is forgotten. The present instant of the store deletes the register.
    pub fn forget_at(mut self, at: Timestamp) -> Self {
        self.forget_at = Some(at);
        self
    }

    /// Whether it counts as absent.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        self.forget_at.is_some_and(|at| at <= now)
    }

    /// Number of the value's format; `None` if the value does not begin with `{"v":` and a number.
    pub fn format(&self) -> Option<u32> {
        let rest = self.value.strip_prefix(br#"{"v":"#)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    }
}
