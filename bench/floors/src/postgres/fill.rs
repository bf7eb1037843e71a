//! What lies in the tables before a measurement begins.

use std::ops::Range;

use anyhow::{Context, Result};

use super::server::Server;
use super::session::Session;
use crate::job::NewJob;
use crate::options::Options;

/// Their ids are older than those of any run.
const HISTORY: &str = "
    WITH old AS (
        SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid AS id
        FROM generate_series($1::bigint, $2::bigint) AS number
    ), attempts AS (
        INSERT INTO attempts (id, started_at, finished_at, run, attempt, outcome, worker)
        SELECT id, 0, 0, 1, 1, 1, 'floor' FROM old
    )
    INSERT INTO jobs (id, created_at, run_at, max_attempts, priority, kind, queue, args)
    SELECT id, 0, 0, 25, 0, 'bench.count', 'default', convert_to(repeat('x', 100), 'UTF8') FROM old";
const ROWS_A_STATEMENT: u32 = 100_000;

/// Stores the jobs of these numbers, `--batch` a statement.
pub(super) async fn enqueue(session: &Session, numbers: Range<u32>, options: &Options) -> Result<()> {
    for first in numbers.clone().step_by(options.batch as usize) {
        let end = first.saturating_add(options.batch).min(numbers.end);
        let jobs: Result<Vec<_>> =
            (first..end).map(|number| NewJob::new(number, options.args_bytes)).collect();
        session.insert_many(&jobs?).await?;
    }
    Ok(())
}

/// Stores so many jobs that have run long ago.
pub(super) async fn history(server: &Server, jobs: u32) -> Result<()> {
    for first in (0..jobs).step_by(ROWS_A_STATEMENT as usize) {
        let last = first.saturating_add(ROWS_A_STATEMENT - 1).min(jobs - 1);
        server
            .control()
            .execute(HISTORY, &[&i64::from(first), &i64::from(last)])
            .await
            .context("the history cannot be stored")?;
    }
    Ok(())
}
