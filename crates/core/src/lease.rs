//! The right to execute one run of a job.

use std::fmt;

use crate::JobId;

/// One fetch of one worker, numbered by the worker: a repeat with the same number returns the same jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId(pub u64);

/// The unguessable part of a lease. Every later write of the run carries it. The backend chooses its
/// bits, and only the backend reads them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub u128);

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a backend finds the leased job without a search, its queue or partition included. Only that backend
/// reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Place(pub u128);

/// The time-bounded right to execute one run of one job.
///
/// It names the job, the run and, by its token, the worker's incarnation and claim. It ends when the run is
/// finished or given back, or when the worker's heartbeat has not come for the length of its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Number of the run, from 1; no retry resets it. SQLite begins anew after 4,194,303 of them.
    pub run: u32,
    /// The claim of the worker the job was fetched with.
    pub claim: ClaimId,
    /// The unguessable part.
    pub token: LeaseToken,
    /// The backend's own note.
    pub place: Place,
}

impl Lease {
    /// The fencing text a handler may pass to other systems: grows with every run of the job. SQLite numbers
    /// the runs of a job anew after 4,194,303 of them; the text falls once then.
    pub fn fencing_token(&self) -> String {
        format!("{:010}-{}", self.run, self.token)
    }
}
