//! What pins the horizon: as long as it stands, no dead row younger than it can be removed, and queues grow
//! slow.

use gristmill_core::Diagnosis;

use crate::error::Answer;
use crate::session::Session;
use crate::statement::sql;

/// Limits beyond which a holder is reported as trouble.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The age of a transaction, in seconds.
    seconds: i64,
    /// How many transactions a slot, a standby or a prepared transaction holds back.
    transactions: i64,
}

pub(super) const BOUNDS: Bounds = Bounds { seconds: 60, transactions: 100_000 };

/// Who holds the horizon.
#[derive(Debug)]
struct Holder {
    what: String,
    name: String,
    who: String,
    state: String,
    seconds: Option<i64>,
    transactions: Option<i64>,
}

pub(super) async fn findings(session: &mut Session, bounds: Bounds) -> Answer<Vec<Diagnosis>> {
    let sees = session.query_one(sql!("sees_sessions"), &[]).await?;
    let (sees_all, role): (bool, String) = (sees.try_get(0)?, sees.try_get(1)?);
    let mut holders = Vec::new();
    for row in session.query(sql!("horizon"), &[]).await? {
        holders.push(Holder {
            what: row.try_get(0)?,
            name: row.try_get(1)?,
            who: row.try_get(2)?,
            state: row.try_get(3)?,
            seconds: row.try_get(4)?,
            transactions: row.try_get(5)?,
        });
    }
    let (hidden, seen): (Vec<Holder>, Vec<Holder>) =
        holders.into_iter().partition(|holder| holder.what == "hidden");
    let mut findings: Vec<Diagnosis> =
        seen.iter().filter(|holder| holder.is_trouble(bounds)).map(Holder::hints).collect();
    if !sees_all {
        findings.push(unseen(&role, &hidden));
    } else if findings.is_empty() {
        findings.push(Diagnosis::fine("horizon", "nothing holds it back"));
    }
    Ok(findings)
}

/// The finding for a role that may not see the sessions of other roles. `hidden` are those that hold the
/// horizon now.
fn unseen(role: &str, hidden: &[Holder]) -> Diagnosis {
    let finding = format!("the role {role} cannot see what sessions of other roles do");
    let remedy = format!("to see it: `GRANT pg_read_all_stats TO {role}`");
    if hidden.is_empty() {
        let finding = format!("{finding}; none holds it back at the moment");
        let mut fine = Diagnosis::fine("horizon", finding);
        fine.remedy = Some(remedy);
        return fine;
    }
    let named: Vec<String> = hidden
        .iter()
        .map(|holder| format!("pid {} ({}){}", holder.name, holder.who, holder.behind()))
        .collect();
    let finding = format!("{finding}, nor for how long these hold it back: {}", named.join("; "));
    Diagnosis::trouble("horizon", finding, remedy)
}

impl Holder {
    fn is_trouble(&self, bounds: Bounds) -> bool {
        let is_long = self.seconds.is_some_and(|seconds| seconds >= bounds.seconds);
        let holds_many = self.transactions.is_some_and(|count| count >= bounds.transactions);
        match self.what.as_str() {
            "session" => is_long,
            "prepared" => is_long || holds_many,
            "standby" => holds_many,
            _ => holds_many || self.state == "inactive",
        }
    }

    fn behind(&self) -> String {
        self.transactions.map_or_else(String::new, |count| format!(", {count} transactions back"))
    }

    fn hints(&self) -> Diagnosis {
        let Self { what, name, who, state, .. } = self;
        let age = self.seconds.map_or_else(String::new, |seconds| format!(", for {seconds} s"));
        let behind = self.behind();
        let (finding, remedy) = match what.as_str() {
            "session" => (
                format!("pid {name} ({who}) holds a transaction open{age}, {state}{behind}"),
                format!("end it, or its session: `SELECT pg_terminate_backend({name})`"),
            ),
            "standby" => (
                format!("a query on the standby behind pid {name} ({who}) stands{behind}"),
                "end that query there, or set hot_standby_feedback to off there".to_owned(),
            ),
            "prepared" => (
                format!("the prepared transaction `{name}` ({who}) stands{age}{behind}"),
                format!("commit or roll it back: `ROLLBACK PREPARED '{}'`", name.replace('\'', "''")),
            ),
            _ => (
                format!("the replication slot `{name}` ({who}, {state}) stands{behind}"),
                format!("let its consumer go on, or drop it: `SELECT pg_drop_replication_slot('{name}')`"),
            ),
        };
        Diagnosis::trouble("horizon", finding, remedy)
    }
}

#[cfg(test)]
mod tests;
