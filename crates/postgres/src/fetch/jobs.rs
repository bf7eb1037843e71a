//! From the rows of a fetch to leased jobs.

use gristmill_core::{ClaimId, FetchedJob, Name, Timestamp};
use gristmill_sql::ArgsBlocks;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::Answer;
use crate::member::Member;
use crate::names::Names;
use crate::row::{self, Options};

/// Where a row stands in the order of fetching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) queue: i32,
    pub(super) priority: i16,
    pub(super) run_at_ms: i64,
    pub(super) id: Uuid,
}

impl Key {
    pub(super) fn of(row: &Row) -> Answer<Self> {
        Ok(Self {
            queue: row.try_get(0)?,
            priority: row.try_get(1)?,
            run_at_ms: row.try_get(2)?,
            id: row.try_get(6)?,
        })
    }
}

/// Jobs of a claim.
pub(super) struct Batch<'n> {
    names: &'n Names,
    claim: ClaimId,
    jobs: Vec<FetchedJob>,
    args: ArgsBlocks,
    /// The kind of the job before: mostly that of the next one, too.
    kind: Option<Name>,
}

impl<'n> Batch<'n> {
    /// Room for so many jobs of a claim.
    pub(super) fn new(names: &'n Names, claim: ClaimId, jobs: usize) -> Self {
        Self { names, claim, jobs: Vec::with_capacity(jobs), args: ArgsBlocks::default(), kind: None }
    }

    /// Adds the job of a row of `fetch.sql`.
    pub(super) fn add(&mut self, queue: &Name, nonce: Uuid, key: Key, row: &Row) -> Answer<()> {
        let run = row::count32(row.try_get(3)?).saturating_add(1);
        let attempt = row::count16(row.try_get(4)?).saturating_add(1);
        let crashes = row::count16(i32::from(row.try_get::<_, i16>(5)?));
        let kind = self.kind(row.try_get(7)?)?;
        let left = self.jobs.capacity() - self.jobs.len();
        let args = self.args.keep(row.try_get(9)?, left);
        let mut spec = row::spec(kind, queue.clone(), key.priority, row.try_get(8)?, args);
        if let Some(options) = row.try_get::<_, Option<&str>>(10)? {
            Options::parse(Some(options)).into_spec(&mut spec);
        }
        let member = Member {
            queue: key.queue,
            run_at: Timestamp::from_millis(key.run_at_ms),
            attempt,
            max_attempts: spec.max_attempts.get(),
            crashes,
            priority: key.priority,
            is_unique: spec.unique_key.is_some(),
            has_retention: spec.retention.is_some(),
        };
        let lease = member.lease(nonce, self.claim, row::job_id(key.id), run);
        self.jobs.push(FetchedJob::new(lease, attempt, crashes, member.run_at, spec));
        Ok(())
    }

    pub(super) fn into_jobs(self) -> Vec<FetchedJob> {
        self.jobs
    }

    fn kind(&mut self, text: &str) -> Answer<Name> {
        if let Some(kind) = self.kind.as_ref().filter(|kind| kind.as_str() == text) {
            return Ok(kind.clone());
        }
        let kind = self.names.kind(text)?;
        self.kind = Some(kind.clone());
        Ok(kind)
    }
}
