//! Who ends a run.

use gristmill_core::{Finished, LostWhy};

/// Who ended a run, as its row keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The worker that ran it, with a finish.
    Worker,
    /// Another worker, since the lease had ended.
    Rescue,
    /// Its worker, which did not begin it or does not know of it.
    GiveBack,
}

impl EndedBy {
    const ALL: [Self; 3] = [Self::Worker, Self::Rescue, Self::GiveBack];

    /// The number that stands for it.
    pub const fn number(self) -> i16 {
        match self {
            Self::Worker => 0,
            Self::Rescue => 1,
            Self::GiveBack => 2,
        }
    }

    /// Who it is that a number stands for; `None` for one that this version does not know.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|by| i64::from(by.number()) == number)
    }

    /// What a finish is told that comes with the token of a run that has ended so.
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
        for by in EndedBy::ALL {
            assert_eq!(EndedBy::from_number(by.number().into()), Some(by));
        }
        assert_eq!((EndedBy::from_number(-1), EndedBy::from_number(3)), (None, None));
    }
}
