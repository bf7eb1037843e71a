//! Which claims of a worker a renewal reads.
//!
//! A claim that is gone leaves a dead entry in the index of claims, and beside an old snapshot all entries
//! that a worker ever had stay. A renewal that read all of its claims would step over each. So a handle (an
//! opened `Postgres` and its clones) remembers what may be there, for each worker:
//!
//! ```text
//!  1 2 3 4 5 6 7 8 9 │ 10 11 12 …      the numbers of its fetches
//!      ○     ○   ?   │  f             ○ open: it was there, was in flight, or a late fetch has begun with it
//!                    │                ? uncertain: its fetch got no answer in the last 120 seconds
//!                 through = 9         f fetch in flight: `through` stays below the lowest of these
//!
//!  exact look-ups: 3, 6, 8 and the listed numbers up to 9      range: all numbers after 9
//! ```
//!
//! After a renewal, `through` moves to the largest number that had begun, or to just below the lowest fetch
//! that was in flight. All other numbers up to `through` are gone.
//!
//! All claims are read at the first renewal and about twice an hour, because another handle may have fetched
//! for the worker. They are also read after a new connection, which may lead to a store in which claims came
//! back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gristmill_core::{ClaimId, WorkerId};

/// For how long a fetch without an answer may still be granted: longer than a call takes on the server.
const UNCERTAIN_FOR: Duration = Duration::from_secs(120);
/// All claims are read this often at most: once in half an hour …
const WHOLE_EVERY: Duration = Duration::from_secs(1_800);
/// … and reading them takes this part of the time at most: one in 10,000.
const WHOLE_SHARE: u32 = 10_000;
/// Workers that are remembered at most. One more, and all are forgotten; each then has all its claims read
/// once.
const WORKERS: usize = 4_096;

/// What a handle knows of the claims of its workers. Locked for moments only, never over an await.
#[derive(Debug, Default)]
pub(crate) struct Claimed(Mutex<HashMap<WorkerId, Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The largest number with which a fetch has begun.
    begun: u64,
    /// Every claim up to this number is in `open` or gone; `None` before the first renewal.
    through: Option<u64>,
    open: BTreeSet<u64>,
    /// Fetches that ended without an answer, and until when they may still be granted.
    uncertain: BTreeMap<u64, Instant>,
    /// When all claims are due to be read again; `None`: at the next renewal.
    whole_at: Option<Instant>,
}

/// What one renewal reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Claims with a larger number.
    pub(crate) behind: i64,
    /// Claims of these numbers.
    pub(crate) exact: Vec<i64>,
    /// The value of [`Known::through`] once they are read.
    through: u64,
    is_whole: bool,
    /// Fetches in flight when it began.
    fetching: Vec<u64>,
}

impl Claimed {
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a fetch begins.
    pub(crate) fn begins(&self, worker: WorkerId, claim: ClaimId) {
        let mut workers = self.lock();
        if workers.len() >= WORKERS && !workers.contains_key(&worker) {
            workers.clear();
        }
        let known = workers.entry(worker).or_default();
        known.begun = known.begun.max(claim.0);
        if known.through.is_some_and(|through| claim.0 <= through) {
            known.open.insert(claim.0);
        }
    }

    /// Notes that a fetch ended without an answer.
    pub(crate) fn mark_uncertain(&self, worker: WorkerId, claim: ClaimId) {
        if let Some(known) = self.lock().get_mut(&worker) {
            known.uncertain.insert(claim.0, Instant::now() + UNCERTAIN_FOR);
        }
    }

    /// Returns what a renewal that begins now reads. `listed` are the claims in the worker's request,
    /// `fetching` its fetches in flight.
    pub(crate) fn reading(&self, worker: WorkerId, listed: &[ClaimId], fetching: &[ClaimId]) -> Reading {
        let mut workers = self.lock();
        let known = workers.entry(worker).or_default();
        let now = Instant::now();
        known.uncertain.retain(|_, until| now < *until);
        let fetching: Vec<u64> = fetching.iter().map(|claim| claim.0).collect();
        let before_flight = fetching.iter().map(|number| number.saturating_sub(1)).min();
        let ended = before_flight.unwrap_or(u64::MAX).min(known.begun);
        let is_due = known.whole_at.is_none_or(|at| now >= at);
        match known.through.filter(|_| !is_due) {
            None => {
                let through = ended.max(known.through.unwrap_or_default());
                Reading { behind: i64::MIN, exact: Vec::new(), through, is_whole: true, fetching }
            }
            Some(through) => {
                let listed = listed.iter().map(|claim| claim.0).filter(|number| *number <= through);
                let uncertain = known.uncertain.keys().copied().filter(|number| *number <= through);
                let exact: BTreeSet<u64> =
                    known.open.iter().copied().chain(listed).chain(uncertain).collect();
                Reading {
                    behind: through.cast_signed(),
                    exact: exact.into_iter().map(u64::cast_signed).collect(),
                    through: ended.max(through),
                    is_whole: false,
                    fetching,
                }
            }
        }
    }

