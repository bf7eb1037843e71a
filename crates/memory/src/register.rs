//! Registers: commit and pages.

use std::collections::HashSet;

use bytes::Bytes;
use gristmill_core::{
    BackendError, Change, CommitVerdict, Committed, NewJob, Register, RegisterPage, RegisterQuery,
    RegisterSelect, Timestamp, commit_on,
};

use crate::store::Store;

impl Store {
    pub(crate) fn commit(
        &mut self,
        changes: &[Change],
        max_jobs: usize,
        now: Timestamp,
    ) -> Result<Vec<Committed>, BackendError> {
        Change::check_call(changes)?;
        // Each register is changed once, so that one verdict changes no other.
        let verdicts: Vec<CommitVerdict> =
            changes.iter().map(|change| commit_on(self.standing(change), change, now)).collect();
        let written = changes.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == CommitVerdict::Write);
        let jobs: Vec<NewJob> = written.flat_map(|(change, _)| change.effects.jobs.clone()).collect();
        self.check_room(&jobs, None, 0, max_jobs)?;
        let decided = changes.iter().zip(verdicts);
        Ok(decided.map(|(change, verdict)| self.apply_verdict(change, verdict, now)).collect())
    }

    /// The register of a change, forgotten or not.
    fn standing(&self, change: &Change) -> Option<&Register> {
        self.registers.get(&(change.space.clone(), change.key.clone()))
    }

    fn apply_verdict(&mut self, change: &Change, verdict: CommitVerdict, now: Timestamp) -> Committed {
        match verdict {
            CommitVerdict::Refused { why } => Committed::Refused { why },
            CommitVerdict::Again => Committed::Again,
            CommitVerdict::Stale => {
                let live = self.standing(change).filter(|standing| !standing.is_forgotten(now));
                Committed::Stale(live.cloned())
            }
            CommitVerdict::Write => {
                let Change { space, key, put, effects, .. } = change;
                self.registers.insert((space.clone(), key.clone()), put.clone());
                let jobs = effects.jobs.iter();
                Committed::Done(jobs.map(|job| Some(self.enqueue_one(job.clone(), now))).collect())
            }
        }
    }

    pub(crate) fn list_registers(&self, query: &RegisterQuery, now: Timestamp) -> RegisterPage {
        let from = (query.space.clone(), Bytes::new());
        let space = self.registers.range(from..).take_while(|((space, _), _)| *space == query.space);
        let live = space.filter(|(_, register)| !register.is_forgotten(now));
        let wanted: HashSet<&Bytes> = match &query.select {
            RegisterSelect::Keys(keys) => keys.iter().collect(),
            RegisterSelect::All | RegisterSelect::Prefix(_) | RegisterSelect::DueBefore(_) => HashSet::new(),
        };
        // By due time only where registers are read by it; else all have none.
        let mut found: Vec<((Option<Timestamp>, &Bytes), &Register)> = live
            .filter_map(|((_, key), register)| match &query.select {
                RegisterSelect::All => Some(((None, key), register)),
                RegisterSelect::Keys(_) => wanted.contains(key).then_some(((None, key), register)),
                RegisterSelect::Prefix(prefix) => key.starts_with(prefix).then_some(((None, key), register)),
                RegisterSelect::DueBefore(before) => {
                    register.due.filter(|due| due < before).map(|due| ((Some(due), key), register))
                }
            })
            .collect();
        found.sort_by_key(|(place, _)| *place);
        if query.descending {
            found.reverse();
        }
        let is_behind = |place: (Option<Timestamp>, &Bytes)| {
            query.cursor.as_ref().is_none_or(|cursor| {
                let last = (cursor.due, &cursor.key);
                if query.descending { place < last } else { place > last }
            })
        };
        let rest = found.into_iter().filter(|(place, _)| is_behind(*place));
        query.page(rest.map(|((_, key), register)| (key.clone(), register.clone())))
    }

    /// Deletes registers that were forgotten long enough ago; returns when the next one is due to go.
    pub(crate) fn prune_registers(&mut self, limit: usize, now: Timestamp) -> Option<Timestamp> {
        let ends = |register: &Register| register.forget_at.map(|at| at + Register::KEPT_FORGOTTEN);
        let over: Vec<_> = self
            .registers
            .iter()
            .filter(|(_, register)| ends(register).is_some_and(|at| at <= now))
            .map(|(place, _)| place.clone())
            .take(limit)
            .collect();
        for place in &over {
            self.registers.remove(place);
        }
        self.registers.values().filter_map(ends).min()
    }
}
