//! Claims: a fetched batch, its members, and what the writer remembers of those it made.

use std::collections::HashMap;
use std::sync::Arc;

use gristmill_core::{ClaimId, JobId, Lease, LeaseToken, Place, Retention, Timestamp, WorkerId};

/// Bytes a job takes in a claim's members.
pub(crate) const MEMBER_BYTES: usize = 16;
/// Jobs of claims that are remembered at most; beyond, all is forgotten and read again.
const REMEMBERED: usize = 262_144;

/// What a move of a job needs to know of it: what the row of `jobs` says.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) seq: i64,
    pub(crate) id: JobId,
    pub(crate) queue: i64,
    pub(crate) priority: i64,
    pub(crate) run_at: Timestamp,
    pub(crate) max_attempts: u16,
    pub(crate) is_unique: bool,
    pub(crate) retention: Option<Box<Retention>>,
}

/// How often a job has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) run: u32,
    pub(crate) attempt: u16,
    pub(crate) crashes: u16,
}

/// One leased job of a claim. The facts are missing when the job is gone.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) seq: i64,
    pub(crate) tally: Tally,
    pub(crate) facts: Option<Facts>,
}

/// A fetched batch. Nothing of it changes while it is there.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) key: i64,
    pub(crate) worker: WorkerId,
    pub(crate) number: ClaimId,
    pub(crate) nonce: u128,
    pub(crate) fetched_at: Timestamp,
    pub(crate) members: Vec<Member>,
}

impl Claim {
    /// The lease of the member at `place`.
    pub(crate) fn lease(&self, place: usize, job: JobId, run: u32) -> Lease {
        Lease {
            job,
            run,
            claim: self.number,
            token: LeaseToken(self.nonce),
            place: Place(u128::from(self.key.cast_unsigned()) << 64 | place as u128),
        }
    }

    /// What a run's row keeps of the nonce, to recognise a repeated finish after the claim is gone.
    pub(crate) fn short_token(token: LeaseToken) -> i64 {
        u64::try_from(token.0 & u128::from(u64::MAX)).expect("64 bits are left").cast_signed()
    }
}

/// The claim's key and the member's place that a lease names.
pub(crate) fn placed(lease: &Lease) -> (i64, usize) {
    let Place(bits) = lease.place;
    let key = u64::try_from(bits >> 64).expect("64 bits are left").cast_signed();
    let place = usize::try_from(bits & u128::from(u64::MAX)).unwrap_or(usize::MAX);
    (key, place)
}

/// A claim whose row is there now.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) claim: Arc<Claim>,
    /// Members whose run has not ended.
    pub(crate) open: i64,
    /// A job of it may have been deleted after its run ended.
    pub(crate) pruned: bool,
}

/// The claims the writer remembers, by nonce: a row with the same nonce is the same claim.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) by_nonce: HashMap<u128, Arc<Claim>>,
    members: usize,
}

impl Claims {
    pub(crate) fn remember(&mut self, claim: Arc<Claim>) {
        if self.members >= REMEMBERED {
            self.forget();
        }
        self.members += claim.members.len();
        self.by_nonce.insert(claim.nonce, claim);
    }

    pub(crate) fn forget(&mut self) {
        self.by_nonce.clear();
        self.members = 0;
    }

    pub(crate) fn drop_one(&mut self, nonce: u128) {
        if let Some(claim) = self.by_nonce.remove(&nonce) {
            self.members = self.members.saturating_sub(claim.members.len());
        }
    }
}

/// The members of a claim as its row keeps them.
pub(crate) fn members(bytes: &[u8]) -> impl Iterator<Item = (i64, Tally)> {
    bytes.chunks_exact(MEMBER_BYTES).map(|chunk| {
        let part = |range: std::ops::Range<usize>| &chunk[range];
        let tally = Tally {
            run: u32::from_le_bytes(part(8..12).try_into().expect("four bytes")),
            attempt: u16::from_le_bytes(part(12..14).try_into().expect("two bytes")),
            crashes: u16::from_le_bytes(part(14..16).try_into().expect("two bytes")),
        };
        (i64::from_le_bytes(part(0..8).try_into().expect("eight bytes")), tally)
    })
}
