//! The three sorts of transactions.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use gristmill_outbox::{Job as _, Outbox};
use gristmill_outbox_sqlx::{Within as _, commit};
use sqlx::types::Uuid;
use sqlx::{Connection as _, PgConnection};

use crate::options::Options;
use crate::store::{Count, Store};

/// Rounds before the measured ones: plans are made, files grow.
const WARM_UP: u32 = 200;

const USER: &str = "INSERT INTO gristmill_outbox_bench_rows.users (number, name) VALUES ($1, $2)";
const PLAIN: &str = "INSERT INTO gristmill_outbox_bench_rows.plain
    (id, created_at, queue, max_attempts, priority, kind, options, args) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// What is beside the user's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Nothing.
    Bare,
    /// A plain insert of the job's bytes.
    Plain,
    /// An enqueue.
    Outbox,
}

impl Sort {
    const ALL: [Self; 3] = [Self::Bare, Self::Plain, Self::Outbox];
}

/// What one sort took.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// From before BEGIN until COMMIT is answered.
    pub(crate) transactions: Vec<Duration>,
    /// The statement beside the user's row, from the job in the program's memory to its answer.
    pub(crate) statements: Vec<Duration>,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// With nothing beside the row.
    pub(crate) bare: Samples,
    /// With a plain insert.
    pub(crate) plain: Samples,
    /// With an enqueue.
    pub(crate) outbox: Samples,
    /// How many jobs were enqueued in all, the warm-up's included.
    pub(crate) enqueued: u64,
}

/// Does all transactions, a round after the other; the sorts change places from round to round.
pub(crate) async fn measure(store: &Store, options: &Options) -> Result<Measured> {
    let mut user = User::new(store.connect().await?, store.outbox.clone(), options.args_bytes)?;
    let mut measured = Measured::default();
    for round in 0..WARM_UP.saturating_add(options.transactions) {
        for place in 0..3 {
            let sort = Sort::ALL[(round as usize + place) % 3];
            let (transaction, statement) = user.transact(sort).await?;
            let samples = match sort {
                Sort::Bare => &mut measured.bare,
                Sort::Plain => &mut measured.plain,
                Sort::Outbox => &mut measured.outbox,
            };
            if round >= WARM_UP {
                samples.transactions.push(transaction);
                samples.statements.push(statement);
            }
        }
        measured.enqueued += 1;
    }
    Ok(measured)
}

/// A connection of the user's, and what it stores.
#[derive(Debug)]
pub(crate) struct User {
    connection: PgConnection,
    outbox: Outbox,
    job: Count,
}

impl User {
    pub(crate) fn new(connection: PgConnection, outbox: Outbox, args_bytes: u32) -> Result<Self> {
        let mut job = Count { number: 1_000_000_000, filler: String::new() };
        let empty_bytes = serde_json::to_vec(&job)?.len();
        job.filler = "x".repeat((args_bytes as usize).saturating_sub(empty_bytes));
        Ok(Self { connection, outbox, job })
    }

    /// Does one transaction; how long it took, and how long the statement beside the row.
    pub(crate) async fn transact(&mut self, sort: Sort) -> Result<(Duration, Duration)> {
        self.job.number += 1;
        let job = self.job.clone();
        let begun = Instant::now();
        let mut tx = self.connection.begin().await?;
        sqlx::query(USER).bind(job.number).bind("somebody").execute(&mut *tx).await?;
        let called = Instant::now();
        match sort {
            Sort::Bare => {}
            Sort::Plain => insert(&mut tx, &self.outbox, &job).await?,
            Sort::Outbox => drop(self.outbox.within(&mut tx).enqueue(job).await?),
        }
        let statement = called.elapsed();
        commit(tx).await?;
        Ok((begun.elapsed(), statement))
    }

    /// Enqueues outside of a transaction.
    pub(crate) async fn enqueue(&mut self) -> Result<()> {
        self.job.number += 1;
        self.outbox.within(&mut self.connection).enqueue(self.job.clone()).await?;
        Ok(())
    }
}

/// The bytes that the enqueue stores: a new id, the time, the defaults of a job, the args.
async fn insert(connection: &mut PgConnection, outbox: &Outbox, job: &Count) -> Result<()> {
    let query = sqlx::query(PLAIN)
        .bind(Uuid::from_bytes(*outbox.mint_id().as_bytes()))
        .bind(now_ms()?)
        .bind(1_i32)
        .bind(20_i32)
        .bind(0_i16)
        .bind(Count::KIND)
        .bind(None::<&str>)
        .bind(serde_json::to_vec(job)?);
    query.execute(connection).await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "what one writes by hand has no clock that a test would move")]
fn now_ms() -> Result<i64> {
    let since_epoch =
        SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970; set it")?;
    i64::try_from(since_epoch.as_millis()).context("the clock is out of range; set it")
}
