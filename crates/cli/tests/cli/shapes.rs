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
    // What a text shows, the JSON has, too.
    let (whole, job): (Value, Value) = (home.job(&id), serde_json::from_str(&listed).expect("it is JSON"));
    assert!(job.as_object().expect("it is an object").iter().all(|(name, value)| whole[name] == *value));
    let run = &whole["runs"][0];
    assert_eq!(
        (&run["run"], &run["ending"], &run["error"]),
        (&json!(1), &json!("failed"), &json!("exit code 1: oops"))
    );
    home.ok(&["jobs", "retry", &id]);
    home.ok(&["jobs", "cancel", &id]);
    let text = home.ok(&["jobs", "show", &id]).stdout;
    let whole = home.job(&id);
    let events = whole["events"].as_array().expect("it is a list");
    assert_eq!(
        events.iter().map(|event| event["what"].as_str()).collect::<Vec<_>>(),
        [Some("retry"), Some("cancel")]
    );
    assert!(events.iter().all(|event| text.contains(event["at"].as_str().expect("it is a time"))), "{text}");
    assert!(shown.contains("\"runs\":[{") && shown.contains("\"events\":[]"), "{shown}");
    assert_eq!(
        members(listed.trim()),
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
            "reason",
        ]
    );
    assert_eq!(job["output"], Value::Null);
    let error = &job["errors"][0];
    assert_eq!((&error["attempt"], &error["outcome"]), (&json!(1), &json!("failed")));
    assert_eq!(error["message"], "exit code 1: oops");
    for time in [&job["created_at"], &job["finished_at"], &error["at"]] {
        let time = time.as_str().expect("a time is a text");
        assert!(time.len() == 24 && time.ends_with('Z') && &time[19..20] == ".", "{time}");
    }
}

/// The line with every text that differs from run to run written as `…`.
fn blurred(line: &str) -> String {
    let job: Value = serde_json::from_str(line).expect("it is JSON");
    let mut text = line.trim().to_owned();
    let varying =
        ["/id", "/run_at", "/created_at", "/attempted_at", "/finished_at", "/worker", "/errors/0/at"];
    for value in varying.iter().filter_map(|path| job.pointer(path)?.as_str()) {
        text = text.replace(&format!("\"{value}\""), "\"…\"");
    }
    text
}

#[test]
fn a_job_is_printed_as_the_documentation_tells() {
    let home = Home::new();
    home.enqueue(&["k", "{\"n\":1}", "--max-attempts", "1", "--tag", "nightly", "--meta", "tenant=acme"]);
    assert_eq!(
        blurred(&home.ok(&["jobs", "list", "--json"]).stdout),
        "{\"id\":\"…\",\"kind\":\"k\",\"queue\":\"default\",\"state\":\"available\",\"priority\":0,\"attempt\":0,\
         \"max_attempts\":1,\"run_at\":\"…\",\"created_at\":\"…\",\"attempted_at\":null,\"finished_at\":null,\
         \"worker\":null,\"tags\":[\"nightly\"],\"metadata\":{\"tenant\":\"acme\"},\"args\":{\"n\":1},\"output\":null,\
         \"errors\":[]}"
    );
    home.ok(&["work", "--exec", "k=sh -c 'echo oops >&2; exit 1'", "--drain"]);
    assert_eq!(
        blurred(&home.ok(&["jobs", "list", "--json"]).stdout),
        "{\"id\":\"…\",\"kind\":\"k\",\"queue\":\"default\",\"state\":\"discarded\",\"priority\":0,\"attempt\":1,\
         \"max_attempts\":1,\"run_at\":\"…\",\"created_at\":\"…\",\"attempted_at\":\"…\",\"finished_at\":\"…\",\
         \"worker\":\"…\",\"tags\":[\"nightly\"],\"metadata\":{\"tenant\":\"acme\"},\"args\":{\"n\":1},\"output\":null,\
         \"errors\":[{\"attempt\":1,\"at\":\"…\",\"outcome\":\"failed\",\"message\":\"exit code 1: oops\"}],\"reason\":\"exhausted\"}"
    );
}

#[test]
fn enqueue_answers_every_line_as_the_documentation_tells() {
    let home = Home::new();
    let lines = "{\"kind\":\"k\",\"unique_key\":\"u\"}\n{\"kind\":\"k\",\"unique_key\":\"u\"}\n{}\n";
    let ran = home.run_with(&["enqueue", "--file", "-", "--skip-invalid", "--json"], lines.as_bytes());
    let id = ran.ndjson()[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        ran.stdout,
        format!(
            "{{\"line\":1,\"result\":\"created\",\"id\":\"{id}\"}}\n{{\"line\":2,\"result\":\"existing\",\"id\":\"{id}\"}}\n\
             {{\"line\":3,\"result\":\"invalid\",\"error\":\"`kind` is missing\"}}\n"
        )
    );
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
    // The job has no worker, which is a finding.
    let doctor = home.run(&["doctor", "--json"]);
    assert_eq!(doctor.code, 1, "{}", doctor.stderr);
    for finding in doctor.stdout.lines() {
        assert_eq!(members(finding), ["check", "ok", "finding", "remedy"]);
    }
    let status = home.ok(&["migrate", "status", "--json"]).json();
    let latest = &status["latest"];
    assert_eq!(status, json!({"current": latest, "latest": latest, "missing": []}));
}
