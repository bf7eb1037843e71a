//! What the role may do, and what keeps statements from what they are to do.

use std::collections::HashSet;

use gristmill_core::Diagnosis;

use crate::error::Answer;
use crate::handle::Inner;
use crate::migrate;
use crate::session::{Naming, Session};
use crate::statement::sql;

/// A statement is given so long by a setting of the server, the database or the role (ms); less ends some of
/// ours too early.
const SHORTEST_MS: i64 = 10_000;

/// The rights of a role.
#[derive(Debug)]
pub(super) struct Role {
    /// As an identifier.
    pub(super) name: String,
    /// It may change some of the tables, so it is meant to work.
    pub(super) works: bool,
    /// The tables that it may not read or change.
    lacks: Vec<String>,
}

impl Role {
    pub(super) async fn ask(session: &mut Session) -> Answer<Self> {
        let schema = session.schema().to_owned();
        let row = session.query_one(sql!("may"), &[&schema]).await?;
        Ok(Self { name: row.try_get(0)?, works: row.try_get(1)?, lacks: row.try_get(2)? })
    }

    pub(super) fn finding(&self) -> Diagnosis {
        let Self { name, works, lacks } = self;
        if lacks.is_empty() {
            return Diagnosis::fine("rights", format!("the role {name} may change all tables"));
        }
        if !works {
            return Diagnosis::fine(
                "rights",
                format!("the role {name} may not change tables: it cannot work"),
            );
        }
        let finding = format!("the role {name} may not read and change all rows of {}", lacks.join(", "));
        Diagnosis::trouble(
            "rights",
            finding,
            "grant it the rights that `gristmill migrate sql` lists at its end",
        )
    }
}

/// Whether the functions and triggers of the schema are all there, and nothing turns them off.
pub(super) async fn objects(session: &mut Session) -> Answer<Vec<Diagnosis>> {
    let schema = session.schema().to_owned();
    let mut there = HashSet::new();
    for row in session.query(sql!("functions"), &[&schema]).await? {
        there.insert(row.try_get::<_, String>(0)?);
    }
    let expected = migrate::functions();
    let mut missing: Vec<&str> = expected.iter().copied().filter(|name| !there.contains(*name)).collect();
    missing.sort_unstable();
    missing.dedup();
    let mut findings = Vec::new();
    if !missing.is_empty() {
        let remedy = "make them again as `gristmill migrate sql` shows them";
        findings.push(Diagnosis::trouble("functions", format!("missing: {}", missing.join(", ")), remedy));
    }
    for row in session.query(sql!("rules"), &[&schema]).await? {
        let (table, what, name): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        findings.push(if what == "trigger" {
            let remedy = format!("`ALTER TABLE {schema}.{table} ENABLE TRIGGER {name}`");
            Diagnosis::trouble("functions", format!("the trigger `{name}` of `{table}` is disabled"), remedy)
        } else {
            let finding = format!("row level security of `{table}` holds for this role: it hides rows");
            let remedy = format!("`ALTER TABLE {schema}.{table} DISABLE ROW LEVEL SECURITY`");
            Diagnosis::trouble("functions", finding, remedy)
        });
    }
    if findings.is_empty() {
        let finding = format!("all {} functions and triggers are there and enabled", expected.len());
        findings.push(Diagnosis::fine("functions", finding));
    }
    Ok(findings)
}

/// Settings with which a statement of ours can never succeed, or a value that is accepted cannot be stored.
pub(super) async fn settings(inner: &Inner, session: &mut Session) -> Answer<Vec<Diagnosis>> {
    let mut findings = Vec::new();
    let rows = session.query(sql!("session"), &[]).await?;
    for row in &rows {
        let (name, value): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let harm = match name {
            "server_encoding" if value != "UTF8" => {
                Some("texts that it lacks cannot be stored: make a database with ENCODING 'UTF8'".to_owned())
            }
            "default_transaction_read_only" if value == "on" => {
                Some(reset(name, "nothing can be enqueued or run"))
            }
            "default_transaction_isolation"
                if value != "read committed" && inner.naming == Naming::Prepared =>
            {
                Some(reset(name, "statements that meet others are refused"))
            }
            "session_replication_role" if value == "replica" => {
                Some(reset(name, "triggers do not run: queues get no names"))
            }
            "standard_conforming_strings" if value == "off" => {
                Some(reset(name, "functions read their own texts wrongly"))
            }
            "statement_timeout" | "transaction_timeout" | "idle_session_timeout"
                if row.try_get::<_, i64>(2)? != 0 && row.try_get::<_, i64>(2)? < SHORTEST_MS =>
            {
                Some(reset(name, "it ends statements or sessions of this library too early"))
            }
            _ => None,
        };
        if let Some(remedy) = harm {
            findings.push(Diagnosis::trouble("settings", format!("{name} is `{value}`"), remedy));
        }
    }
    if findings.is_empty() {
        findings.push(Diagnosis::fine(
            "settings",
            format!("none of {} keeps a statement from its end", rows.len()),
        ));
    }
    Ok(findings)
}

fn reset(name: &str, harm: &str) -> String {
    format!(
        "{harm}; take it back where it was set: `ALTER ROLE … RESET {name}`, for the database, or in the URL"
    )
}
