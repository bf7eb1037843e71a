//! What is to become of a register, and what became of it.

use bytes::Bytes;

use super::{Register, Stamp};
use crate::{Enqueued, Name, NewJob};

/// What an act stores beside what it changes: all of it, or nothing of the act.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Effects {
    /// Jobs. One whose id or unique key is there is not stored, and spoils nothing.
    pub jobs: Vec<NewJob>,
}

impl Effects {
    /// Stores jobs.
    pub fn jobs(jobs: Vec<NewJob>) -> Self {
        Self { jobs }
    }

    /// How many things they store.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether they store nothing.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

/// What a writer expects to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No register, or a forgotten one.
    Absent,
    /// The register that this write has left.
    Stamp(Stamp),
    /// Anything. Takes no effects, since a repeat would store them again.
    Any,
}

/// Writes one register if what stands there is as expected, and stores effects in the same act.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The family of registers that it belongs to.
    pub space: Name,
    /// Which of them: 1 to [`Register::MAX_KEY_BYTES`] bytes, compared as bytes.
    pub key: Bytes,
    /// The condition.
    pub expect: Expect,
    /// What is to stand. To delete, put a register that is forgotten.
    pub put: Register,
    /// What is stored with it.
    pub effects: Effects,
}

impl Change {
    /// The most changes of a call.
    pub const MAX_CHANGES: usize = 100;
    /// The most things that the effects of a call store.
    pub const MAX_EFFECTS: usize = 1_000;

    /// A change without effects.
    pub fn new(space: Name, key: impl Into<Bytes>, expect: Expect, put: Register) -> Self {
        Self { space, key: key.into(), expect, put, effects: Effects::default() }
    }

    /// Stores these jobs with it.
    pub fn with_jobs(mut self, jobs: Vec<NewJob>) -> Self {
        self.effects.jobs = jobs;
        self
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    /// It was written. One answer a job of its effects; `None` for a job that is on its way to another
    /// partition of the store.
    Done(Vec<Option<Enqueued>>),
    /// It stood there already: this is a repeat, and nothing was stored. Go on as after `Done`.
    Again,
    /// Something else stands there, or nothing. Nothing was stored.
    Stale(Option<Register>),
    /// It breaks a bound. Nothing was stored; its neighbours are not affected.
    Refused {
        /// Which.
        why: String,
    },
    /// A unique key of its effects lies in an open transaction of another program. Nothing was stored.
    Busy,
}
