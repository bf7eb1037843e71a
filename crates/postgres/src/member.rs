//! What a lease carries: in its place the facts a finish needs, so that it reads no row of the job; in its
//! token the claim's nonce, mixed with the lease so that a changed lease names no claim.

use gristmill_core::{
    ClaimId, DISCARD_AFTER_CRASHES, JobId, Lease, LeaseToken, Place, Priority, Retention, RunFacts, Timestamp,
};
use uuid::Uuid;

use crate::row::LAST_RUN;

/// One job and run in a claim, as the lease knows it. All of it fits the 128 bits of a lease's [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) queue: i32,
    /// When the job became due.
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: u16,
    pub(crate) max_attempts: u16,
    /// Crashes in a row before this run; a leased job has few, see [`gristmill_core::DISCARD_AFTER_CRASHES`].
    pub(crate) crashes: u16,
    pub(crate) priority: i16,
    /// It may hold a unique key.
    pub(crate) is_unique: bool,
    /// It has a retention of its own.
    pub(crate) has_retention: bool,
    /// The end of its run has no consequence but its row, whatever else is to follow from an end in later
    /// versions.
    pub(crate) has_plain_end: bool,
}

// From the top: run_at 48 | queue 31 | attempt 16 | max_attempts 16 | crashes 4 | priority 5 | flags 8, of
// which 5 are free.
const RUN_AT: u32 = 80;
const QUEUE: u32 = 49;
const ATTEMPT: u32 = 33;
const MAX_ATTEMPTS: u32 = 17;
const CRASHES: u32 = 13;
const PRIORITY: u32 = 8;
const UNIQUE: u128 = 1;
const RETENTION: u128 = 1 << 1;
const PLAIN_END: u128 = 1 << 2;
/// Added to a priority so that it is not negative.
const PRIORITY_SHIFT: i16 = 16;
/// The most crashes that fit.
const MOST_CRASHES: u16 = 15;
const _: () = assert!(DISCARD_AFTER_CRASHES <= MOST_CRASHES, "a leased job may have crashed so often");
const _: () = assert!(Priority::LAST.get() < 16 && Priority::FIRST.get() >= -16, "five bits hold it");

impl Member {
    pub(crate) fn place(&self) -> Place {
        let unsigned = |number: i64| u128::from(u64::try_from(number).unwrap_or(0));
        let flag = |is: bool, bit: u128| if is { bit } else { 0 };
        // One beyond its bits, which no backend stores, must not change the others.
        let priority = self.priority.clamp(-PRIORITY_SHIFT, PRIORITY_SHIFT - 1);
        Place(
            unsigned(self.run_at.as_millis()) << RUN_AT
                | unsigned(i64::from(self.queue)) << QUEUE
                | u128::from(self.attempt) << ATTEMPT
                | u128::from(self.max_attempts) << MAX_ATTEMPTS
                | u128::from(self.crashes.min(MOST_CRASHES)) << CRASHES
                | unsigned(i64::from(priority + PRIORITY_SHIFT)) << PRIORITY
                | flag(self.is_unique, UNIQUE)
                | flag(self.has_retention, RETENTION)
                | flag(self.has_plain_end, PLAIN_END),
        )
    }

    pub(crate) fn of_place(Place(bits): Place) -> Self {
        let part = |shift: u32, width: u32| {
            u64::try_from((bits >> shift) & ((1 << width) - 1)).expect("no part is wider than 48 bits")
        };
        let small = |shift, width| u16::try_from(part(shift, width)).expect("no wider than 16 bits");
        Self {
            queue: i32::try_from(part(QUEUE, 31)).expect("31 bits"),
            run_at: Timestamp::from_millis(i64::try_from(part(RUN_AT, 48)).expect("48 bits")),
            attempt: small(ATTEMPT, 16),
            max_attempts: small(MAX_ATTEMPTS, 16),
            crashes: small(CRASHES, 4),
            priority: i16::try_from(small(PRIORITY, 5)).expect("5 bits") - PRIORITY_SHIFT,
            is_unique: bits & UNIQUE != 0,
            has_retention: bits & RETENTION != 0,
            has_plain_end: bits & PLAIN_END != 0,
        }
    }

    /// The lease of this member of the claim with `nonce`.
    pub(crate) fn lease(&self, nonce: Uuid, claim: ClaimId, job: JobId, run: u32) -> Lease {
        let place = self.place();
        Lease { job, run, claim, token: LeaseToken(nonce.as_u128() ^ mixed(job, run, place)), place }
    }

    /// What the end of this run of the job depends on.
    pub(crate) fn facts<'j>(
        &self,
        run: u32,
        retention: Option<&'j Retention>,
        cancel_requested: bool,
    ) -> RunFacts<'j> {
        RunFacts {
            attempt: self.attempt,
            crashes: self.crashes,
            max_attempts: self.max_attempts,
            cancel_requested,
            is_last_run: run >= LAST_RUN,
            run_at: self.run_at,
            retention,
        }
    }
}

/// Nonce of the claim that a lease belongs to. If the job, run or place of the lease was changed, no claim
/// has the nonce.
pub(crate) fn nonce(lease: &Lease) -> Uuid {
    Uuid::from_u128(lease.token.0 ^ mixed(lease.job, lease.run, lease.place))
}

/// The part of a claim's nonce that the row of a run keeps.
pub(crate) fn short_token(nonce: Uuid) -> i32 {
    let [.., a, b, c, d] = *nonce.as_bytes();
    i32::from_be_bytes([a, b, c, d])
}

/// Spreads a lease's public members over 128 bits. The result need not be secret: only the nonce must be
/// unguessable.
fn mixed(job: JobId, run: u32, Place(place): Place) -> u128 {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    let step = |state: u128, word: u128| {
        let state = (state ^ word).wrapping_mul(ODD);
        state ^ (state >> 61)
    };
    let job = u128::from_be_bytes(*job.as_bytes());
    step(step(step(ODD, job), u128::from(run)), place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: Member = Member {
        queue: i32::MAX,
        run_at: Timestamp::MAX,
        attempt: u16::MAX,
        max_attempts: 20,
        crashes: 4,
        priority: -10,
        is_unique: true,
        has_retention: false,
        has_plain_end: false,
    };

    #[test]
    fn a_member_is_read_back_from_its_place() {
        for member in [
            MEMBER,
            Member {
                priority: 10,
                run_at: Timestamp::EPOCH,
                is_unique: false,
                has_plain_end: true,
                ..MEMBER
            },
        ] {
            assert_eq!(Member::of_place(member.place()), member);
        }
    }

    #[test]
    fn a_lease_that_was_changed_names_no_claim() {
        let key = Uuid::from_u128(7);
        let job = JobId::from_bytes([3; 16]);
        let lease = MEMBER.lease(key, ClaimId(1), job, 2);
        assert_eq!(nonce(&lease), key);
        assert_ne!(nonce(&Lease { run: 3, ..lease.clone() }), key);
        assert_ne!(nonce(&Lease { job: JobId::from_bytes([4; 16]), ..lease.clone() }), key);
        assert_ne!(nonce(&Lease { place: Member { attempt: 1, ..MEMBER }.place(), ..lease }), key);
    }
}
