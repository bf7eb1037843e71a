//! Workers as the store knows them.

use std::fmt;
use std::time::Duration;

use crate::{Name, Timestamp};

/// One incarnation of a worker: made anew at every start, never a host's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(u128);

impl WorkerId {
    /// A new incarnation.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }

    /// The incarnation with this number, as a store keeps it.
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// The number a store keeps.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for WorkerId {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self).map_err(|source| {
            crate::Error::invalid(format!("`{text}` is not a worker's id")).with_source(source)
        })
    }
}

/// The kinds a worker has handlers for. An empty set stands for every kind: a client that fetches by hand
/// registers none.
///
/// ```
/// use gristmill_core::{KindSet, Name};
///
/// let kinds = KindSet::new(&[Name::new("email")?]);
/// assert!(kinds.handles("email") && !kinds.handles("report"));
/// assert!(KindSet::default().handles("report"));
/// # Ok::<(), gristmill_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindSet {
    /// In ascending order.
    kinds: Vec<Name>,
}

impl KindSet {
    /// Creates the set of these kinds.
    pub fn new(kinds: &[Name]) -> Self {
        let mut kinds = kinds.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        Self { kinds }
    }

    /// Whether jobs of this kind may be leased to the worker.
    pub fn handles(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.binary_search_by(|known| known.as_str().cmp(kind)).is_ok()
    }

    /// Whether it stands for every kind.
    pub fn is_every(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The kinds in ascending order; none where it stands for every kind.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.kinds.iter()
    }
}

/// A worker as the inspection shows it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WorkerRecord {
    /// The incarnation.
    pub id: WorkerId,
    /// What the worker calls itself: host and process, for people.
    pub label: String,
    /// When it registered.
    pub started_at: Timestamp,
    /// Its latest sign of life.
    pub heartbeat_at: Timestamp,
    /// When its leases end unless it renews them.
    pub lease_expires_at: Timestamp,
    /// The length of its leases.
    pub lease: Duration,
    /// How many jobs it runs at once at most.
    pub slots: u32,
    /// Jobs it holds a lease on now.
    pub running: u64,
    /// The queues it fetches from.
    pub queues: Vec<Name>,
    /// The kinds it has handlers for.
    pub kinds: Vec<Name>,
    /// What of the stored row this version cannot read, as in
    /// [`JobRecord::undecodable`](crate::JobRecord::undecodable).
    pub undecodable: Option<String>,
}

impl WorkerRecord {
    /// A record of a worker that has just registered; the remaining members are public.
    pub fn new(id: WorkerId, label: impl Into<String>, started_at: Timestamp, lease: Duration) -> Self {
        Self {
            id,
            label: label.into(),
            started_at,
            heartbeat_at: started_at,
            lease_expires_at: started_at + lease,
            lease,
            slots: 0,
            running: 0,
            queues: Vec::new(),
            kinds: Vec::new(),
            undecodable: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_kinds_handles_its_own_and_an_empty_one_every() {
        let names = ["mail", "a", "mail"].map(|text| Name::new(text).expect("it is one"));
        let (some, every) = (KindSet::new(&names), KindSet::new(&[]));
        assert_eq!(some.iter().map(Name::as_str).collect::<Vec<_>>(), ["a", "mail"]);
        assert_eq!(every.iter().count(), 0);
        assert!(!some.is_every() && every.is_every());
        let handles = |kinds: &KindSet| ["a", "b", "mail"].map(|kind| kinds.handles(kind));
        assert_eq!((handles(&some), handles(&every)), ([true, false, true], [true; 3]));
    }
}
