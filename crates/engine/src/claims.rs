//! The claims a worker holds: what every heartbeat lists.
//!
//! ```text
//!         begin                  granted                      closed, for the last of its runs
//!   free ───────► fetch in flight ───────► held, n runs open ──────────────────────────────────► over
//!                    │      │                 │  ▲    │  ▲
//!                    │      │                 │  │    └──┘ closed: n - 1
//!                    │      │ granted, no job │  │
//!                    │      └─────────────────┼──┼─────────────────────────────────────────────► over
//!                    │ forget: no reply       │  │ granted after forget_all: until the next forget_all
//!                    │                        │  │
//!                    │ forget_all: the        │ forget: a renewal's reply reports it lost
//!                    │ incarnation is gone    │ forget_all: the incarnation is gone
//!                    ▼                        ▼  │
//!                 forgotten: no renewal lists it, so the store gives back what of it it still has
//!
//!   closed   the store has replied to the end of a run, or the end is given up
//! ```
//!
//! A run whose end is given up is still open in the store. Once its claim is over, the next renewal omits the
//! claim, and the store gives the job back.
//!
//! A claim is known from before its fetch is sent until its last finish is answered. One lock, held for a
//! look-up and never over an await, and taken once a batch.
//!
//! A renewal gives back what it does not list, and a fetch that begins after the list was made could overtake
//! it. So a renewal lists the next numbers as well ([`AHEAD`]), and while one is in flight no fetch takes a
//! number beyond them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gristmill_core::ClaimId;
use tokio::sync::Notify;

/// How many numbers a renewal lists beyond those in use.
const AHEAD: u64 = 32;

/// The claims of a worker, by number.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    ledger: Mutex<Ledger>,
    renewed: Notify,
}

#[derive(Debug, Default)]
struct Ledger {
    next: u64,
    /// `None` while the fetch is in flight, then how many runs have no answered finish.
    open: BTreeMap<ClaimId, Option<usize>>,
    /// The last number the renewal in flight has listed.
    listed: Option<u64>,
}

/// What one renewal says, and what it may believe of the answer.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The claims to list.
    pub(crate) known: Vec<ClaimId>,
    /// Those whose reply was here before: only these can be lost.
    granted: Vec<ClaimId>,
}

impl Listed {
    /// Those of the answer's lost claims that the worker truly held.
    pub(crate) fn lost<'a>(&'a self, lost: &'a [ClaimId]) -> impl Iterator<Item = ClaimId> + 'a {
        lost.iter().copied().filter(|claim| self.granted.binary_search(claim).is_ok())
    }
}

impl Claims {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next fetch, known from now on.
    ///
    /// # Cancel safety
    /// Nothing is taken until it returns.
    pub(crate) async fn begin(&self) -> ClaimId {
        loop {
            let renewed = self.renewed.notified();
            {
                let mut ledger = self.ledger();
                let next = ledger.next + 1;
                if ledger.listed.is_none_or(|listed| next <= listed) {
                    ledger.next = next;
                    ledger.open.insert(ClaimId(next), None);
                    return ClaimId(next);
                }
            }
            renewed.await;
        }
    }

    /// The fetch brought this many runs.
    pub(crate) fn granted(&self, claim: ClaimId, runs: usize) {
        let mut ledger = self.ledger();
        if runs == 0 {
            ledger.open.remove(&claim);
        } else {
            ledger.open.insert(claim, Some(runs));
        }
    }

    /// The worker knows the claim no longer: the next renewal gives back what it holds.
    pub(crate) fn forget(&self, claim: ClaimId) {
        self.ledger().open.remove(&claim);
    }

    /// Every claim of an incarnation that is over.
    pub(crate) fn forget_all(&self) {
        self.ledger().open.clear();
    }

    /// Whether the worker believes it holds the claim.
    pub(crate) fn holds(&self, claim: ClaimId) -> bool {
        self.ledger().open.contains_key(&claim)
    }

    /// The store has replied to the ends of these runs, or they are given up.
    pub(crate) fn closed(&self, runs: impl IntoIterator<Item = ClaimId>) {
        let mut ledger = self.ledger();
        let mut runs = runs.into_iter().peekable();
        while let Some(claim) = runs.next() {
            // Runs end more or less in the order they were fetched: one look-up serves for many.
            let count = 1 + std::iter::from_fn(|| runs.next_if_eq(&claim)).count();
            let Some(Some(open)) = ledger.open.get_mut(&claim) else { continue };
            *open = open.saturating_sub(count);
            if *open == 0 {
                ledger.open.remove(&claim);
            }
        }
    }

    /// What a renewal lists. Until [`Self::end_renewal`] no fetch goes beyond it.
    pub(crate) fn begin_renewal(&self) -> Listed {
        let mut ledger = self.ledger();
        let listed = ledger.next + AHEAD;
        ledger.listed = Some(listed);
        let ahead = (ledger.next + 1..=listed).map(ClaimId);
        let known = ledger.open.keys().copied().chain(ahead).collect();
        let granted = ledger.open.iter().filter_map(|(claim, open)| open.map(|_| *claim)).collect();
        Listed { known, granted }
    }

    /// The renewal is answered, or given up.
    pub(crate) fn end_renewal(&self) {
        self.ledger().listed = None;
        self.renewed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_claim_is_known_from_its_fetch_to_its_last_finish() {
        let claims = Claims::default();
        let claim = claims.begin().await;
        assert!(claims.begin_renewal().known.contains(&claim));
        claims.end_renewal();
        claims.granted(claim, 2);
        claims.closed([claim]);
        assert!(claims.holds(claim));
        claims.closed([claim]);
        assert!(!claims.holds(claim));
    }

    #[tokio::test]
    async fn a_fetch_in_flight_is_never_taken_for_lost() {
        let claims = Claims::default();
        let claim = claims.begin().await;
        let listed = claims.begin_renewal();
        claims.granted(claim, 1);
        assert_eq!(listed.lost(&[claim]).count(), 0);
        assert_eq!(claims.begin_renewal().lost(&[claim]).count(), 1);
    }

    #[tokio::test]
    async fn no_fetch_goes_beyond_what_the_renewal_in_flight_has_listed() {
        let claims = Claims::default();
        let listed = claims.begin_renewal();
        for _ in 0..AHEAD {
            assert!(listed.known.contains(&claims.begin().await));
        }
        let mut beyond = Box::pin(claims.begin());
        assert!(futures_util::poll!(&mut beyond).is_pending());
        claims.end_renewal();
        assert_eq!(beyond.await, ClaimId(AHEAD + 1));
    }
}
