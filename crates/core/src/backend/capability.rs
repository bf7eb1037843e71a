//! What a backend promises beyond the contract.

use std::fmt;

/// An optional promise of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// What was stored survives the end of the process.
    Durable,
    /// Several processes may use one store.
    Shared,
    /// It tells listeners of this process when a job becomes available.
    Notifications,
    /// A job can be enqueued inside the caller's own transaction, and finished in its handler's.
    Transactions,
}

impl Capability {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Durable, Self::Shared, Self::Notifications, Self::Transactions];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Shared => "shared",
            Self::Notifications => "notifications",
            Self::Transactions => "transactions",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The promises of one backend. Declared, not asked of a live server: listing tests connects to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(&'static [Capability]);

impl Capabilities {
    /// Exactly these.
    pub const fn of(capabilities: &'static [Capability]) -> Self {
        Self(capabilities)
    }

    /// Whether it is among them.
    pub fn has(self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// All that are promised.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        self.0.iter().copied()
    }
}
