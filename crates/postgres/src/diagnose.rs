//! What the server says of itself, and whether it is as it should be.

mod ear;
mod horizon;
mod maintenance;
mod settings;
mod tables;

use gristmill_core::{Call, Diagnosis, Durability, Ping, Timestamp};

use crate::error::{Answer, Fail};
use crate::handle::Inner;
use crate::migrate;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

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

/// Each examination is told, whatever becomes of the others. A server that does not answer is one error, not many
/// findings.
pub(crate) async fn diagnose(inner: &Inner, call: Call, _request: &()) -> Answer<Vec<Diagnosis>> {
    let mut session = inner.unchecked().await?;
    // A query of the catalog has no need of a schema; the server's row has, so the schema is looked at first.
    let mut findings = vec![schema(&mut session).await?];
    if !findings.iter().all(|finding| finding.ok) {
        return Ok(findings);
    }
    let server = Server::ask(&mut session, call).await?;
    findings.push(settings::version(&server.version));
    findings.push(settings::clock(&server));
    findings.push(settings::role(&server));
    findings.push(settings::durability(&server));
    findings.push(settings::pooler(inner, &mut session).await?);
    findings.push(settings::notifications(inner).await);
    findings.extend(horizon::findings(&mut session, horizon::BOUNDS).await?);
    findings.push(tables::indexes(&mut session).await?);
    findings.extend(tables::vacuum(&mut session).await?);
    findings.extend(maintenance::pruning(&mut session).await?);
    findings.push(maintenance::partitions(&mut session).await?);
    Ok(findings)
}

async fn schema(session: &mut Session) -> Answer<Diagnosis> {
    match migrate::check(session).await {
        Ok(()) => {
            let version = migrate::latest();
            Ok(Diagnosis::fine("schema", format!("`{}`, version {version}", session.schema().escape_debug())))
        }
        Err(Fail::Refused(error)) => {
            let remedy = error.hint().unwrap_or("run `gristmill migrate`").to_owned();
            Ok(Diagnosis::trouble("schema", error.message(), remedy))
        }
        Err(other) => Err(other),
    }
}
