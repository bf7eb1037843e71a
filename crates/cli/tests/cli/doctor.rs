//! What `doctor` finds on a PostgreSQL server, and that it says the remedy.

use gristmill_testserver::Postgres;
use serde_json::Value;

use crate::program::Home;

/// The findings of a check.
fn found<'a>(findings: &'a [Value], check: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["check"] == check).collect()
}

fn is_fine(findings: &[Value], check: &str) -> bool {
    let found = found(findings, check);
    !found.is_empty() && found.iter().all(|finding| finding["ok"] == true)
}

#[test]
fn a_server_in_order_has_no_finding_that_needs_care() {
    let server = Postgres::builder().durable().start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    let ran = home.ok(&["doctor", "--json"]);
    let findings = ran.ndjson();
    for check in [
        "store",
        "schema",
        "server",
        "clock",
        "role",
        "durability",
        "pooler",
        "notifications",
        "horizon",
        "indexes",
        "vacuum",
    ] {
        assert!(is_fine(&findings, check), "{check}: {}", ran.stdout);
    }
    let people = home.ok(&["doctor"]).stdout;
    assert!(people.contains("ok       horizon: nothing holds it back"), "{people}");
}

/// A slot nobody reads, a prepared transaction that holds back 100,000 others, an index that is gone, `fsync=off`.
#[test]
fn what_is_wrong_with_a_server_is_named_with_its_remedy() {
    let settings =
        Postgres::builder().setting("wal_level", "logical").setting("max_prepared_transactions", "5");
    let server = settings.setting("fsync", "off").setting("synchronous_commit", "off").start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    server.psql("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')");
    server.psql("BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'half ''done'");
    server.psql("DO $$ BEGIN FOR i IN 1..100001 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$");
    server.psql("DROP INDEX gristmill.ready_order");

    let ran = home.run(&["doctor", "--json"]);

    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let findings = ran.ndjson();
    for (check, finding, remedy) in [
        ("horizon", "slot `forgotten`", "pg_drop_replication_slot('forgotten')"),
        ("horizon", "prepared transaction `half 'done`", "ROLLBACK PREPARED 'half ''done'"),
        ("indexes", "ready_order", "gristmill migrate sql"),
        ("durability", "fsync off", "set fsync"),
    ] {
        let named = found(&findings, check).into_iter().any(|found| {
            let text = |member: &str| found[member].as_str().unwrap_or_default().to_owned();
            found["ok"] == false && text("finding").contains(finding) && text("remedy").contains(remedy)
        });
        assert!(named, "{finding}: {}", ran.stdout);
    }
    let people = home.run(&["doctor"]);
    assert!(people.stdout.contains("TROUBLE  horizon: "), "{}", people.stdout);
    assert!(people.stderr.contains(" findings need care"), "{}", people.stderr);

    server.psql("ROLLBACK PREPARED 'half ''done'; SELECT pg_drop_replication_slot('forgotten')");
    let after = home.run(&["doctor", "--json"]).ndjson();
    assert!(is_fine(&after, "horizon"), "{after:?}");
}

#[test]
fn a_server_without_a_schema_is_examined_all_the_same() {
    let home = Home::on_server();
    let ran = home.run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let findings = ran.ndjson();
    assert_eq!(found(&findings, "schema")[0]["ok"], false, "{}", ran.stdout);
    assert!(ran.stdout.contains("run `gristmill migrate`"), "{}", ran.stdout);
}
