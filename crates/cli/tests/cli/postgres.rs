//! The program on a PostgreSQL server.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use gristmill_testserver::Postgres;
use serde_json::json;

use crate::program::Home;

#[test]
fn a_job_goes_its_way_on_a_server() {
    let home = Home::on_server();
    let before = home.ok(&["migrate", "status", "--json"]).json();
    assert_eq!(
        before,
        json!({
            "current": 0, "latest": 5,
            "missing": ["0001_initial", "0002_outbox", "0003_versions", "0004_requests", "0005_registers"],
        })
    );
    let unmade = home.run(&["stats"]);
    assert_eq!(unmade.code, 1, "{}", unmade.stderr);
    assert!(unmade.stderr.contains("hint: run `gristmill migrate`"), "{}", unmade.stderr);
    assert!(home.ok(&["migrate"]).stderr.contains("applied 0005_registers"));
    assert!(!home.ok(&["migrate"]).stderr.contains("applied"), "a second time there is nothing to do");

    let lines = "{\"args\":{\"n\":1},\"unique_key\":\"u\"}\n{\"args\":{\"n\":2}}\n";
    let ran = home.run_with(&["enqueue", "k", "--file", "-"], lines.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ids: Vec<String> = ran.stdout.lines().map(str::to_owned).collect();
    home.enqueue(&["k", "--queue", "later", "--delay", "1h"]);
    assert_eq!((home.count("available"), home.count("scheduled")), (2, 1));

    let program = "k=sh -c 'cat; echo'";
    let worked = home.ok(&["work", "--exec", program, "--drain", "--queue", "default=2"]);
    assert!(worked.stderr.contains("ended: 2 completed"), "{}", worked.stderr);
    let job = home.job(&ids[0]);
    assert_eq!((&job["state"], &job["output"]), (&json!("completed"), &json!({"n": 1})));
    let listed = home.ok(&["jobs", "list", "--state", "completed", "--oldest-first", "--json"]).ndjson();
    assert_eq!(
        listed.iter().map(|job| job["id"].as_str()).collect::<Vec<_>>(),
        [Some(ids[0].as_str()), Some(ids[1].as_str())]
    );
    assert_eq!((home.count("completed"), home.count("scheduled")), (2, 1));
    home.ok(&["queues", "pause", "default", "--reason", "a quote ' and ;--"]);
    let queues = home.ok(&["queues", "list", "--json"]).ndjson();
    let queue = queues.iter().find(|queue| queue["queue"] == "default").expect("it is listed");
    assert_eq!((&queue["paused"], &queue["pause_reason"]), (&json!(true), &json!("a quote ' and ;--")));
    assert_eq!(home.ok(&["workers", "list", "--json"]).stdout, "", "a worker that ended is not listed");
    let retried = home.ok(&["jobs", "retry", &ids[1], "--json"]).json();
    assert_eq!(retried["result"], "done");
    assert_eq!(home.job(&ids[1])["state"], "available");
}

#[test]
fn the_printed_schema_makes_a_store_in_an_empty_database() {
    let server = Postgres::shared();
    for schema in ["gristmill", "Another \"one\""] {
        let url = server.fresh_database();
        let option = schema.replace(' ', "%20").replace('"', "%22");
        let home = Home::on(format!("{url}?schema={option}"));
        let sql = home.ok(&["migrate", "sql"]).stdout;
        server.psql_at(&url, &sql);
        let status = home.ok(&["migrate", "status", "--json"]).json();
        let latest = &status["latest"];
        assert_eq!(status, json!({"current": latest, "latest": latest, "missing": []}), "{schema}");
        home.enqueue(&["k"]);
        assert_eq!(home.count("available"), 1);
    }
}

#[test]
fn a_url_that_cannot_be_is_wrong_usage_with_a_remedy() {
    let home = Home::new();
    for (url, said) in [
        ("postgres://me:hunter2@host:port/db", "write `postgres://user:password@host:5432/database`"),
        ("postgres://me:hunter2@host/db?shema=x", "did you mean the option `schema`?"),
        ("postgres://me:hunter2@host/db?schema=", "the option `schema` of the URL has no value"),
        ("postgres://me:hunter2@host/db?connections=many", "`connections` is a whole number"),
        ("postgres://me:hunter2@host/db?connections=0", "`connections` is at least 3"),
        ("postgres://me:hunter2@host/db?pooler=session", "`pooler` is `transaction` or `none`"),
        ("postgres://me:hunter2@host/db?sslmode=maybe", "prefer, require, verify-ca or verify-full"),
        ("postgres:hunter2", "does not begin with `postgres://`"),
    ] {
        let ran = home.run(&["stats", "--db", url]);
        assert_eq!(ran.code, 2, "{url}: {}", ran.stderr);
        assert!(ran.stderr.contains(said) && ran.stderr.contains("hint: "), "{url}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn a_server_that_refuses_or_is_away_is_told_without_the_password() {
    let home = Home::on_server();
    let url = home.url().expect("it is on a server").to_owned();
    let place = url.split_once('@').expect("a URL with a user").1.to_owned();
    let (address, _) = place.split_once('/').expect("a URL with a database");
    home.ok(&["migrate"]);
    for (url, said) in [
        (format!("postgres://nobody:hunter2@{place}"), "the server refused the role or its password"),
        (format!("postgres://gristmill:hunter2@{address}/nowhere"), "the server has no such database"),
        (format!("postgres://gristmill:hunter2@{place}?sslmode=require"), "does not support TLS"),
        ("postgres://gristmill:hunter2@127.0.0.1:1/x".to_owned(), "the server cannot be reached"),
        ("postgres://gristmill:hunter2@nowhere.invalid/x".to_owned(), "the server cannot be reached"),
    ] {
        for words in [&["stats"][..], &["doctor"], &["enqueue", "k"], &["migrate"], &["bench"]] {
            if words == ["bench"] && !cfg!(feature = "bench") {
                continue;
            }
            // The log of everything, too.
            let ran = home.run(&[words, &["--db", &url, "--log", "trace"]].concat());
            assert_eq!(ran.code, 5, "{url} {words:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(said) && ran.stderr.contains("\nhint: "), "{url}: {}", ran.stderr);
            assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hunter2"), "{}", ran.stderr);
        }
    }
    let with_password = url.replacen('@', ":hunter2@", 1);
    for words in [&["migrate"][..], &["enqueue", "k"], &["work", "--exec", "k=true", "--drain"], &["stats"]] {
        let ran = home.ok(&[words, &["--db", &with_password, "--log", "trace"]].concat());
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hunter2"), "{words:?}: {}", ran.stderr);
    }
}

#[test]
fn a_schema_of_another_program_or_version_is_refused() {
    let server = Postgres::shared();
    let home = Home::on_server();
    let url = home.url().expect("it is on a server").to_owned();
    home.ok(&["migrate"]);
    let mine = home.ok(&["migrate", "status", "--json"]).json()["latest"].clone();
    server.psql_at(&url, "INSERT INTO gristmill.migrations VALUES (99, 'of later', 0)");
    let status = home.ok(&["migrate", "status"]).stdout;
    assert_eq!(status, format!("version 99, which serves this program of version {mine}, too\n"));
    assert!(home.ok(&["migrate"]).stderr.contains("is at version 99"));
    server.psql_at(&url, "UPDATE gristmill.versions SET compatible_from = 98");
    server.psql_at(&url, "CREATE SCHEMA foreigner; CREATE TABLE foreigner.letters (text text)");
    let foreign = format!("{url}?schema=foreigner");
    for (url, error, hint) in [
        (url.as_str(), "has version 99", "upgrade this program"),
        (foreign.as_str(), "holds tables of another program", "choose another name for the schema"),
    ] {
        for words in [&["stats"][..], &["migrate"], &["enqueue", "k"]] {
            let ran = home.run(&[words, &["--db", url]].concat());
            assert_eq!(ran.code, 1, "{words:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(error) && ran.stderr.contains(hint), "{words:?}: {}", ran.stderr);
        }
    }
}

/// Nothing but its notification can start a job within a minute here. Each `enqueue` is a process that ends
/// at once.
#[test]
fn a_job_of_a_program_that_ends_at_once_is_started_at_once() {
    let home = Home::on_server();
    home.ok(&["migrate"]);
    let words = ["work", "--exec", "k=true", "--poll-interval", "1m"];
    let mut worker = home.command(&words).stderr(Stdio::null()).spawn().expect("a worker");
    let began = Instant::now();
    let completes = |id: &str| {
        while home.job(id)["state"] != "completed" {
            if began.elapsed() > Duration::from_secs(50) {
                return false;
            }
            // A moment between two looks; a channel that stays empty is the wait.
            let (_sender, nothing) = std::sync::mpsc::channel::<()>();
            let _ = nothing.recv_timeout(Duration::from_millis(20));
        }
        true
    };
    // The first may come before the worker listens; then it starts with the worker.
    let are_completed = (0..4).all(|_| completes(&home.enqueue(&["k"])));
    worker.kill().and_then(|()| worker.wait()).expect("it is ours");
    assert!(are_completed, "a job waited for the next poll");
}

#[test]
fn a_worker_that_the_schema_excludes_takes_no_more_jobs_and_says_why() {
    let (server, home) = (Postgres::shared(), Home::on_server());
    let url = home.url().expect("it is on a server").to_owned();
    home.ok(&["migrate"]);
    let words = ["work", "--exec", "k=true", "--lease", "1s", "--poll-interval", "100ms"];
    let mut worker = home.command(&words).stderr(Stdio::piped()).spawn().expect("a worker");
    let stderr = worker.stderr.take().expect("a pipe");
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let says = |text: &str| {
        let until = Instant::now() + Duration::from_secs(50);
        let line = || lines.recv_timeout(until.saturating_duration_since(Instant::now()));
        std::iter::from_fn(|| line().ok()).find(|line| line.contains(text))
    };
    let available = || server.psql_at(&url, "SELECT count(*) FROM gristmill.ready");
    server.psql_at(&url, "SELECT gristmill.enqueue('k')");
    while available() != "0" {
        let _ = lines.recv_timeout(Duration::from_millis(20));
    }

    let mine = home.ok(&["migrate", "status", "--json"]).json()["latest"].clone();
    let exclude = "INSERT INTO gristmill.migrations VALUES (99, 'of later', 0); \
        UPDATE gristmill.versions SET compatible_from = 98";
    server.psql_at(&url, exclude);

    let why = says("version 98");
    server.psql_at(&url, "SELECT gristmill.enqueue('k')");
    // Ten looks for jobs; what it logs meanwhile is passed over.
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        let _ = lines.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
    let left = available();
    worker.kill().and_then(|()| worker.wait()).expect("it is ours");
    let why = why.expect("it says why");
    assert!(why.contains("version 99") && why.contains(&format!("version {mine}")), "{why}");
    assert_eq!(left, "1", "it takes no more jobs");
}
