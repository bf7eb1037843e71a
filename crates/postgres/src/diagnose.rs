//! What the server says of itself, and whether it is as it should be.

mod ear;
mod horizon;
mod maintenance;
mod role;
mod settings;
mod tables;
mod trial;

use std::fmt::Write as _;

use gristmill_core::{Call, Diagnosis, Durability, Ping, Timestamp};

use crate::error::{Answer, Fail};
use crate::handle::Inner;
use crate::migrate;
use crate::row;
use crate::session::Session;
use crate::statement::sql;
use crate::steps::cause_of;

use self::role::Role;

/// What the row of `server.sql` says.
#[derive(Debug)]
struct Server {
    now: Timestamp,
    version: String,
    fsync: String,
    synchronous_commit: String,
    full_page_writes: String,
    max_connections: String,
    shared_buffers: String,
    is_standby: bool,
}

impl Server {
    async fn ask(session: &mut Session, call: Call) -> Answer<Self> {
        let row = session.query_one(sql!("server"), &[&call.now.map(Timestamp::as_millis)]).await?;
        Ok(Self {
            now: row::timestamp(&row, 0)?,
            version: row.try_get(1)?,
            fsync: row.try_get(2)?,
            synchronous_commit: row.try_get(3)?,
            full_page_writes: row.try_get(4)?,
            max_connections: row.try_get(5)?,
            shared_buffers: row.try_get(6)?,
            is_standby: row.try_get(7)?,
        })
    }

    /// What an enqueue that was answered survives.
    fn durability(&self) -> Durability {
        if self.fsync == "on" && self.synchronous_commit != "off" {
            Durability::PowerLoss
        } else {
            Durability::ProcessCrash
        }
    }
}

pub(crate) async fn ping(inner: &Inner, call: Call, _request: &()) -> Answer<Ping> {
    let mut session = inner.reads().await?;
    let server = Server::ask(&mut session, call).await?;
    if call.now.is_none() {
        inner.learn_clock(server.now);
    }
    let durability = server.durability();
    let mut ping = Ping::new(server.now, format!("PostgreSQL {}", server.version), durability);
    ping.settings = [
        ("fsync", server.fsync),
        ("synchronous_commit", server.synchronous_commit),
        ("full_page_writes", server.full_page_writes),
        ("max_connections", server.max_connections),
        ("shared_buffers", server.shared_buffers),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    Ok(ping)
}

/// Runs every examination, even if others fail, and returns all findings. A server that does not reply is one
/// error, not many findings.
pub(crate) async fn diagnose(inner: &Inner, call: Call, _request: &()) -> Answer<Vec<Diagnosis>> {
    let mut session = inner.unchecked().await?;
    // A query of the catalog has no need of a schema; the server's row has, so the schema is looked at first.
    let mut findings = vec![schema(&mut session).await?];
    if !findings.iter().all(|finding| finding.ok) {
        return Ok(findings);
    }
    let role = Role::ask(&mut session).await?;
    findings.push(role.finding());
    findings.extend(role::objects(&mut session).await?);
    let settings = role::settings(inner, &mut session).await;
    let server = Server::ask(&mut session, call).await;
    let is_standby = server.as_ref().is_ok_and(|server| server.is_standby);
    let of_server = server.map(|server| {
        vec![
            settings::version(&server.version),
            settings::clock(&server),
            settings::role(&server),
            settings::durability(&server),
        ]
    });
    findings.extend(examined("server", of_server)?);
    findings.extend(settings?);
    findings.push(settings::pooler(inner, &mut session).await?);
    findings.push(settings::notifications(inner).await);
    findings.extend(examined("horizon", horizon::findings(&mut session, horizon::BOUNDS).await)?);
    findings.push(tables::indexes(&mut session).await?);
    findings.extend(examined("vacuum", tables::vacuum(&mut session).await)?);
    findings.extend(examined("prune", maintenance::pruning(&mut session).await)?);
    findings.extend(examined("requests", maintenance::requests(&mut session, call).await)?);
    let partitions = maintenance::partitions(&mut session).await.map(|found| vec![found]);
    findings.extend(examined("partitions", partitions)?);
    if !is_standby {
        findings.extend(trial::trials(inner, &mut session, &role).await?);
    }
    Ok(findings)
}

/// Turns an examination that the server refuses into a finding, so that the other findings are still
/// reported.
fn examined(check: &str, found: Answer<Vec<Diagnosis>>) -> Answer<Vec<Diagnosis>> {
    match found {
        Err(fail) if fail.is_denied() => {
            Ok(vec![Diagnosis::fine(check, format!("not examined, the role may not: {}", cause_of(fail)))])
        }
        Err(fail) if fail.is_of_server() => {
            let finding = format!("not examined: {}", cause_of(fail));
            let remedy =
                "mend what the error names; what belongs to the schema is shown by `gristmill migrate sql`";
            Ok(vec![Diagnosis::trouble(check, finding, remedy)])
        }
        found => found,
    }
}

async fn schema(session: &mut Session) -> Answer<Diagnosis> {
    match migrate::check(session).await {
        Ok(version) => {
            let (schema, latest) = (session.schema().escape_debug(), migrate::latest());
            let mut finding = format!("`{schema}`, version {version}");
            if version > latest {
                let _ = write!(finding, ", which serves this program of version {latest}, too");
            }
            Ok(Diagnosis::fine("schema", finding))
        }
        Err(Fail::Refused(error)) => {
            let remedy = error.hint().unwrap_or("run `gristmill migrate`").to_owned();
            Ok(Diagnosis::trouble("schema", error.message(), remedy))
        }
        Err(fail) if fail.is_denied() => {
            let finding = format!("not examined, the role may not: {}", cause_of(fail));
            Ok(Diagnosis::fine("schema", finding))
        }
        Err(other) => Err(other),
    }
}
