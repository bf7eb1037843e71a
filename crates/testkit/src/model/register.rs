//! Random changes of registers, and what the contract says of them.

use std::time::Duration;

use gristmill_core::{Change, Committed, Expect, NewJob, Register, Stamp, Timestamp};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy};
use proptest::{option, prop_oneof};

use super::shape::{JobShape, Pick};
use super::state::Model;
use crate::fixture::name;
use crate::fixture::register::{SPACE, value};

/// The keys of every history.
pub(super) const KEYS: [&str; 3] = ["one", "two", "three"];
/// How long a register stands from the instant at which it counts as absent.
const LINGERS: Duration = Duration::from_secs(600);

/// What a random change expects.
#[derive(Debug, Clone, Copy)]
pub(super) enum ExpectShape {
    Absent,
    Any,
    /// What stands.
    Read,
    /// A stamp that was written once.
    Ever(Pick),
    /// A stamp that never was.
    Strange,
}

/// A random change.
#[derive(Debug, Clone)]
pub(super) struct ChangeShape {
    pub(super) key: usize,
    pub(super) expect: ExpectShape,
    /// When it is forgotten; zero deletes it.
    forget_after: Option<Duration>,
    pub(super) jobs: Vec<JobShape>,
}

impl ChangeShape {
    pub(super) fn any() -> impl Strategy<Value = Self> + Clone {
        let expect = prop_oneof![
            3 => Just(ExpectShape::Absent),
            1 => Just(ExpectShape::Any),
            5 => Just(ExpectShape::Read),
            2 => Pick::any().prop_map(ExpectShape::Ever),
            1 => Just(ExpectShape::Strange),
        ];
        // Never a whole ten milliseconds, see `shape::when`.
        let forget = prop_oneof![2 => Just(Duration::ZERO), 3 => Just(Duration::from_millis(5_005))];
        (0..KEYS.len(), expect, option::weighted(0.4, forget), vec(JobShape::any(), 0..3))
            .prop_map(|(key, expect, forget_after, jobs)| Self { key, expect, forget_after, jobs })
    }

    /// What is to stand.
    pub(super) fn put(&self, now: Timestamp) -> Register {
        let put = value("model");
        match self.forget_after {
            Some(after) => put.forget_at(now + after),
            None => put,
        }
    }

    /// The change, with these jobs.
    pub(super) fn change(&self, expect: Expect, put: Register, jobs: Vec<NewJob>) -> Change {
        Change::new(name(SPACE), KEYS[self.key], expect, put).with_jobs(jobs)
    }
}

impl Model {
    /// The register with this key, unless it counts as absent.
    pub(super) fn live_register(&self, key: &[u8], now: Timestamp) -> Option<&Register> {
        let register = self.registers.get(key)?;
        match register.forget_at {
            Some(at) if at <= now => None,
            _ => Some(register),
        }
    }

    /// Makes a change. `None` is an answer that is refused.
    pub(super) fn commit(&mut self, change: Change, now: Timestamp) -> Option<Committed> {
        let Change { key, expect, put, effects, .. } = change;
        // A repeat first: by now the bounds may refuse what was written.
        let stamp_there = self.registers.get(&key).map(|register| register.stamp);
        if stamp_there == Some(put.stamp) {
            return Some(Committed::Again);
        }
        let deletes = put.forget_at.is_some_and(|at| at <= now);
        if !effects.jobs.is_empty() && (expect == Expect::Any || deletes) {
            return None;
        }
        let live = self.live_register(&key, now).cloned();
        let live_stamp: Option<Stamp> = live.as_ref().map(|live| live.stamp);
        let may_write = match expect {
            Expect::Absent => live_stamp.is_none(),
            Expect::Stamp(wanted) => live_stamp == Some(wanted),
            Expect::Any => true,
        };
        if !may_write {
            return Some(Committed::Stale(live));
        }
        self.registers.insert(key, put);
        Some(Committed::Done(effects.jobs.into_iter().map(|job| Some(self.enqueue(job, now))).collect()))
    }

    pub(super) fn has_registers_to_drop(&self, now: Timestamp) -> bool {
        self.registers.values().any(|register| has_lingered(register, now))
    }

    /// Forgotten registers go for good once they have lingered.
    pub(super) fn drop_registers(&mut self, now: Timestamp) {
        self.registers.retain(|_, register| !has_lingered(register, now));
    }
}

fn has_lingered(register: &Register, now: Timestamp) -> bool {
    register.forget_at.is_some_and(|at| at + LINGERS <= now)
}
