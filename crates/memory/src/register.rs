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
        let jobs: Vec<NewJob> = changes.iter().flat_map(|change| change.effects.jobs.clone()).collect();
        self.check_room(&jobs, None, 0, max_jobs)?;
        Ok(changes.iter().map(|change| self.commit_one(change, now)).collect())
    }

    fn commit_one(&mut self, change: &Change, now: Timestamp) -> Committed {
        if let Err(why) = change.check(now) {
            return Committed::Refused { why };
        }
        let Change { space, key, put, effects, .. } = change;
        let place = (space.clone(), key.clone());
        let standing = self.registers.get(&place);
        match commit_on(standing, change, now) {
            CommitVerdict::Again => Committed::Again,
            CommitVerdict::Stale => {
                Committed::Stale(standing.filter(|standing| !standing.is_forgotten(now)).cloned())
            }
            CommitVerdict::Write => {
                self.registers.insert(place, put.clone());
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
