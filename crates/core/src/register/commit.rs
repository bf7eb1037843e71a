//! Whether a change is written.

use super::Register;
use super::change::{Change, Expect};
use crate::Timestamp;

/// What becomes of a change, given what stands there under the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitVerdict {
    /// It is written, with its effects.
    Write,
    /// It stands there already.
    Again,
    /// Its expectation does not hold.
    Stale,
    /// It breaks a bound.
    Refused {
        /// Which.
        why: String,
    },
}

/// What becomes of a change, given what stands there under the lock, forgotten registers included.
///
/// The stamp comes first, so that a repeat is recognised also where it has deleted the register, or where a
/// bound that the time moves would refuse it by now.
pub fn commit_on(standing: Option<&Register>, change: &Change, now: Timestamp) -> CommitVerdict {
    if standing.is_some_and(|standing| standing.stamp == change.put.stamp) {
        return CommitVerdict::Again;
    }
    if let Err(why) = change.check(now) {
        return CommitVerdict::Refused { why };
    }
    let live = standing.filter(|standing| !standing.is_forgotten(now));
    let holds = match change.expect {
        Expect::Any => true,
        Expect::Absent => live.is_none(),
        Expect::Stamp(stamp) => live.is_some_and(|live| live.stamp == stamp),
    };
    if holds { CommitVerdict::Write } else { CommitVerdict::Stale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Name, Stamp};

    #[test]
    fn a_change_is_written_where_its_expectation_holds_and_recognised_where_it_stands() {
        use CommitVerdict::{Again, Stale, Write};

        let now = Timestamp::from_millis(1_000);
        let [own, other, third] = [1, 2, 3].map(|stamp| Stamp::from_stored(stamp).expect("not zero"));
        let standing = |stamp, forget_at: Option<i64>| {
            let forget_at = forget_at.map(Timestamp::from_millis);
            Some(Register::from_stored(stamp, "{\"v\":1}".into(), None, forget_at))
        };
        let cases = [
            // What stands, then the verdicts for Absent, for the stamp that stands, for another one, for Any.
            (None, [Write, Stale, Stale, Write]),
            (standing(other, None), [Stale, Write, Stale, Write]),
            (standing(other, Some(1_001)), [Stale, Write, Stale, Write]),
            (standing(other, Some(1_000)), [Write, Stale, Stale, Write]),
            (standing(own, None), [const { Again }; 4]),
            (standing(own, Some(1_000)), [const { Again }; 4]),
        ];
        for (standing, verdicts) in cases {
            let expects = [Expect::Absent, Expect::Stamp(other), Expect::Stamp(third), Expect::Any];
            for (expect, verdict) in expects.into_iter().zip(verdicts) {
                let put = Register { stamp: own, ..Register::new("{\"v\":1}") };
                let change = Change::new(Name::new("x.test").expect("a name"), "key", expect, put);
                assert_eq!(commit_on(standing.as_ref(), &change, now), verdict, "{standing:?} {expect:?}");
            }
        }
    }
}