    /// Notes which claims a renewal found, which began at `began`.
    pub(crate) fn read(&self, worker: WorkerId, reading: &Reading, began: Instant, found: &BTreeSet<u64>) {
        let mut workers = self.lock();
        let Some(known) = workers.get_mut(&worker) else { return };
        if known.through.is_some_and(|through| through > reading.through) {
            // Another renewal knows more.
            return;
        }
        let now = Instant::now();
        if reading.is_whole {
            known.whole_at = Some(now + (now.duration_since(began) * WHOLE_SHARE).max(WHOLE_EVERY));
        }
        // A fetch with a small number that began meanwhile, or was in flight, may be granted by now.
        let mut open: BTreeSet<u64> =
            known.open.iter().copied().filter(|open| !reading.covers(*open)).collect();
        let granted = found.iter().chain(&reading.fetching).copied();
        open.extend(granted.filter(|number| *number <= reading.through));
        known.open = open;
        known.through = Some(reading.through);
    }

    /// Makes the next renewals read all claims: the store may be an earlier one, in which claims came back.
    pub(crate) fn read_all_again(&self) {
        self.lock().values_mut().for_each(|known| known.whole_at = None);
    }

    /// Forgets a worker that is gone.
    pub(crate) fn forget(&self, worker: WorkerId) {
        self.lock().remove(&worker);
    }
}

impl Reading {
    fn covers(&self, number: u64) -> bool {
        self.is_whole || number.cast_signed() > self.behind || self.exact.contains(&number.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: WorkerId = WorkerId::from_u128(1);

    fn fetched(claimed: &Claimed, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|number| claimed.begins(WORKER, ClaimId(number)));
    }

    fn renew(claimed: &Claimed, listed: &[u64], fetching: &[u64], found: &[u64]) -> Reading {
        let ids = |numbers: &[u64]| numbers.iter().copied().map(ClaimId).collect::<Vec<_>>();
        let reading = claimed.reading(WORKER, &ids(listed), &ids(fetching));
        claimed.read(WORKER, &reading, Instant::now(), &found.iter().copied().collect());
        reading
    }

    #[test]
    fn the_first_renewal_reads_all_and_the_next_ones_what_may_be_there() {
        let claimed = Claimed::default();
        fetched(&claimed, 1..=9);
        assert!(renew(&claimed, &[3, 6], &[], &[3, 6]).is_whole);
        fetched(&claimed, 10..=12);
        let second = renew(&claimed, &[6, 11, 12, 13], &[], &[6, 11, 12]);
        assert_eq!((second.behind, second.exact), (9, vec![3, 6]));
        let third = renew(&claimed, &[13], &[], &[]);
        assert_eq!((third.behind, third.exact), (12, vec![6, 11, 12]));
        assert!(renew(&claimed, &[], &[], &[]).exact.is_empty());
    }

    #[test]
    fn all_claims_are_read_where_the_store_may_be_an_earlier_one() {
        let claimed = Claimed::default();
        fetched(&claimed, 1..=5);
        renew(&claimed, &[], &[], &[]);
        assert!(!renew(&claimed, &[], &[], &[]).is_whole);
        claimed.read_all_again();
        assert!(renew(&claimed, &[], &[], &[2]).is_whole);
        let next = renew(&claimed, &[], &[], &[]);
        assert_eq!((next.is_whole, next.behind, next.exact), (false, 5, vec![2]));
    }

    #[test]
    fn a_fetch_in_flight_is_read_once_it_has_ended() {
        let claimed = Claimed::default();
        renew(&claimed, &[], &[], &[]);
        fetched(&claimed, 1..=5);
        renew(&claimed, &[4], &[4], &[]);
        assert_eq!(renew(&claimed, &[4], &[], &[4]).behind, 3);
        assert_eq!(renew(&claimed, &[4], &[], &[4]).exact, [4]);
    }

    #[test]
    fn a_fetch_without_an_answer_and_one_with_a_small_number_are_looked_up() {
        let claimed = Claimed::default();
        fetched(&claimed, 1..=5);
        renew(&claimed, &[], &[], &[]);
        claimed.mark_uncertain(WORKER, ClaimId(4));
        fetched(&claimed, [2]);
        assert_eq!(renew(&claimed, &[], &[], &[]).exact, [2, 4]);
        assert_eq!(renew(&claimed, &[], &[], &[]).exact, [4], "it may still be granted");
    }
}
