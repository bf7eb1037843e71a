//! Maintenance: whether its steps succeed, and what partitions cost.

use gristmill_core::{Call, Diagnosis, Timestamp};
use gristmill_sql::waiting_requests_finding;
use uuid::Uuid;

use crate::error::Answer;
use crate::partition;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// A step that has not succeeded for this long is reported as trouble. A round takes about a minute.
const LONG_MS: i64 = 3_600_000;

/// Whether each step of pruning has succeeded lately.
pub(super) async fn pruning(session: &mut Session) -> Answer<Vec<Diagnosis>> {
    let mut troubles = Vec::new();
    let mut latest: Option<i64> = None;
    for row in session.query(sql!("steps"), &[]).await? {
        let (step, error): (String, Option<String>) = (row.try_get(0)?, row.try_get(3)?);
        let (succeeded, failed): (Option<i64>, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
        latest = latest.into_iter().chain(succeeded).min();
        if succeeded.is_some_and(|ago| ago < LONG_MS) {
            continue;
        }
        let since = succeeded.map_or_else(
            || "has never succeeded".to_owned(),
            |ago| format!("has not succeeded for {} min", ago / 60_000),
        );
        match error {
            Some(error) => {
                let failed = failed.unwrap_or_default() / 60_000;
                let finding = format!("`{step}` {since}; {failed} min ago it failed: {error}");
                let remedy = "mend what the error names; until then jobs past their retention stay";
                troubles.push(Diagnosis::trouble("prune", finding, remedy));
            }
            None if row.try_get::<_, bool>(5)? => {
                let remedy = "look at the logs of the workers: one of them prunes every minute";
                troubles.push(Diagnosis::trouble("prune", format!("`{step}` {since}"), remedy));
            }
            None => {}
        }
    }
    let lived: Option<i64> = session.query_one(sql!("oldest_worker"), &[]).await?.try_get(0)?;
    if latest.is_none() && troubles.is_empty() && lived.is_some_and(|lived| lived >= LONG_MS) {
        let finding = format!(
            "no step has ever succeeded, and a worker has run for {} min",
            lived.unwrap_or(0) / 60_000
        );
        let remedy = "look at the logs of the workers: one of them prunes every minute";
        troubles.push(Diagnosis::trouble("prune", finding, remedy));
    }
    if troubles.is_empty() {
        let finding = match latest {
            Some(ago) => format!("all steps succeeded, the last time {} min ago", ago / 60_000),
            None => "no round yet; workers prune".to_owned(),
        };
        troubles.push(Diagnosis::fine("prune", finding));
    }
    Ok(troubles)
}

/// How many partitions there are, and how long the longest drop of one locked the tables.
pub(super) async fn partitions(session: &mut Session) -> Answer<Diagnosis> {
    let number = session.query(sql!("partitions"), &[]).await?.len();
    let steps = session.query(sql!("steps"), &[]).await?;
    let mut longest: Option<i64> = None;
    for row in &steps {
        longest = longest.max(row.try_get(4)?);
    }
    let longest = longest.map_or_else(
        || "none was dropped yet".to_owned(),
        |ms| format!("the longest drop of one locked the tables for {ms} ms"),
    );
    let finding = format!("{number} of each partitioned table; {longest}");
    if number < partition::MOST {
        return Ok(Diagnosis::fine("partitions", finding));
    }
    let remedy =
        "shorten the retention of jobs; new jobs go to the DEFAULT partition until one can be dropped";
    Ok(Diagnosis::trouble("partitions", finding, remedy))
}

/// Requests that were set aside, and those that wait.
pub(super) async fn requests(session: &mut Session, call: Call) -> Answer<Vec<Diagnosis>> {
    let now = call.now.map(Timestamp::as_millis);
    let row = session.query_one(sql!("waiting_requests"), &[&now]).await?;
    let (waiting, oldest, is_served): (i64, Option<i64>, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let waiting = waiting_requests_finding(waiting.unsigned_abs(), oldest, is_served);
    Ok(vec![faulty_requests(session).await?, waiting])
}

async fn faulty_requests(session: &mut Session) -> Answer<Diagnosis> {
    const SHOWN: i64 = 3;
    let (mut faults, mut number) = (Vec::new(), 0_i64);
    for row in session.query(sql!("faulty_requests"), &[&SHOWN]).await? {
        let (request, id): (i64, Uuid) = (row.try_get(0)?, row.try_get(1)?);
        let (verb, fault): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        faults.push(format!(
            "request {request}, a {} of job {}: {fault}",
            verb.escape_debug(),
            row::job_id(id)
        ));
        number = row.try_get(4)?;
    }
    if faults.is_empty() {
        return Ok(Diagnosis::fine("requests", "none is set aside"));
    }
    let finding = format!("{number} could not be applied; {}", faults.join("; "));
    let remedy = "if what a fault names is mended, set `fault` of the row in the table `requests` to NULL to have it \
        tried again; else apply the request by hand, then delete its row";
    Ok(Diagnosis::trouble("requests", finding, remedy))
}
