//! Rows that a user's open transaction has locked, among others that are free.
//!
//! An operation of many items meets a lock by an error, after a turn of waiting, and the server does not say
//! which item it was. Then it goes in [`Parts`]: what meets a lock is cut in half, and what meets it alone is
//! set aside. What was set aside is remembered for a while, so that the next call does not wait for it again.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::error::Answer;
use crate::session::Session;
use crate::statement::sql;

/// How long a row counts as locked that was found so.
const LATELY: Duration = Duration::from_secs(10);
/// How long a call looks which of its items are locked. The rest counts as locked.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The claims, by nonce, and the jobs that were found locked lately.
#[derive(Debug, Default)]
pub(crate) struct Locked(Mutex<HashMap<Uuid, Instant>>);

impl Locked {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows were found locked.
    pub(crate) fn note(&self, rows: impl IntoIterator<Item = Uuid>) {
        let (now, mut known) = (Instant::now(), self.lock());
        known.retain(|_, since| now.duration_since(*since) < LATELY);
        known.extend(rows.into_iter().map(|row| (row, now)));
    }

    /// Those of the items one of whose rows was locked lately, by their places.
    pub(crate) fn lately<const ROWS: usize>(
        &self,
        items: impl Iterator<Item = [Uuid; ROWS]>,
    ) -> HashSet<usize> {
        let (now, known) = (Instant::now(), self.lock());
        if known.is_empty() {
            return HashSet::new();
        }
        let is_known = |row: &Uuid| known.get(row).is_some_and(|since| now.duration_since(*since) < LATELY);
        items.enumerate().filter(|(_, rows)| rows.iter().any(is_known)).map(|(place, _)| place).collect()
    }
}

/// Which of the claims and jobs are locked by another transaction now.
pub(crate) async fn held(session: &mut Session, nonces: &[Uuid], jobs: &[Uuid]) -> Answer<HashSet<Uuid>> {
    let rows = session.query(sql!("held_by_others"), &[&nonces, &jobs]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Items in parts that are tried one after the other.
#[derive(Debug)]
pub(crate) struct Parts {
    todo: Vec<Range<usize>>,
    until: Instant,
}

impl Parts {
    /// Parts that are tried in their order.
    pub(crate) fn of(mut parts: Vec<Range<usize>>) -> Self {
        parts.reverse();
        Self { todo: parts, until: Instant::now() + PATIENCE }
    }

    /// So many items as one part.
    pub(crate) fn whole(items: usize) -> Self {
        Self::of(std::iter::once(0..items).collect())
    }

    /// The next part.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.todo.pop()
    }

    /// A part met a lock. Its halves are tried, unless it is to be set aside.
    pub(crate) fn is_set_aside(&mut self, part: &Range<usize>) -> bool {
        if part.len() < 2 || Instant::now() >= self.until {
            return true;
        }
        let middle = part.start + part.len() / 2;
        self.todo.push(middle..part.end);
        self.todo.push(part.start..middle);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_meets_a_lock_is_found_by_halves() {
        let mut parts = Parts::of(vec![0..5, 5..9]);
        let (mut done, mut aside) = (Vec::new(), Vec::new());
        while let Some(part) = parts.next() {
            if !part.contains(&3) && !part.contains(&4) {
                done.extend(part);
            } else if parts.is_set_aside(&part) {
                aside.extend(part);
            }
        }
        assert_eq!((done, aside), (vec![0, 1, 2, 5, 6, 7, 8], vec![3, 4]));
    }

    #[test]
    fn what_was_locked_lately_is_known_by_any_of_its_rows() {
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let locked = Locked::default();
        assert!(locked.lately([[one, two]].into_iter()).is_empty());
        locked.note([two]);
        assert_eq!(
            locked.lately([[one, three], [one, two], [two, three]].into_iter()),
            HashSet::from([1, 2])
        );
    }
}
