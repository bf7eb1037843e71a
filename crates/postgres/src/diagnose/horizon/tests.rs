use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use gristmill_core::{Backend as _, Call, MigrateMode};
use gristmill_testserver::Postgres as Server;
use tokio_postgres::{Client, NoTls};

use super::*;
use crate::handle::Postgres;

/// Nothing is old enough.
const NEVER: Bounds = Bounds { seconds: i64::MAX, transactions: i64::MAX };

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
    assert!(idle.is_trouble(BOUNDS));
    let hints = idle.hints();
    assert!(hints.finding.contains("pid 7 (psql as me)") && hints.finding.contains("61 s"), "{hints:?}");
    assert!(!holder("session", "active", Some(2), Some(5)).is_trouble(BOUNDS));
}

#[test]
fn a_slot_that_nobody_reads_is_trouble() {
    assert!(holder("slot", "inactive", None, Some(1)).is_trouble(BOUNDS));
    assert!(!holder("slot", "active", None, Some(1)).is_trouble(BOUNDS));
    assert!(holder("slot", "active", None, Some(1_000_000)).is_trouble(BOUNDS));
}

/// A server with an empty store, and a backend on it.
async fn store() -> (Server, Postgres) {
    let server = Server::start();
    let store = open(server.url());
    store.migrate(Call::new(), MigrateMode::Up).await.expect("the schema is made");
    (server, store)
}

fn open(url: &str) -> Postgres {
    Postgres::builder(url).expect("the URL parses").open().expect("the settings hold")
}

async fn hints(store: &Postgres, bounds: Bounds) -> Vec<Diagnosis> {
    let mut session = store.inner.unchecked().await.expect("it connects");
    findings(&mut session, bounds).await.expect("it is examined")
}

/// Waits for the first trouble and returns it.
async fn trouble(store: &Postgres, bounds: Bounds) -> Diagnosis {
    let begun = Instant::now();
    loop {
        if let Some(found) = hints(store, bounds).await.into_iter().find(|found| !found.ok) {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is hints");
    }
}

/// Another program's session with an old snapshot, and its pid.
async fn old_snapshot(server: &Server) -> (Client, String) {
    let url = format!("{}?application_name=the%20culprit", server.url());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("it connects");
    tokio::spawn(connection);
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.expect("it begins");
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.expect("it is answered").get(0);
    (client, pid.to_string())
}

#[tokio::test]
async fn a_session_that_holds_an_old_snapshot_is_named_until_it_ends() {
    let (server, store) = store().await;
    let (client, pid) = old_snapshot(&server).await;
    assert!(hints(&store, NEVER).await.iter().all(|found| found.ok));
    let found = trouble(&store, Bounds { seconds: 1, ..NEVER }).await;
    let named = format!("pid {pid} (the culprit as gristmill) holds a transaction open, for ");
    assert!(found.finding.starts_with(&named), "{found:?}");
    assert!(found.finding.contains(" s, idle in transaction, "), "{found:?}");
    assert!(found.remedy.is_some_and(|remedy| remedy.contains(&format!("pg_terminate_backend({pid})"))));
    client.batch_execute("ROLLBACK").await.expect("it ends");
    let after = hints(&store, Bounds { seconds: 0, ..NEVER }).await;
    assert_eq!(after, [Diagnosis::fine("horizon", "nothing holds it back")]);
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_it_cannot_see_and_the_remedy() {
    let (server, _owner) = store().await;
    server.psql("CREATE ROLE \"a worker\" LOGIN");
    let store = open(&server.url().replacen("gristmill@", "a%20worker@", 1));
    let remedy = "GRANT pg_read_all_stats TO \"a worker\"";
    let has_remedy = |found: &Diagnosis| found.remedy.as_ref().is_some_and(|text| text.contains(remedy));

    let before = hints(&store, NEVER).await;
    assert_eq!(before.len(), 1, "{before:?}");
    assert!(
        before[0].ok && before[0].finding.contains("\"a worker\" cannot see") && has_remedy(&before[0]),
        "{before:?}"
    );

    let (_client, pid) = old_snapshot(&server).await;
    let blind = trouble(&store, NEVER).await;
    assert!(blind.finding.contains("cannot see") && has_remedy(&blind), "{blind:?}");
    assert!(blind.finding.contains(&format!("pid {pid} (the culprit as gristmill)")), "{blind:?}");

    server.psql(remedy);
    assert_eq!(hints(&store, NEVER).await, [Diagnosis::fine("horizon", "nothing holds it back")]);
    let named = trouble(&store, Bounds { seconds: 1, ..NEVER }).await;
    assert!(named.finding.contains(&format!("pid {pid} ")) && named.finding.contains(", for "), "{named:?}");
}

#[tokio::test]
async fn a_standby_whose_queries_hold_the_horizon_back_is_named() {
    let (server, store) = store().await;
    let standby = Standby::connect(&server);
    server.psql("SELECT txid_current(); SELECT txid_current()");
    let found = trouble(&store, Bounds { transactions: 2, ..NEVER }).await;
    assert!(found.finding.starts_with("a query on the standby behind pid "), "{found:?}");
    assert!(found.finding.contains("(the standby as gristmill)"), "{found:?}");
    assert!(found.finding.contains(" transactions back"), "{found:?}");
    assert!(found.remedy.is_some_and(|remedy| remedy.contains("hot_standby_feedback")));
    drop(standby);
}

/// A standby as the server knows it: what it asks for, and the oldest transaction its queries see;
/// protocol-replication.
struct Standby(TcpStream);

impl Standby {
    fn connect(server: &Server) -> Self {
        let mut standby = Self(TcpStream::connect(server.address()).expect("it connects"));
        let startup = b"\0\x03\0\0user\0gristmill\0replication\0true\0application_name\0the standby\0\0";
        standby.send(&[], startup);
        standby.read_to(b'Z');
        let at = server.psql("SELECT pg_current_wal_lsn()");
        standby.send(b"Q", format!("START_REPLICATION {at}\0").as_bytes());
        standby.read_to(b'W');
        let oldest: u32 =
            server.psql("SELECT pg_snapshot_xmin(pg_current_snapshot())").parse().expect("a number");
        // Feedback: no time, the oldest transaction and its epoch, none of a catalog.
        let feedback = [&b"h\0\0\0\0\0\0\0\0"[..], &oldest.to_be_bytes(), &[0; 12]].concat();
        standby.send(b"d", &feedback);
        standby
    }

    fn send(&mut self, kind: &[u8], body: &[u8]) {
        let length = u32::try_from(body.len() + 4).expect("it is short").to_be_bytes();
        self.0.write_all(&[kind, &length, body].concat()).expect("it is sent");
    }

    /// Reads messages until one of a kind.
    fn read_to(&mut self, kind: u8) {
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).expect("the server answers");
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; usize::try_from(length).expect("it is small") - 4];
            self.0.read_exact(&mut body).expect("the server answers");
            assert_ne!(head[0], b'E', "{}", String::from_utf8_lossy(&body));
            if head[0] == kind {
                return;
            }
        }
    }
}
