//! What is held by hand: plain memory behind one lock.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use gristmill_core::{ClaimId, JobId, Lease};
use tokio::time::Instant;

use crate::cancel::StopWhy;

/// A run whose lease is held.
pub(crate) trait HeldRun: Debug + Send + Sync {
    fn lease(&self) -> &Lease;

    /// Signals that the run should stop. May run a waker, so it is not called under a lock.
    fn stop(&self, why: StopWhy);
}

#[derive(Debug)]
pub(super) struct Held {
    /// The runs of each claim whose jobs have arrived.
    claims: HashMap<ClaimId, Vec<Arc<dyn HeldRun>>>,
    /// Leases that were dropped; at most as many as were fetched.
    pub(super) dropped: Vec<Lease>,
    /// When the latest renewal that succeeded was sent.
    pub(super) renewed: Instant,
    /// A fetch failed and may have leased something: the next heartbeat, which gives it back, comes at once.
    pub(super) hurry: bool,
}

impl Held {
    pub(super) fn new() -> Self {
        Self { claims: HashMap::new(), dropped: Vec::new(), renewed: Instant::now(), hurry: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// What the fetch of a claim brought.
    pub(super) fn arrived(&mut self, claim: ClaimId, runs: Vec<Arc<dyn HeldRun>>) {
        self.claims.insert(claim, runs);
    }

    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.claims.get(&lease.claim).is_some_and(|held| held.iter().any(|own| own.lease() == lease))
    }

    /// A run has its end; says whether it was known.
    pub(super) fn forget(&mut self, lease: &Lease) -> bool {
        let Some(held) = self.claims.get_mut(&lease.claim) else { return false };
        let before = held.len();
        held.retain(|run| run.lease() != lease);
        let known = held.len() < before;
        if held.is_empty() {
            self.claims.remove(&lease.claim);
        }
        known
    }

    /// A claim is lost.
    pub(super) fn take(&mut self, claim: ClaimId) -> Vec<Arc<dyn HeldRun>> {
        self.claims.remove(&claim).unwrap_or_default()
    }

    /// All claims are lost.
    pub(super) fn take_all(&mut self) -> Vec<Arc<dyn HeldRun>> {
        self.claims.drain().flat_map(|(_, runs)| runs).collect()
    }

    /// The runs with these jobs and numbers.
    pub(super) fn find(&self, runs: &[(JobId, u32)]) -> Vec<Arc<dyn HeldRun>> {
        let wanted = |held: &&Arc<dyn HeldRun>| runs.contains(&(held.lease().job, held.lease().run));
        self.claims.values().flatten().filter(wanted).cloned().collect()
    }
}
