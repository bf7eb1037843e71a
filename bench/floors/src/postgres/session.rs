//! A connection with its statements prepared.

use anyhow::{Result, ensure};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::server::Server;
use super::statements::{FETCH, FINISH_APPEND, FINISH_DELETE, INSERT_AND_NOTIFY, INSERT_MANY, INSERT_ONE};
use crate::job::{KIND, MAX_ATTEMPTS, NewJob, PRIORITY, QUEUE, now_ms, run};
use crate::options::Design;

const WORKER: &str = "floor";
const LEASE_MS: i64 = 30_000;

/// A connection with its statements prepared.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    design: Design,
    insert_many: Statement,
    insert_one: Statement,
    insert_and_notify: Statement,
    fetch: Statement,
    finish: Statement,
    max_attempts: i16,
}

/// A place in `ready`: everything up to it is known to be fetched.
pub(super) type Cursor = (i64, Uuid);

/// The place before the first.
pub(super) const START: Cursor = (i64::MIN, Uuid::nil());

/// A fetched batch.
#[derive(Debug, Default)]
pub(super) struct Claim {
    number: i64,
    started_at_ms: i64,
    ids: Vec<Uuid>,
    runs: Vec<i32>,
    attempts: Vec<i16>,
    args: Vec<Vec<u8>>,
    /// The last place among the jobs.
    pub(super) last: Option<Cursor>,
}

impl Session {
    /// Opens a connection.
    pub(super) async fn open(server: &Server, design: Design) -> Result<Self> {
        Self::with(server.connect().await?.0, design).await
    }

    /// Prepares the statements on a connection.
    pub(super) async fn with(client: Client, design: Design) -> Result<Self> {
        let finish = match design {
            Design::Append => FINISH_APPEND,
            Design::Delete => FINISH_DELETE,
        };
        Ok(Self {
            insert_many: client.prepare(INSERT_MANY).await?,
            insert_one: client.prepare(INSERT_ONE).await?,
            insert_and_notify: client.prepare(INSERT_AND_NOTIFY).await?,
            fetch: client.prepare(FETCH).await?,
            finish: client.prepare(finish).await?,
            max_attempts: i16::try_from(MAX_ATTEMPTS)?,
            client,
            design,
        })
    }

    /// Stores jobs, ready at once.
    pub(super) async fn insert_many(&self, jobs: &[NewJob]) -> Result<()> {
        let Some(first) = jobs.first() else { return Ok(()) };
        let ids: Vec<Uuid> = jobs.iter().map(|job| Uuid::from_bytes(job.id)).collect();
        let args: Vec<&[u8]> = jobs.iter().map(|job| job.args.as_slice()).collect();
        self.client
            .execute(
                &self.insert_many,
                &[&ids, &args, &first.created_at_ms, &PRIORITY, &QUEUE, &self.max_attempts, &KIND],
            )
            .await?;
        Ok(())
    }

    /// Stores one job, ready at once.
    pub(super) async fn insert_one(&self, job: &NewJob) -> Result<()> {
        self.insert_by(&self.insert_one, job).await
    }

    /// Stores one job, ready at once, and wakes who listens.
    pub(super) async fn insert_and_notify(&self, job: &NewJob) -> Result<()> {
        self.insert_by(&self.insert_and_notify, job).await
    }

    async fn insert_by(&self, statement: &Statement, job: &NewJob) -> Result<()> {
        let id = Uuid::from_bytes(job.id);
        self.client
            .execute(
                statement,
                &[&id, &job.args, &job.created_at_ms, &PRIORITY, &QUEUE, &self.max_attempts, &KIND],
            )
            .await?;
        Ok(())
    }

    /// Leases the first jobs behind `cursor`; they may run when this returns, since the claim is committed by
    /// then.
    pub(super) async fn fetch(&self, cursor: Cursor, limit: u32) -> Result<Claim> {
        let now_ms = now_ms()?;
        let (run_at, id) = cursor;
        let rows = self
            .client
            .query(
                &self.fetch,
                &[&QUEUE, &PRIORITY, &run_at, &id, &i64::from(limit), &(now_ms + LEASE_MS), &WORKER],
            )
            .await?;
        let mut claim = Claim { started_at_ms: now_ms, ..Claim::default() };
        for row in &rows {
            claim.number = row.try_get(0)?;
            let place = (row.try_get(1)?, row.try_get(4)?);
            claim.last = claim.last.max(Some(place));
            claim.runs.push(row.try_get(2)?);
            claim.attempts.push(row.try_get(3)?);
            claim.ids.push(place.1);
            claim.args.push(row.try_get(5)?);
        }
        Ok(claim)
    }

    /// Records the jobs of a claim as completed.
    pub(super) async fn finish(&self, claim: &Claim) -> Result<()> {
        let Claim { number, started_at_ms, ids, runs, attempts, .. } = claim;
        let now_ms = now_ms()?;
        let finished = match self.design {
            Design::Append => {
                self.client
                    .execute(&self.finish, &[number, ids, runs, started_at_ms, &now_ms, &WORKER, attempts])
                    .await?
            }
            Design::Delete => self.client.execute(&self.finish, &[number, ids]).await?,
        };
        ensure!(finished == ids.len() as u64, "claim {number} finished {finished} of {} jobs", ids.len());
        Ok(())
    }
}

impl Claim {
    /// Whether nothing was there to be fetched.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Runs the handler of each job; `ran` gets the number of the job.
    pub(super) fn run(&self, mut ran: impl FnMut(u32)) -> Result<()> {
        for (id, args) in self.ids.iter().zip(&self.args) {
            ran(run(id.into_bytes(), args)?);
        }
        Ok(())
    }
}
