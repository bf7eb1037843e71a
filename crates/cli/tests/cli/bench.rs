//! The benchmark accounts for every job in every mode.

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
    for db in ["memory:", "sqlite:bench.db?synchronous=off"] {
        for (words, figure) in [
            (&["--jobs", "3000", "--history", "500", "--backlog", "700"][..], "/drain_per_s"),
            (&["--jobs", "2000", "--delete-on-finish", "--workers", "2"], "/drain_per_s"),
            (&["--jobs", "300", "--fail-rate", "20", "--run-ms", "1", "--slots", "50"], "/drain_per_s"),
            (&["--mode", "enqueue", "--jobs", "500", "--callers", "20"], "/bulk_enqueue_per_s"),
            (&["--mode", "latency", "--jobs", "20"], "/latency_ms/p99"),
            (&["--mode", "sustain", "--seconds", "1", "--rate", "500"], "/sustained_per_s"),
        ] {
            let line = bench(&[&["--db", db], words].concat());
            assert!(line.pointer(figure).is_some_and(Value::is_f64), "{db} {words:?}: {line}");
        }
    }
}

#[test]
fn killed_workers_lose_and_double_nothing() {
    let line = bench(&["--jobs", "1500", "--run-ms", "20", "--slots", "20", "--kill-workers", "200ms"]);
    assert!(line["kills"].as_u64().is_some_and(|kills| kills > 0), "{line}");
}

/// A variable that stands in the environment for other commands once led the benchmark into the store of every day.
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
