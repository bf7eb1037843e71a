//! Who ends a run.

use crate::{Finished, LostWhy};

/// Who ended a run, as its record keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The worker that ran it, with a finish.
    Worker,
    /// Another worker, since the lease had ended.
    Rescue,
    /// The store, at a renewal that did not list the claim, or at a retirement. A run that its worker gives
    /// back by a finish is [`Worker`](Self::Worker).
    GiveBack,
}

impl EndedBy {
    /// All of them; the place of each is the number a store may keep, and never changes.
    pub const ALL: &'static [Self] = &[Self::Worker, Self::Rescue, Self::GiveBack];

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Worker => 0,
            Self::Rescue => 1,
            Self::GiveBack => 2,
        }
    }

    /// Who it is that a number stands for; `None` for one that this version does not know.
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// The answer to a finish that shows the token of a run which has ended so.
    pub const fn answer(self) -> Finished {
        match self {
            Self::Worker => Finished::AlreadyAccepted,
            Self::Rescue => Finished::LeaseLost { why: LostWhy::Rescued },
            Self::GiveBack => Finished::LeaseLost { why: LostWhy::GivenBack },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ended_a_run_comes_back_from_its_number() {
        for by in EndedBy::ALL.iter().copied() {
            assert_eq!(EndedBy::from_index(by.index()), Some(by));
        }
        assert_eq!(EndedBy::from_index(EndedBy::ALL.len()), None);
    }
}
