//! The JSON shapes are promises: they are checked member by member, in their order.

use serde_json::{Value, json};

use crate::program::Home;

fn members(line: &str) -> Vec<String> {
    // serde_json sorts the members of a `Value`; the order that was printed is that of the text.
    let value: serde_json::Map<String, Value> = serde_json::from_str(line).expect("it is an object");
    let mut names: Vec<(usize, String)> = value
        .keys()
        .map(|name| (line.find(&format!("\"{name}\":")).expect("it is in the text"), name.clone()))
        .collect();
    names.sort();
    names.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn a_job_has_its_members_in_their_order() {
    let home = Home::new();
    let id = home.enqueue(&["k", "{}", "--max-attempts", "1"]);
    home.ok(&["work", "--exec", "k=sh -c 'echo oops >&2; exit 1'", "--drain"]);
    let shown = home.ok(&["jobs", "show", &id, "--json"]).stdout;
    let listed = home.ok(&["jobs", "list", "--json"]).stdout;
    assert_eq!(shown, listed);
    assert_eq!(
        members(shown.trim()),
        [
            "id",
            "kind",
            "queue",
            "state",
            "priority",
            "attempt",
            "max_attempts",
            "run_at",
            "created_at",
            "attempted_at",
            "finished_at",
            "worker",
            "tags",
            "metadata",
            "args",
            "output",
            "errors",
        ]
    );
    let job = home.job(&id);
    assert_eq!(job["output"], Value::Null);
    let error = &job["errors"][0];
    assert_eq!((&error["attempt"], &error["outcome"]), (&json!(1), &json!("failed")));
    assert_eq!(error["message"], "exit code 1: oops");
    for time in [&job["created_at"], &job["finished_at"], &error["at"]] {
        let time = time.as_str().expect("a time is a text");
        assert!(time.len() == 24 && time.ends_with('Z') && &time[19..20] == ".", "{time}");
    }
}

#[test]
fn stats_have_the_eight_states_of_every_queue() {
    let home = Home::new();
    home.enqueue(&["k", "--delay", "1h"]);
    let id = home.enqueue(&["k"]);
    home.ok(&["jobs", "cancel", &id]);
    let states = |scheduled: u64, cancelled: u64| {
        format!(
            "\"suspended\":0,\"scheduled\":{scheduled},\"available\":0,\"running\":0,\"retryable\":0,\"completed\":0,\
             \"cancelled\":{cancelled},\"discarded\":0"
        )
    };
    assert_eq!(
        home.ok(&["stats", "--json"]).stdout.trim(),
        format!(
            "{{\"queues\":[{{\"queue\":\"default\",\"paused\":false,{},\"oldest_available_ms\":null}}],\
             \"totals\":{{{}}},\"stale_finishes\":0,\"capped\":[]}}",
            states(1, 1),
            states(1, 1)
        )
    );
}

#[test]
fn queues_workers_and_findings_are_one_object_a_line() {
    let home = Home::new();
    home.enqueue(&["k"]);
    home.ok(&["queues", "pause", "default", "--reason", "the relay\u{1b}[31m is down"]);
    let queues = home.ok(&["queues", "list", "--json"]);
    assert_eq!(members(queues.stdout.trim()), ["queue", "paused", "paused_at", "pause_reason", "paused_by"]);
    assert!(!home.ok(&["queues", "list"]).stdout.contains('\u{1b}'), "job data steers no terminal");
    home.ok(&["queues", "resume", "default"]);
    assert_eq!(home.ok(&["queues", "list", "--json"]).json()["paused"], false);
    assert_eq!(home.ok(&["workers", "list", "--json"]).stdout, "");
    for finding in home.ok(&["doctor", "--json"]).stdout.lines() {
        assert_eq!(members(finding), ["check", "ok", "finding", "remedy"]);
    }
    assert_eq!(
        home.ok(&["migrate", "status", "--json"]).json(),
        json!({"current": 1, "latest": 1, "missing": []})
    );
}
