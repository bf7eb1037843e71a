//! What is held by hand: plain memory behind one lock.

use std::collections::HashMap;

use gristmill_core::{ClaimId, JobId, Lease};
use tokio::time::Instant;

use crate::JobContext;

#[derive(Debug)]
pub(super) struct Held {
    /// The attempts of each claim whose jobs have arrived.
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
        Self { claims: HashMap::new(), dropped: Vec::new(), renewed: Instant::now(), hurry: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// What the fetch of a claim brought.
    pub(super) fn arrived(&mut self, claim: ClaimId, contexts: Vec<JobContext>) {
        self.claims.insert(claim, contexts);
    }

    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.claims.get(&lease.claim).is_some_and(|contexts| contexts.iter().any(|own| own.lease() == lease))
    }

    /// A run has its end; says whether it was known.
    pub(super) fn forget(&mut self, lease: &Lease) -> bool {
        let Some(contexts) = self.claims.get_mut(&lease.claim) else { return false };
        let before = contexts.len();
        contexts.retain(|context| context.lease() != lease);
        let known = contexts.len() < before;
        if contexts.is_empty() {
            self.claims.remove(&lease.claim);
        }
        known
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
