//! Keeps a renewal from releasing a claim that is being granted meanwhile.
//!
//! A renewal releases the claims that its request does not list. A fetch that began after the worker had made
//! that list may be granted before the renewal reads the claims. So a renewal keeps every claim whose fetch
//! was in flight in this handle (an opened `Postgres` and its clones) at any moment of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gristmill_core::{ClaimId, WorkerId};

use crate::claimed::{Claimed, Reading};

/// The fetches and renewals of a handle in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    calls: Mutex<HashMap<WorkerId, Calls>>,
    claimed: Claimed,
}

#[derive(Debug, Default)]
struct Calls {
    /// How many renewals are in flight.
    renewals: usize,
    /// How many fetches are in flight, by claim: a repeat may run beside the first call.
    fetching: HashMap<ClaimId, usize>,
    /// The claims of fetches that were in flight during the renewals, ended or not.
    kept: HashSet<ClaimId>,
}

/// A fetch in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct Fetching<'f> {
    calls: &'f InFlight,
    worker: WorkerId,
    claim: ClaimId,
    is_answered: bool,
}

/// A renewal in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct Renewing<'r> {
    calls: &'r InFlight,
    worker: WorkerId,
}

impl InFlight {
    /// Begins a fetch. It is in flight until the guard is dropped.
    pub(crate) fn fetch_begins(&self, worker: WorkerId, claim: ClaimId) -> Fetching<'_> {
        self.claimed.begins(worker, claim);
        let mut workers = self.lock();
        let calls = workers.entry(worker).or_default();
        *calls.fetching.entry(claim).or_default() += 1;
        if calls.renewals > 0 {
            calls.kept.insert(claim);
        }
        Fetching { calls: self, worker, claim, is_answered: false }
    }

    /// Begins a renewal. It is in flight until the guard is dropped.
    pub(crate) fn renew_begins(&self, worker: WorkerId) -> Renewing<'_> {
        let mut workers = self.lock();
        let calls = workers.entry(worker).or_default();
        calls.renewals += 1;
        calls.kept.extend(calls.fetching.keys());
        Renewing { calls: self, worker }
    }

    /// Makes the next renewals read all claims: some that were gone may be back.
    pub(crate) fn read_all_again(&self) {
        self.claimed.read_all_again();
    }

    /// Forgets which claims a worker has.
    pub(crate) fn forget(&self, worker: WorkerId) {
        self.claimed.forget(worker);
    }

    /// Changes the calls of a worker, and removes them once none is in flight.
    fn change(&self, worker: WorkerId, change: impl FnOnce(&mut Calls)) {
        let mut workers = self.lock();
        if let Some(calls) = workers.get_mut(&worker) {
            change(calls);
            if calls.renewals == 0 {
                calls.kept.clear();
                if calls.fetching.is_empty() {
                    workers.remove(&worker);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerId, Calls>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Renewing<'_> {
    /// Returns which claims to read for a request that lists these.
    pub(crate) fn reading(&self, listed: &[ClaimId]) -> Reading {
        let fetching: Vec<ClaimId> = match self.calls.lock().get(&self.worker) {
            Some(calls) => calls.fetching.keys().copied().collect(),
            None => Vec::new(),
        };
        self.calls.claimed.reading(self.worker, listed, &fetching)
    }

    /// Notes which claims were read.
    pub(crate) fn read(&self, reading: &Reading, began: Instant, found: &BTreeSet<u64>) {
        self.calls.claimed.read(self.worker, reading, began, found);
    }

    /// The claims that this renewal must not release. Call it after the worker's claims were read: a fetch
    /// that begins later has no claim among these.
    pub(crate) fn kept(&self) -> Vec<ClaimId> {
        self.calls
            .lock()
            .get(&self.worker)
            .map(|calls| calls.kept.iter().copied().collect())
            .unwrap_or_default()
    }
}

impl Fetching<'_> {
    /// Ends the fetch with a reply. Without this call its claim counts as uncertain for a while.
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.calls.claimed.mark_uncertain(self.worker, self.claim);
        }
        self.calls.change(self.worker, |calls| {
            if let Some(count) = calls.fetching.get_mut(&self.claim) {
                *count -= 1;
                if *count == 0 {
                    calls.fetching.remove(&self.claim);
                }
            }
        });
    }
}

impl Drop for Renewing<'_> {
    fn drop(&mut self) {
        self.calls.change(self.worker, |calls| calls.renewals = calls.renewals.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: WorkerId = WorkerId::from_u128(1);

    #[test]
    fn a_renewal_keeps_the_claim_of_a_fetch_that_began_during_it() {
        let calls = InFlight::default();
        let renewing = calls.renew_begins(WORKER);
        drop(calls.fetch_begins(WORKER, ClaimId(1)));
        assert_eq!(renewing.kept(), [ClaimId(1)]);
    }

    #[test]
    fn a_renewal_keeps_the_claim_of_a_fetch_that_was_in_flight_when_it_began() {
        let calls = InFlight::default();
        let fetching = calls.fetch_begins(WORKER, ClaimId(1));
        let renewing = calls.renew_begins(WORKER);
        drop(fetching);
        assert_eq!(renewing.kept(), [ClaimId(1)]);
    }

    #[test]
    fn a_renewal_keeps_no_claim_of_an_earlier_fetch_or_of_another_worker() {
        let calls = InFlight::default();
        drop(calls.fetch_begins(WORKER, ClaimId(1)));
        let other = calls.fetch_begins(WorkerId::from_u128(2), ClaimId(2));
        assert_eq!(calls.renew_begins(WORKER).kept(), []);
        drop(other);
    }

    #[test]
    fn a_later_renewal_keeps_nothing_of_an_earlier_one() {
        let calls = InFlight::default();
        let first = calls.renew_begins(WORKER);
        drop(calls.fetch_begins(WORKER, ClaimId(1)));
        drop(first);
        assert_eq!(calls.renew_begins(WORKER).kept(), []);
    }

    #[test]
    fn nothing_is_remembered_of_a_worker_without_calls() {
        let calls = InFlight::default();
        let (renewing, fetching) = (calls.renew_begins(WORKER), calls.fetch_begins(WORKER, ClaimId(1)));
        drop(renewing);
        drop(fetching);
        assert!(calls.lock().is_empty());
    }
}
