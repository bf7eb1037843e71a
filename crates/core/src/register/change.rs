//! What is to become of a register, and what became of it.

use bytes::Bytes;

use super::{Register, Stamp};
use crate::{Enqueued, Name, NewJob};

/// What a change stores besides its register: all of it, or nothing if the change is not written.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Effects {
    /// Jobs to enqueue. A job whose id or unique key exists is not stored again; the others are.
    pub jobs: Vec<NewJob>,
}

impl Effects {
    /// Effects that enqueue these jobs.
    pub fn jobs(jobs: Vec<NewJob>) -> Self {
        Self { jobs }
    }

    /// How many things they store; a call takes [`Change::MAX_EFFECTS`] of them.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether they store nothing.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

/// Which register a writer expects in the store; with any other, its change is [`Stale`](Committed::Stale).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No register, or a forgotten one.
    Absent,
    /// The register with this stamp, not forgotten.
    Stamp(Stamp),
    /// Anything. Takes no effects, since a repeat would store them again.
    Any,
}

impl Expect {
    /// What was read: the stamp of the register, or [`Absent`](Self::Absent) where there was none.
    ///
    /// ```
    /// use gristmill_core::{Expect, Register};
    ///
    /// let register = Register::new(r#"{"v":1}"#);
    /// assert_eq!(Expect::read(Some(&register)), Expect::Stamp(register.stamp));
    /// assert_eq!(Expect::read(None), Expect::Absent);
    /// ```
    pub fn read(register: Option<&Register>) -> Self {
        register.map_or(Self::Absent, |register| Self::Stamp(register.stamp))
    }
}

/// Request to write one register if the expected one is there, and to store its effects in the same act.
///
/// Keep the change to repeat it after a lost reply: its stamp makes the repeat harmless.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The family of registers that it belongs to. Those of users begin with `x.`, such as `x.rates`.
    pub space: Name,
    /// Key within the space: 1 to [`Register::MAX_KEY_BYTES`] bytes, compared as bytes.
    pub key: Bytes,
    /// Condition of the write.
    pub expect: Expect,
    /// The new register. To delete one, put a register that is forgotten at the present instant of the store.
    /// One that was forgotten more than [`Register::KEPT_FORGOTTEN`] ago may be pruned at once, and a repeat
    /// of the change is then not recognised.
    pub put: Register,
    /// Stored with the register. Not allowed with [`Expect::Any`] or a deletion.
    pub effects: Effects,
}

impl Change {
    /// The most changes of a call.
    pub const MAX_CHANGES: usize = 100;
    /// The most things that the effects of a call store.
    pub const MAX_EFFECTS: usize = 1_000;

    /// Creates a change without effects.
    pub fn new(space: Name, key: impl Into<Bytes>, expect: Expect, put: Register) -> Self {
        Self { space, key: key.into(), expect, put, effects: Effects::default() }
    }

    /// Sets the jobs that are enqueued with it. Prepare them with `Client::prepare`; keep them for a repeat.
    pub fn with_jobs(mut self, jobs: Vec<NewJob>) -> Self {
        self.effects.jobs = jobs;
        self
    }
}

/// Result of one change.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    /// It was written. One result per job of its effects, in their order; `None` is
    /// reserved for stores that spread their jobs; no backend of this version returns it.
    Done(Vec<Option<Enqueued>>),
    /// It was written before: this is a repeat, and nothing was stored. Go on as after `Done`.
    Again,
    /// The expectation does not hold. Nothing was stored. Holds the register that is there, `None` without
    /// one; decide anew from it.
    Stale(Option<Register>),
    /// It breaks a bound. Nothing was stored; its neighbours are not affected.
    Refused {
        /// Which bound, naming the space and the member of the change.
        why: String,
    },
    /// One of its jobs has a unique key that lies in an open transaction of another program. Nothing was
    /// stored; the same change may succeed later.
    Busy,
}
