//! The benchmark accounts for every job in every mode.

use gristmill_testserver::Postgres;
use serde_json::Value;

use crate::program::Home;

fn bench(words: &[&str]) -> Value {
    let ran = Home::new().ok(&[&["bench", "--json"], words].concat());
    let line = ran.json();
    assert_eq!((&line["lost"], &line["duplicated"]), (&Value::from(0), &Value::from(0)), "{line}");
    line
}

#[test]
fn every_mode_prints_its_figure_and_loses_nothing() {
    // A used store is refused, so each run on the server has a database of its own.
    let databases: [fn() -> String; 3] = [
        || "memory:".to_owned(),
        || "sqlite:bench.db?synchronous=off".to_owned(),
        || Postgres::shared().fresh_database(),
    ];
    for database in databases {
        for (words, figure) in [
            (
                &["--jobs", "3000", "--history", "500", "--backlog", "700", "--unknown", "200"][..],
                "/drain_per_s",
            ),
            (&["--jobs", "2000", "--delete-on-finish", "--workers", "2"], "/drain_per_s"),
            (&["--jobs", "300", "--fail-rate", "20", "--run-ms", "1", "--slots", "50"], "/drain_per_s"),
            (&["--mode", "enqueue", "--jobs", "500", "--callers", "20"], "/bulk_enqueue_per_s"),
            (&["--mode", "latency", "--jobs", "20"], "/latency_ms/p99"),
            (&["--mode", "sustain", "--seconds", "1", "--rate", "500"], "/sustained_per_s"),
        ] {
            let db = database();
            let line = bench(&[&["--db", &db], words].concat());
            assert!(line.pointer(figure).is_some_and(Value::is_f64), "{db} {words:?}: {line}");
        }
    }
}

#[test]
fn killed_workers_lose_and_double_nothing() {
    let line = bench(&["--jobs", "1500", "--run-ms", "20", "--slots", "20", "--kill-workers", "200ms"]);
    assert!(line["kills"].as_u64().is_some_and(|kills| kills > 0), "{line}");
}

#[test]
fn a_server_tells_its_log_and_what_it_used_of_the_processor() {
    let db = Postgres::shared().fresh_database();
    let line = bench(&["--db", &db, "--jobs", "5000"]);
    for path in ["/wal_bytes_per_job/enqueue", "/wal_bytes_per_job/fetch_and_finish"] {
        let bytes = line.pointer(path).and_then(Value::as_f64).unwrap_or_default();
        assert!((50.0..5_000.0).contains(&bytes), "{path}: {line}");
    }
    assert!(
        line["settings"]["fsync"].is_string() && line["settings"]["synchronous_commit"].is_string(),
        "{line}"
    );
    let embedded = bench(&["--db", "memory:", "--jobs", "100"]);
    assert_eq!(
        (&embedded["wal_bytes_per_job"], &embedded["server_cpu_us_per_job"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn a_snapshot_is_held_on_a_server_and_refused_elsewhere() {
    let db = Postgres::shared().fresh_database();
    let line = bench(&["--db", &db, "--jobs", "2000", "--hold-snapshot"]);
    assert_eq!(line["hold_snapshot"], true, "{line}");
    for db in ["memory:", "sqlite:bench.db"] {
        let home = Home::new();
        let ran = home.run(&["bench", "--db", db, "--hold-snapshot"]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("--hold-snapshot needs a store on a server"), "{}", ran.stderr);
        assert!(!home.path("bench.db").exists(), "nothing is made");
    }
}

#[test]
fn killed_workers_lose_and_double_nothing_on_a_server() {
    let db = Postgres::shared().fresh_database();
    let words = ["--jobs", "1500", "--run-ms", "20", "--slots", "20", "--kill-workers", "200ms"];
    let line = bench(&[&["--db", &db], &words[..]].concat());
    assert!(line["kills"].as_u64().is_some_and(|kills| kills > 0), "{line}");
}

#[test]
fn a_producer_apart_is_another_process_to_the_worker() {
    let db = Postgres::shared().fresh_database();
    let line = bench(&["--db", &db, "--mode", "latency", "--apart", "--jobs", "50", "--rate", "50"]);
    assert_eq!((&line["apart"], &line["lost"]), (&Value::Bool(true), &0.into()), "{line}");
    let home = Home::new();
    for words in [["--db", "memory:", "--mode", "latency"], ["--db", "sqlite:bench.db", "--mode", "drain"]] {
        let ran = home.run(&[&["bench", "--apart"], &words[..]].concat());
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("--apart") && !home.path("bench.db").exists(), "{}", ran.stderr);
    }
}

/// A variable that stands in the environment for other commands once led the benchmark into the store of
/// every day.
#[test]
fn only_a_store_that_is_named_on_the_command_line_is_measured() {
    let home = Home::new();
    let mut command = home.command(&["bench", "--jobs", "100", "--json"]);
    let ran = command.env("GRISTMILL_DB", "sqlite:jobs.db").output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(!home.path("jobs.db").exists());
}

#[test]
fn a_store_with_jobs_of_another_run_is_refused() {
    let home = Home::new();
    home.enqueue(&["other", "--queue", "bench"]);
    let ran = home.run(&["bench", "--db", "sqlite:jobs.db", "--jobs", "10"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert_eq!(home.run(&["bench", "--db", "memory:", "--kill-workers"]).code, 2);
}
