//! What `doctor` finds on a PostgreSQL server, and that it prints the remedy.

use gristmill_testserver::{PgBouncer, Postgres};
use serde_json::Value;

use crate::program::{Home, Ran};

/// The findings of a check.
fn found<'a>(findings: &'a [Value], check: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["check"] == check).collect()
}

fn is_fine(findings: &[Value], check: &str) -> bool {
    let found = found(findings, check);
    !found.is_empty() && found.iter().all(|finding| finding["ok"] == true)
}

/// The run tells this finding as trouble, with this remedy.
#[track_caller]
fn names(ran: &Ran, check: &str, finding: &str, remedy: &str) {
    let findings = ran.ndjson();
    let named = found(&findings, check).into_iter().any(|found| {
        let has = |member: &str, text: &str| found[member].as_str().is_some_and(|said| said.contains(text));
        found["ok"] == false && has("finding", finding) && has("remedy", remedy)
    });
    assert!(named && ran.code == 1, "{finding}: {}", ran.stdout);
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

/// A slot without a reader, a prepared transaction that holds back 100,000 others, an index that is gone and
/// one that was never completed, `fsync=off`, `autovacuum=off`.
#[test]
fn what_is_wrong_with_a_server_is_named_with_its_remedy() {
    let settings =
        Postgres::builder().setting("wal_level", "logical").setting("max_prepared_transactions", "5");
    let server = settings.setting("fsync", "off").setting("autovacuum", "off").start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    server.psql("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')");
    server.psql("BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'half ''done'");
    server.psql("DO $$ BEGIN FOR i IN 1..100001 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$");
    server.psql("DROP INDEX gristmill.ready_order");
    server
        .psql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'gristmill.waiting_due'::regclass");

    let ran = home.run(&["doctor", "--json"]);

    for (check, finding, remedy) in [
        ("horizon", "slot `forgotten`", "pg_drop_replication_slot('forgotten')"),
        ("horizon", "prepared transaction `half 'done`", "ROLLBACK PREPARED 'half ''done'"),
        ("indexes", "ready_order, waiting_due", "gristmill migrate sql"),
        ("durability", "fsync off", "set fsync"),
        ("vacuum", "autovacuum is off for `ready`", "turn it on, for the server and for the table"),
        ("vacuum", "autovacuum is off for `workers`", "turn it on, for the server and for the table"),
    ] {
        names(&ran, check, finding, remedy);
    }
    let people = home.run(&["doctor"]);
    assert!(people.stdout.contains("TROUBLE  horizon: "), "{}", people.stdout);
    assert!(people.stderr.contains(" findings need care"), "{}", people.stderr);

    server.psql("ROLLBACK PREPARED 'half ''done'; SELECT pg_drop_replication_slot('forgotten')");
    let after = home.run(&["doctor", "--json"]).ndjson();
    assert!(is_fine(&after, "horizon"), "{after:?}");
}

#[test]
fn requests_that_no_worker_applies_and_those_that_are_set_aside_are_named() {
    let server = Postgres::builder().durable().start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    let findings = sound(&home, &[]).ndjson();
    assert!(is_fine(&findings, "requests"), "{findings:?}");
    let job = home.enqueue(&["mail", "--delay", "1h"]);
    let requests = format!(
        "SELECT gristmill.outbox_request('{{\"protocol\":2,\"verb\":\"cancel\",\"ids\":[\"{job}\",\"{job}\"]}}');
         UPDATE gristmill.requests SET fault = 'it is odd' WHERE request = (SELECT min(request) FROM gristmill.requests)"
    );
    server.psql(&requests);

    let ran = home.run(&["doctor", "--json"]);

    let number = |of| server.psql(&format!("SELECT {of}(request) FROM gristmill.requests"));
    let waits = format!("1 waits, the oldest is request {}, and no worker is alive", number("max"));
    names(&ran, "requests", &waits, "start a worker");
    let fault =
        format!("1 could not be applied; request {}, a cancel of job {job}: it is odd", number("min"));
    names(&ran, "requests", &fault, "set `fault` of the row in the table `requests` to NULL");
    server.psql("UPDATE gristmill.requests SET fault = NULL");
    home.ok(&["work", "--exec", "mail=true", "--drain"]);
    assert_eq!(home.job(&job)["state"], "cancelled");
    let findings = sound(&home, &[]).ndjson();
    assert!(is_fine(&findings, "requests"), "{findings:?}");
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

/// The server asks its clock by a function of the schema, which is put ahead here.
#[test]
fn a_clock_that_is_off_a_table_without_vacuum_and_commits_that_do_not_wait_are_named() {
    let server = Postgres::builder().durable().start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    server.psql(
        "CREATE OR REPLACE FUNCTION gristmill.now_ms(given bigint) RETURNS bigint LANGUAGE sql VOLATILE AS \
            'SELECT coalesce(given, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + 90000)'",
    );
    server.psql("ALTER TABLE gristmill.claims SET (autovacuum_enabled = 0)");
    server.psql("ALTER ROLE gristmill SET synchronous_commit = off");
    let ran = home.run(&["doctor", "--json"]);
    names(&ran, "clock", " ms ahead of this machine's", "synchronise both clocks");
    names(&ran, "vacuum", "autovacuum is off for `claims`", "turn it on");
    names(&ran, "durability", "fsync on, synchronous_commit off", "set synchronous_commit to on");
    assert!(is_fine(&ran.ndjson(), "indexes") && !ran.stdout.contains("`ready`"), "{}", ran.stdout);
}

#[test]
fn a_standby_is_named() {
    let server = Postgres::start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    server.stop();
    std::fs::write(server.data_dir().join("standby.signal"), "").expect("the folder may be written");
    server.start_again();
    let ran = home.run(&["doctor", "--json"]);
    names(&ran, "role", "the server is a standby: it can only be read", "connect to the primary server");
    names(&ran, "notifications", "a notification did not come back", "workers poll");
    assert!(is_fine(&ran.ndjson(), "indexes"), "{}", ran.stdout);
}

/// A pooler that takes what was listened to from a session after each transaction.
#[test]
fn notifications_that_nobody_hears_are_named() {
    let server = Postgres::start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    let deaf = "ignore_startup_parameters = options\ndefault_pool_size = 1\n\
        server_reset_query = UNLISTEN *\nserver_reset_query_always = 1";
    let pooler = PgBouncer::with_settings(&server, deaf);
    let ran = home.run(&["doctor", "--json", "--db", pooler.url()]);
    names(&ran, "notifications", "a notification did not come back", "pooler=transaction");
    assert!(is_fine(&home.run(&["doctor", "--json"]).ndjson(), "notifications"));
}

#[test]
fn a_role_without_rights_is_told_what_it_cannot_see() {
    let server = Postgres::builder().durable().start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    server.psql(
        "CREATE ROLE worker LOGIN; GRANT USAGE ON SCHEMA gristmill TO worker;
         GRANT SELECT ON ALL TABLES IN SCHEMA gristmill TO worker;
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gristmill TO worker",
    );
    let url = server.url().replacen("gristmill@", "worker@", 1);
    let doctor = || home.run(&["doctor", "--json", "--db", &url]);
    let before = doctor().stdout;
    assert!(before.contains("the role worker cannot see"), "{before}");
    assert!(before.contains("GRANT pg_read_all_stats TO worker"), "{before}");
    server.psql("GRANT pg_read_all_stats TO worker");
    let after = doctor();
    assert!(after.code == 0 && after.stdout.contains("nothing holds it back"), "{}", after.stdout);
}

/// A run without a finding that needs care.
#[track_caller]
fn sound(home: &Home, more: &[&str]) -> Ran {
    let ran = home.run(&[&["doctor", "--json"], more].concat());
    assert!(ran.code == 0, "{}{}", ran.stdout, ran.stderr);
    ran
}

/// Rows and tables of the schema.
fn contents(server: &Postgres) -> String {
    server.psql(
        "SELECT (SELECT count(*) FROM gristmill.jobs), (SELECT count(*) FROM gristmill.queues),
            (SELECT count(*) FROM gristmill.workers), (SELECT count(*) FROM gristmill.attempts),
            (SELECT count(*) FROM gristmill.claims), (SELECT count(*) FROM gristmill.uniques),
            (SELECT count(*) FROM pg_class WHERE relnamespace = 'gristmill'::regnamespace)",
    )
}

#[test]
fn what_the_library_relies_on_is_tried_and_leaves_nothing() {
    let server = Postgres::builder().durable().start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    home.ok(&["enqueue", "mail", "--delay", "1h"]);
    server.psql("CREATE PUBLICATION everything FOR ALL TABLES");
    let before = contents(&server);

    let ran = sound(&home, &[]);

    assert!(is_fine(&ran.ndjson(), "trial"), "{}", ran.stdout);
    let tried = "tried and rolled back: enqueue by SQL, run a job, make a partition, fold numbers";
    assert!(ran.stdout.contains(tried), "{}", ran.stdout);
    assert_eq!(contents(&server), before);

    server.psql("ALTER TABLE gristmill.new_queues DISABLE TRIGGER name_queues");
    let ran = home.run(&["doctor", "--json"]);
    names(
        &ran,
        "functions",
        "the trigger `name_queues` of `new_queues` is disabled",
        "ENABLE TRIGGER name_queues",
    );
    names(&ran, "trial", "run a job: the trigger `name_queues` does not run", "enable it");
    server.psql("ALTER TABLE gristmill.new_queues ENABLE TRIGGER name_queues");

    server.psql(
        "CREATE FUNCTION public.drop_all() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER drop_all BEFORE INSERT ON gristmill.ready FOR EACH ROW EXECUTE FUNCTION public.drop_all()",
    );
    names(
        &home.run(&["doctor", "--json"]),
        "trial",
        "run a job: 2 jobs were stored and a fetch gives 0",
        "triggers",
    );
    server.psql("DROP FUNCTION public.drop_all CASCADE");

    server.psql("DROP FUNCTION gristmill.outbox_request, gristmill.make_partition, gristmill.now_ms");
    let ran = home.run(&["doctor", "--json"]);
    names(&ran, "functions", "missing: make_partition, now_ms, outbox_request", "gristmill migrate sql");
    names(&ran, "trial", "make a partition: `make_partition, drop_partition` fails: function", "migrate sql");
    names(&ran, "server", "not examined: function gristmill.now_ms(bigint) does not exist", "migrate sql");
}

#[test]
fn settings_that_keep_statements_from_their_end_are_named() {
    let server = Postgres::builder().durable().start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    // Sessions of this library set these by themselves.
    server.psql(
        "ALTER ROLE gristmill SET default_transaction_isolation = serializable;
         ALTER ROLE gristmill SET statement_timeout = '1ms'; ALTER ROLE gristmill SET lock_timeout = '1ms';
         ALTER ROLE gristmill SET idle_in_transaction_session_timeout = '1ms';
         ALTER ROLE gristmill SET standard_conforming_strings = off",
    );
    home.ok(&["enqueue", "mail", "--delay", "1h"]);
    let ran = sound(&home, &[]);
    assert!(is_fine(&ran.ndjson(), "settings") && is_fine(&ran.ndjson(), "trial"), "{}", ran.stdout);

    server.psql(
        "ALTER ROLE gristmill RESET ALL; ALTER ROLE gristmill SET idle_session_timeout = '2s';
         ALTER ROLE gristmill SET session_replication_role = replica",
    );
    let ran = home.run(&["doctor", "--json"]);
    names(&ran, "settings", "idle_session_timeout is `2s`", "RESET idle_session_timeout");
    names(&ran, "settings", "session_replication_role is `replica`", "RESET session_replication_role");
    names(&ran, "trial", "run a job: the trigger `name_queues` does not run", "session_replication_role");

    server.psql("SET session_replication_role = origin; ALTER ROLE gristmill RESET ALL");
    server.psql("ALTER ROLE gristmill SET default_transaction_read_only = on");
    let ran = home.run(&["doctor", "--json"]);
    names(&ran, "settings", "default_transaction_read_only is `on`", "RESET default_transaction_read_only");
    names(&ran, "trial", "cannot execute", "mend what the error names");
}

#[test]
fn a_role_that_lacks_some_rights_is_told_which() {
    let server = Postgres::builder().durable().start();
    let home = Home::on(server.url());
    home.ok(&["migrate"]);
    server.psql(
        "CREATE ROLE worker LOGIN; GRANT USAGE ON SCHEMA gristmill TO worker; GRANT pg_read_all_stats TO worker;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gristmill TO worker;
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gristmill TO worker;
         CREATE ROLE producer LOGIN; GRANT USAGE ON SCHEMA gristmill TO producer;
         GRANT EXECUTE ON FUNCTION gristmill.enqueue, gristmill.outbox_enqueue, gristmill.outbox_request,
            gristmill.outbox_get, gristmill.outbox_list TO producer;
         GRANT pg_read_all_stats TO producer",
    );
    let at = |role: &str| server.url().replacen("gristmill@", &format!("{role}@"), 1);
    let ran = sound(&home, &["--db", &at("worker")]);
    assert!(
        ran.stdout.contains("enqueue by SQL, run a job, make a partition, fold numbers"),
        "{}",
        ran.stdout
    );

    let ran = sound(&home, &["--db", &at("producer")]);
    assert!(ran.stdout.contains("tried and rolled back: enqueue by SQL\""), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("run a job: not tried: the role producer may not: permission"),
        "{}",
        ran.stdout
    );

    server.psql("REVOKE DELETE ON gristmill.claims FROM worker; ALTER TABLE gristmill.ready ENABLE ROW LEVEL SECURITY");
    let ran = home.run(&["doctor", "--json", "--db", &at("worker")]);
    names(&ran, "rights", "may not read and change all rows of claims", "gristmill migrate sql");
    names(
        &ran,
        "functions",
        "row level security of `ready` holds for this role",
        "DISABLE ROW LEVEL SECURITY",
    );
    names(&ran, "trial", "run a job: ", "");
}

#[test]
fn a_database_that_cannot_store_every_text_is_refused() {
    let server = Postgres::start();
    server.psql("CREATE DATABASE narrow ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    let url = server.url().strip_suffix("/gristmill").expect("its database").to_owned() + "/narrow";
    let ran = Home::on(&url).run(&["migrate"]);
    assert!(ran.code != 0 && ran.stderr.contains("the encoding LATIN1"), "{}", ran.stderr);
    assert!(ran.stderr.contains("createdb --encoding=UTF8"), "{}", ran.stderr);
}
