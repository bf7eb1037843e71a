//! Transactions of one connection, each with a row of the user's and one call of the SQL function `add_job`,
//! by turns with transactions that have the row alone.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{Options, SCHEMA, VERSION, count};

/// Transactions before the measured ones: plans are made, files grow.
const WARM_UP: u32 = 200;

/// Does `transactions` of them and returns the medians.
pub(crate) async fn measure(pool: &PgPool, options: &Options, transactions: u32) -> Result<Value> {
    ensure!(transactions > 0, "--transactions begins at 1");
    let users = format!("CREATE TABLE {SCHEMA}.users (number bigint PRIMARY KEY, name text NOT NULL)");
    sqlx::query(AssertSqlSafe(users)).execute(pool).await?;
    let user = format!("INSERT INTO {SCHEMA}.users (number, name) VALUES ($1, $2)");
    let add_job = format!("SELECT id FROM {SCHEMA}.add_job('bench.count', $1::json)");
    let mut connection = pool.acquire().await?;
    let (mut whole, mut statements) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP.saturating_add(transactions) {
        for is_bare in [number % 2 == 0, number % 2 == 1] {
            let job = count(number, options.args_bytes)?;
            let begun = Instant::now();
            let mut tx = sqlx::Connection::begin(&mut *connection).await?;
            sqlx::query(AssertSqlSafe(user.clone()))
                .bind(i64::from(number) * 2 + i64::from(is_bare))
                .bind("somebody")
                .execute(&mut *tx)
                .await?;
            let called = Instant::now();
            if !is_bare {
                let args = serde_json::to_string(&job)?;
                sqlx::query(AssertSqlSafe(add_job.clone())).bind(args).execute(&mut *tx).await?;
            }
            let statement = called.elapsed();
            tx.commit().await?;
            if !is_bare && number >= WARM_UP {
                whole.push(begun.elapsed());
                statements.push(statement);
            }
        }
    }
    let stored = format!("SELECT count(*) FROM {SCHEMA}._private_jobs");
    let stored: i64 = sqlx::query_scalar(AssertSqlSafe(stored)).fetch_one(pool).await?;
    Ok(json!({
        "system": "graphile_worker",
        "version": VERSION,
        "backend": "postgres",
        "mode": "transactions",
        "jobs": transactions,
        "args_bytes": options.args_bytes,
        "tx_ms": median(whole).as_secs_f64() * 1e3,
        "statement_us": median(statements).as_secs_f64() * 1e6,
        "lost": i64::from(WARM_UP.saturating_add(transactions)) - stored,
        "duplicated": 0,
    }))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
