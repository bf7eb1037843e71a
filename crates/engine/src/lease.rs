//! A lease as its holder sees it.

use std::time::Duration;

use tokio::time::Instant;

/// How long a lease holds without a heartbeat, unless a worker says otherwise.
pub(crate) const DEFAULT_LEASE: Duration = Duration::from_secs(30);
/// At this part of a lease without a renewal its holder stops relying on it.
const FENCE_AT: f64 = 0.8;

/// The lease by this process's monotonic clock, counted from the sending of the request that renewed it, so
/// that neither the network nor a slow store stretches it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalLease {
    pub(crate) renewed: Instant,
    pub(crate) length: Duration,
}

impl LocalLease {
    /// When its holder has to stop relying on it.
    pub(crate) fn fence_at(&self) -> Instant {
        self.renewed + self.length.mul_f64(FENCE_AT)
    }

    /// How long it still holds.
    pub(crate) fn left(&self) -> Duration {
        (self.renewed + self.length).saturating_duration_since(Instant::now())
    }
}
