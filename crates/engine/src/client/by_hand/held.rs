//! What is held by hand: plain memory behind one lock.

use std::collections::HashMap;

use gristmill_core::{ClaimId, JobId, Lease};
use tokio::time::Instant;

use crate::JobContext;

#[derive(Debug)]
pub(super) struct Held {
    next_claim: u64,
    /// The attempts of each claim; none while its fetch is in flight.
    claims: HashMap<ClaimId, Vec<JobContext>>,
    /// Leases that were dropped; at most as many as were fetched.
    pub(super) dropped: Vec<Lease>,
    /// When the latest renewal that succeeded was sent.
    pub(super) renewed: Instant,
    /// A fetch failed and may have leased something: the next heartbeat, which gives it back, comes at once.
    pub(super) hurry: bool,
}

impl Held {
    pub(super) fn new() -> Self {
        Self {
            next_claim: 0,
            claims: HashMap::new(),
            dropped: Vec::new(),
            renewed: Instant::now(),
            hurry: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    pub(super) fn begin_claim(&mut self) -> ClaimId {
        self.next_claim += 1;
        let claim = ClaimId(self.next_claim);
        self.claims.insert(claim, Vec::new());
        claim
    }

    /// What the fetch of a claim brought; says whether it was anything.
    pub(super) fn end_claim(&mut self, claim: ClaimId, contexts: Vec<JobContext>) -> bool {
        let any = !contexts.is_empty();
        if any {
            self.claims.insert(claim, contexts);
        } else {
            self.claims.remove(&claim);
        }
        any
    }

    /// All claims, and those whose jobs have arrived: only they can be lost, a fetch in flight may not be there yet.
    pub(super) fn listed(&self) -> (Vec<ClaimId>, Vec<ClaimId>) {
        let known = self.claims.keys().copied().collect();
        let arrived = self.claims.iter().filter(|(_, contexts)| !contexts.is_empty());
        (known, arrived.map(|(claim, _)| *claim).collect())
    }

    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.claims.get(&lease.claim).is_some_and(|contexts| contexts.iter().any(|own| own.lease() == lease))
    }

    /// A run has its end; a claim without runs is no longer listed.
    pub(super) fn forget(&mut self, lease: &Lease) {
        if let Some(contexts) = self.claims.get_mut(&lease.claim) {
            contexts.retain(|context| context.lease() != lease);
            if contexts.is_empty() {
                self.claims.remove(&lease.claim);
            }
        }
    }

    /// A claim is lost.
    pub(super) fn take(&mut self, claim: ClaimId) -> Vec<JobContext> {
        self.claims.remove(&claim).unwrap_or_default()
    }

    /// All claims are lost.
    pub(super) fn take_all(&mut self) -> Vec<JobContext> {
        self.claims.drain().flat_map(|(_, contexts)| contexts).collect()
    }

    /// The attempts with these jobs and runs.
    pub(super) fn find(&self, runs: &[(JobId, u32)]) -> Vec<JobContext> {
        let wanted = |context: &&JobContext| runs.contains(&(context.lease().job, context.lease().run));
        self.claims.values().flatten().filter(wanted).cloned().collect()
    }
}
