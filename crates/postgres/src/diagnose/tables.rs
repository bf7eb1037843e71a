//! The tables: whether their indexes are there, and whether they are vacuumed.

use gristmill_core::Diagnosis;

use crate::error::Answer;
use crate::session::Session;
use crate::statement::sql;

/// The indexes that statements rely on; partitions have theirs by their parents.
const INDEXES: [&str; 20] = [
    "jobs_pkey",
    "attempts_pkey",
    "ready_pkey",
    "ready_order",
    "waiting_pkey",
    "waiting_due",
    "waiting_parked",
    "claims_pkey",
    "claims_worker_number_queue_key",
    "ended_pkey",
    "ended_delete",
    "ended_state",
    "expiries_pkey",
    "retried_pkey",
    "uniques_pkey",
    "uniques_id",
    "workers_pkey",
    "events_pkey",
    "events_job",
    "queues_name_key",
];
/// A hot table with more dead rows than this, and more than live ones, is reported as trouble.
const MANY_DEAD: i64 = 1_000_000;

pub(super) async fn indexes(session: &mut Session) -> Answer<Diagnosis> {
    let schema = session.schema().to_owned();
    let mut there = Vec::new();
    for row in session.query(sql!("indexes"), &[&schema]).await? {
        there.push(row.try_get::<_, String>(0)?);
    }
    let missing: Vec<&str> =
        INDEXES.into_iter().filter(|index| !there.iter().any(|known| known == index)).collect();
    if missing.is_empty() {
        return Ok(Diagnosis::fine("indexes", format!("all {} are there and valid", INDEXES.len())));
    }
    let remedy = "make them again as `gristmill migrate sql` shows them, with `CREATE INDEX CONCURRENTLY`";
    Ok(Diagnosis::trouble("indexes", format!("missing or not valid: {}", missing.join(", ")), remedy))
}

pub(super) async fn vacuum(session: &mut Session) -> Answer<Vec<Diagnosis>> {
    let schema = session.schema().to_owned();
    let mut findings = Vec::new();
    let mut tables = 0;
    for row in session.query(sql!("vacuum_state"), &[&schema]).await? {
        tables += 1;
        let (table, is_on, server_is_on): (String, bool, bool) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(5)?);
        let (live, dead): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let since: Option<i64> = row.try_get(4)?;
        if !is_on || !server_is_on {
            let finding = format!("autovacuum is off for `{table}`");
            let remedy = "turn it on, for the server and for the table: every job leaves dead rows there";
            findings.push(Diagnosis::trouble("vacuum", finding, remedy));
        } else if dead >= MANY_DEAD && dead > live {
            let last = since.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s ago"));
            let finding =
                format!("`{table}` has {dead} dead rows and {live} live ones, last vacuumed {last}");
            let remedy = "see what holds the horizon; give autovacuum more workers or a higher cost limit";
            findings.push(Diagnosis::trouble("vacuum", finding, remedy));
        }
    }
    if findings.is_empty() {
        findings.push(Diagnosis::fine("vacuum", format!("autovacuum is on for {tables} hot tables")));
    }
    Ok(findings)
}
