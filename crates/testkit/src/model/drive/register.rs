//! Registers: commits, and what is listed.

use bytes::Bytes;
use gristmill_core::{Change, Committed, Expect, Register, RegisterQuery, RegisterSelect, Stamp, Timestamp};

use super::Drive;
use crate::fixture::name;
use crate::fixture::register::{SPACE, value};
use crate::model::register::{ChangeShape, ExpectShape, KEYS};
use crate::model::shape::Pick;

impl Drive<'_> {
    /// Commits random changes, of each register the first.
    pub(super) fn commit(&mut self, shapes: &[ChangeShape]) {
        let now = self.t.now();
        let mut changes: Vec<Change> = Vec::new();
        for shape in shapes {
            if changes.iter().any(|change| change.key == KEYS[shape.key].as_bytes()) {
                continue;
            }
            let put = shape.put(now);
            let jobs = shape.jobs.iter().map(|job| self.new_job(job)).collect();
            let expect = self.expect(shape);
            changes.push(shape.change(expect, put, jobs));
        }
        self.stamps.extend(changes.iter().map(|change| change.put.stamp));
        self.committed.push(changes.clone());
        self.decide(changes);
    }

    /// Sends what was sent before once more, whole: its reply was lost. Leaves out what would store an old id
    /// anew, which has no place in the order of ids.
    pub(super) fn commit_again(&mut self, pick: Pick) {
        let Some(mut changes) = pick.of(&self.committed) else { return };
        changes.retain(|change| {
            let are_there = change.effects.jobs.iter().all(|job| self.model.jobs.contains_key(&job.id));
            are_there || !self.may_be_written(change)
        });
        self.decide(changes);
    }

    fn may_be_written(&self, change: &Change) -> bool {
        let is_own = |there: &Register| there.stamp == change.put.stamp;
        if self.model.registers.get(&change.key).is_some_and(is_own) {
            return false;
        }
        let live = self.model.live_register(&change.key, self.t.now()).map(|live| live.stamp);
        match change.expect {
            Expect::Absent => live.is_none(),
            Expect::Stamp(stamp) => live == Some(stamp),
            Expect::Any => true,
        }
    }

    fn expect(&self, shape: &ChangeShape) -> Expect {
        let key = KEYS[shape.key].as_bytes();
        let stamp = match shape.expect {
            ExpectShape::Absent => None,
            ExpectShape::Any => return Expect::Any,
            ExpectShape::Read => self.model.registers.get(key).map(|register| register.stamp),
            ExpectShape::Ever(pick) => pick.of(&self.stamps),
            ExpectShape::Strange => Some(Stamp::random()),
        };
        stamp.map_or(Expect::Absent, Expect::Stamp)
    }

    fn decide(&mut self, changes: Vec<Change>) {
        let now = self.t.now();
        let answers = self.t.commit_all(changes.clone());
        for (change, answer) in changes.into_iter().zip(answers) {
            match self.model.commit(change, now) {
                Some(expected) => assert_eq!(answer, expected, "the answer to a change"),
                None => assert!(matches!(answer, Committed::Refused { .. }), "{answer:?}"),
            }
        }
    }

    /// What stands is what the model says.
    pub(super) fn compare_registers(&self) {
        let page = self.t.registers(RegisterQuery::new(name(SPACE), RegisterSelect::All));
        let live = |key: &Bytes| Some((key.clone(), self.model.live_register(key, self.t.now())?.clone()));
        let expected: Vec<_> = self.model.registers.keys().filter_map(live).collect();
        assert_eq!(page.items, expected, "the registers that stand");
        assert_eq!(page.next, None, "a page behind the last register");
    }

    /// Leaves no register to the next history.
    pub(super) fn delete_registers(&self) {
        for key in KEYS {
            let gone = value("gone").forget_at(Timestamp::EPOCH);
            let change = Change::new(name(SPACE), key, Expect::Any, gone);
            assert_eq!(self.t.commit(change), Committed::Done(Vec::new()));
        }
    }
}
