//! One job, and streams of them.

use serde_json::json;

use crate::program::Home;

const MIXED: &str = "{\"kind\":\"a\",\"args\":{\"n\":1}}\n\nnot json\n{\"kind\":\"a\",\"priorty\":1}\n{\"args\":{}}\n\
                     {\"kind\":\"a\",\"delay\":\"1s\",\"run_at\":\"2026-11-22T10:00:00Z\"}\n{\"kind\":\"b\"}\n";

#[test]
fn flags_reach_the_job() {
    let home = Home::new();
    let id = home.enqueue(&[
        "k",
        "{\"b\": 1}",
        "--queue",
        "q",
        "--priority",
        "-5",
        "--delay",
        "1h",
        "--max-attempts",
        "3",
        "--timeout",
        "9s",
        "--unique-key",
        "u",
        "--tag",
        "t",
        "--meta",
        "n=1",
        "--meta",
        "s=text",
    ]);
    let job = home.job(&id);
    for (member, value) in [
        ("kind", json!("k")),
        ("queue", json!("q")),
        ("state", json!("scheduled")),
        ("priority", json!(-5)),
        ("max_attempts", json!(3)),
        ("tags", json!(["t"])),
        ("metadata", json!({"n": 1, "s": "text"})),
        ("args", json!({"b": 1})),
    ] {
        assert_eq!(job[member], value, "{member}");
    }
    let again = home.ok(&["enqueue", "k", "--queue", "q", "--unique-key", "u", "--json"]);
    assert_eq!(again.json(), json!({"line": 1, "result": "existing", "id": id}));
}

#[test]
fn nothing_of_a_stream_with_a_bad_line_is_enqueued() {
    let home = Home::new();
    home.ok(&["migrate"]);
    let file = home.write("mixed.ndjson", MIXED);
    for (name, input) in [("-", MIXED), (file.as_str(), "")] {
        let ran = home.run_with(&["enqueue", "--file", name], input.as_bytes());
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        for said in [
            "line 3: not valid JSON",
            "line 4: unknown member `priorty`; did you mean `priority`?",
            "line 5: `kind` is missing",
            "line 6: `delay` and `run_at` exclude each other",
            "4 of 6 lines are invalid; nothing was enqueued",
            "--skip-invalid",
        ] {
            assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        }
        assert_eq!((ran.stdout.as_str(), home.count("available")), ("", 0));
    }
}

#[test]
fn skip_invalid_enqueues_the_rest_and_answers_in_order() {
    let home = Home::new();
    let ran = home.run_with(&["enqueue", "--file", "-", "--skip-invalid", "--json"], MIXED.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines = ran.ndjson();
    let told: Vec<_> = lines.iter().map(|line| (line["line"].as_u64(), line["result"].as_str())).collect();
    let expected =
        [(1, "created"), (3, "invalid"), (4, "invalid"), (5, "invalid"), (6, "invalid"), (7, "created")];
    assert_eq!(told, expected.map(|(line, result)| (Some(line), Some(result))));
    assert!(lines[0]["id"].is_string() && lines[0].get("error").is_none());
    assert!(lines[1]["error"].is_string() && lines[1].get("id").is_none());
    assert_eq!(home.count("available"), 2);
}

#[test]
fn a_kind_on_the_command_line_and_flags_are_the_defaults_of_the_lines() {
    let home = Home::new();
    let lines = "{\"args\":[1]}\n{\"kind\":\"other\",\"queue\":\"mine\"}\n";
    let ran = home.run_with(&["enqueue", "k", "--file", "-", "--queue", "theirs"], lines.as_bytes());
    let ids: Vec<&str> = ran.stdout.lines().collect();
    let [first, second] = [home.job(ids[0]), home.job(ids[1])];
    assert_eq!((&first["kind"], &first["queue"]), (&json!("k"), &json!("theirs")));
    assert_eq!((&second["kind"], &second["queue"]), (&json!("other"), &json!("mine")));
}

#[test]
fn a_stream_of_many_batches_is_stored_in_its_order() {
    let home = Home::new();
    let lines: Vec<String> = (0..3_500).map(|n| format!("{{\"args\":{n}}}")).collect();
    let lines = lines.join("\n");
    let ran = home.run_with(&["enqueue", "k", "--file", "-", "--json"], lines.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let numbers: Vec<_> = ran.ndjson().iter().map(|line| line["line"].as_u64()).collect();
    assert_eq!(numbers, (1..=3_500).map(Some).collect::<Vec<_>>());
    let listed = home.ok(&["jobs", "list", "--oldest-first", "--limit", "5000", "--json"]).ndjson();
    let args: Vec<_> = listed.iter().map(|job| job["args"].as_u64()).collect();
    assert_eq!(args, (0..3_500).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_line_longer_than_any_job_is_refused_and_the_next_one_read() {
    let home = Home::new();
    let lines = format!("{{\"args\":\"{}\"}}\n{{}}\n", "x".repeat(3_000_000));
    let ran = home.run_with(&["enqueue", "k", "--file", "-", "--skip-invalid", "--json"], lines.as_bytes());
    let results: Vec<_> = ran.ndjson().iter().map(|line| line["result"].clone()).collect();
    assert_eq!(results, [json!("invalid"), json!("created")], "{}", ran.stderr);
    assert!(ran.stderr.contains("line 1: longer than"), "{}", ran.stderr);
}

#[test]
fn a_dry_run_stores_nothing() {
    let home = Home::new();
    home.ok(&["migrate"]);
    let ran = home.run_with(&["enqueue", "k", "--file", "-", "--dry-run"], b"{}\n{}\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 jobs are valid"), "{}", ran.stderr);
    assert_eq!(home.count("available"), 0);
}

#[test]
fn a_dry_run_makes_and_opens_no_store() {
    let home = Home::new();
    home.ok(&["enqueue", "k", "--dry-run"]);
    let stream = home.run_with(&["enqueue", "--file", "-", "--dry-run"], b"{\"kind\":\"k\"}\n");
    assert_eq!(stream.code, 0, "{}", stream.stderr);
    assert!(!home.path("jobs.db").exists());
    home.ok(&["enqueue", "k", "--dry-run", "--db", "postgres://127.0.0.1:1/x"]);
}
