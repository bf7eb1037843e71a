//! What pins the horizon: as long as it stands, no dead row younger than it can be removed, and queues grow slow.

use gristmill_core::Diagnosis;

use crate::error::Answer;
use crate::session::Session;
use crate::statement::sql;

/// A transaction that is open for longer is told as trouble.
const LONG_SECONDS: i64 = 60;
/// So are slots and prepared transactions that hold back more transactions than this.
const MANY_TRANSACTIONS: i64 = 100_000;

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

pub(super) async fn findings(session: &mut Session) -> Answer<Vec<Diagnosis>> {
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
    let pins: Vec<Diagnosis> =
        holders.iter().filter(|holder| holder.is_trouble()).map(Holder::told).collect();
    Ok(if pins.is_empty() { vec![Diagnosis::fine("horizon", "nothing holds it back")] } else { pins })
}

impl Holder {
    fn is_trouble(&self) -> bool {
        let is_long = self.seconds.is_some_and(|seconds| seconds >= LONG_SECONDS);
        let holds_many = self.transactions.is_some_and(|count| count >= MANY_TRANSACTIONS);
        match self.what.as_str() {
            "session" => is_long,
            "prepared" => is_long || holds_many,
            _ => holds_many || self.state == "inactive",
        }
    }

    fn told(&self) -> Diagnosis {
        let Self { what, name, who, state, .. } = self;
        let age = self.seconds.map_or_else(String::new, |seconds| format!(", for {seconds} s"));
        let behind =
            self.transactions.map_or_else(String::new, |count| format!(", {count} transactions back"));
        let (finding, remedy) = match what.as_str() {
            "session" => (
                format!("pid {name} ({who}) holds a transaction open{age}, {state}{behind}"),
                format!("end it, or its session: `SELECT pg_terminate_backend({name})`"),
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
mod tests {
    use super::*;

    fn holder(what: &str, state: &str, seconds: Option<i64>, transactions: Option<i64>) -> Holder {
        let text = str::to_owned;
        Holder {
            what: text(what),
            name: text("7"),
            who: text("psql as me"),
            state: text(state),
            seconds,
            transactions,
        }
    }

    #[test]
    fn a_long_transaction_is_named_with_pid_application_and_age() {
        let idle = holder("session", "idle in transaction", Some(61), Some(5));
        assert!(idle.is_trouble());
        let told = idle.told();
        assert!(told.finding.contains("pid 7 (psql as me)") && told.finding.contains("61 s"), "{told:?}");
        assert!(!holder("session", "active", Some(2), Some(5)).is_trouble());
    }

    #[test]
    fn a_slot_that_nobody_reads_is_trouble() {
        assert!(holder("slot", "inactive", None, Some(1)).is_trouble());
        assert!(!holder("slot", "active", None, Some(1)).is_trouble());
        assert!(holder("slot", "active", None, Some(1_000_000)).is_trouble());
    }
}
