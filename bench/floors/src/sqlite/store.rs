//! The statements. Each runs inside a transaction of its caller.

use anyhow::Result;
use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use crate::job::{KIND, MAX_ATTEMPTS, NewJob, PRIORITY, QUEUE, now_ms, run};

const INSERT_JOB: &str = "
    INSERT INTO jobs (id, kind, queue, priority, run_at, created_at, max_attempts, args)
    VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)";
const INSERT_READY: &str = "
    INSERT INTO ready (queue, priority, run_at, seq, attempt) VALUES (?1, ?2, ?3, ?4, 1)";
/// CROSS JOIN keeps `ready` outside: its key is the order, and the limit ends the scan.
const SELECT_READY: &str = "
    SELECT ready.priority, ready.run_at, ready.seq, ready.attempt, jobs.id, jobs.args
    FROM ready CROSS JOIN jobs ON jobs.seq = ready.seq
    WHERE ready.queue = ?1
    ORDER BY ready.priority, ready.run_at, ready.seq
    LIMIT ?2";
/// The writer is alone, so what was selected is everything up to the last row selected.
const DELETE_READY: &str = "
    DELETE FROM ready WHERE queue = ?1 AND (priority, run_at, seq) <= (?2, ?3, ?4)";
const INSERT_CLAIM: &str = "INSERT INTO claims (worker, expires_at, jobs) VALUES (?1, ?2, ?3)";
const DELETE_CLAIM: &str = "DELETE FROM claims WHERE claim = ?1";
const INSERT_RUN: &str = "
    INSERT INTO runs (job_run, attempt, outcome, started_at, finished_at, worker)
    VALUES (?1, ?2, 'completed', ?3, ?4, ?5)";

const WORKER: &str = "floor";
const LEASE_MS: i64 = 30_000;
const FIRST_RUN: i64 = 1;
const RUNS_A_JOB: i64 = 65_536;

/// Starts a transaction that may write from its beginning, so that it never fails half-way as busy.
pub(super) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Stores jobs.
pub(super) struct Insert<'tx> {
    job: CachedStatement<'tx>,
    ready: CachedStatement<'tx>,
    tx: &'tx Transaction<'tx>,
}

impl<'tx> Insert<'tx> {
    /// Prepares the statements.
    pub(super) fn new(tx: &'tx Transaction<'tx>) -> rusqlite::Result<Self> {
        Ok(Self { job: tx.prepare_cached(INSERT_JOB)?, ready: tx.prepare_cached(INSERT_READY)?, tx })
    }

    /// Stores one job; it may be fetched once the transaction has committed.
    pub(super) fn insert(&mut self, job: &NewJob) -> rusqlite::Result<()> {
        let NewJob { id, args, created_at_ms } = job;
        self.job.execute(params![id, KIND, QUEUE, PRIORITY, created_at_ms, MAX_ATTEMPTS, args])?;
        self.ready.execute(params![QUEUE, PRIORITY, created_at_ms, self.tx.last_insert_rowid()])?;
        Ok(())
    }
}

/// A fetched batch.
#[derive(Debug, Default)]
pub(super) struct Claim {
    number: i64,
    started_at_ms: i64,
    jobs: Vec<Job>,
}

/// A fetched job.
#[derive(Debug)]
struct Job {
    seq: i64,
    attempt: i64,
    id: [u8; 16],
    args: Vec<u8>,
}

impl Claim {
    /// Whether nothing was there to be fetched.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Runs the handler of each job, in order; `ran` gets the number of the job.
    pub(super) fn run(&self, mut ran: impl FnMut(u32)) -> Result<()> {
        self.jobs.iter().try_for_each(|job| {
            ran(run(job.id, &job.args)?);
            Ok(())
        })
    }
}

/// One transaction: records the jobs of `finished` as completed and leases the next ones. They may run when
/// this returns, since the claim is committed by then.
pub(super) fn finish_and_fetch(connection: &mut Connection, finished: &Claim, limit: u32) -> Result<Claim> {
    let now_ms = now_ms()?;
    let tx = begin(connection)?;
    finish(&tx, finished, now_ms)?;
    let claim = fetch(&tx, limit, now_ms)?;
    tx.commit()?;
    Ok(claim)
}

fn finish(tx: &Transaction<'_>, claim: &Claim, now_ms: i64) -> rusqlite::Result<()> {
    if claim.is_empty() {
        return Ok(());
    }
    let mut insert = tx.prepare_cached(INSERT_RUN)?;
    for Job { seq, attempt, .. } in &claim.jobs {
        let job_run = seq * RUNS_A_JOB + FIRST_RUN;
        insert.execute(params![job_run, attempt, claim.started_at_ms, now_ms, WORKER])?;
    }
    tx.prepare_cached(DELETE_CLAIM)?.execute([claim.number])?;
    Ok(())
}

fn fetch(tx: &Transaction<'_>, limit: u32, now_ms: i64) -> rusqlite::Result<Claim> {
    let mut jobs = Vec::with_capacity(limit as usize);
    let mut seqs = Vec::with_capacity(limit as usize * size_of::<i64>());
    let mut last = None;
    let mut select = tx.prepare_cached(SELECT_READY)?;
    let mut rows = select.query(params![QUEUE, limit])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(2)?;
        last = Some((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, seq));
        seqs.extend_from_slice(&seq.to_le_bytes());
        jobs.push(Job { seq, attempt: row.get(3)?, id: row.get(4)?, args: row.get(5)? });
    }
    let Some((priority, run_at, seq)) = last else { return Ok(Claim::default()) };
    tx.prepare_cached(DELETE_READY)?.execute(params![QUEUE, priority, run_at, seq])?;
    tx.prepare_cached(INSERT_CLAIM)?.execute(params![WORKER, now_ms + LEASE_MS, seqs])?;
    Ok(Claim { number: tx.last_insert_rowid(), started_at_ms: now_ms, jobs })
}
