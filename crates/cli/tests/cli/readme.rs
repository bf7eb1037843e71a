//! What the README shows on the command line is true, line by line.

use std::process::Command;

use crate::program::Home;

/// The lines of the README's tour, each as a shell gets it and with its comment.
fn tour() -> Vec<(String, String)> {
    let readme = include_str!("../../../../README.md");
    let tour = readme.split("## On the command line").nth(1).expect("there is a tour");
    let lines =
        tour.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it shows commands");
    let line = |line: &str| {
        let (command, comment) = line.split_once(" #").unwrap_or((line, ""));
        (command.trim().to_owned(), comment.trim().to_owned())
    };
    let is_there = |line: &&str| cfg!(feature = "bench") || !line.starts_with("gristmill bench");
    lines.lines().filter(is_there).map(line).collect()
}

#[test]
fn the_tour_of_the_readme_is_true() {
    let home = Home::new();
    home.write("jobs.ndjson", "{\"kind\":\"checksum\"}\n{\"kind\":\"checksum\",\"args\":{\"n\":2}}\n");
    let tour = tour();
    assert!(tour.len() >= 9, "{tour:?}");
    for (line, comment) in &tour {
        // What works for ever, or long, is cut short; nothing else is changed.
        let line = match line {
            line if line.starts_with("gristmill work ") => format!("{line} --drain"),
            line if line.starts_with("gristmill bench") => format!("{line} --jobs 500"),
            line => line.clone(),
        };
        let script = line.replacen("gristmill", env!("CARGO_BIN_EXE_gristmill"), 1);
        let mut shell = Command::new("sh");
        shell.args(["-ec", &script]).current_dir(home.path("")).env_remove("GRISTMILL_LOG");
        let ran = shell.env("GRISTMILL_DB", "sqlite:jobs.db").output().expect("a shell runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{line}: {said}");
        let verbs = comment.strip_prefix("also: ").unwrap_or_default();
        for verb in verbs.split(", ").filter(|verb| !verb.is_empty()) {
            let group = line.split_whitespace().nth(1).expect("a group of commands");
            home.ok(&[group, verb, "--help"]);
        }
    }
    assert_eq!(home.count("completed"), 3, "one job and two lines, all worked");
    assert_eq!(home.ok(&["queues", "list", "--json"]).json()["paused"], true);
}

#[test]
fn the_readme_leads_to_a_service_on_postgresql() {
    let readme = include_str!("../../../../README.md");
    let facts = [
        "Postgres::builder(",
        "gristmill migrate",
        "Outbox::postgres()",
        "SIGTERM",
        "tracing_subscriber",
        "retention",
        "connections=",
        "busy_timeout=",
    ];
    let missing: Vec<&str> = facts.into_iter().filter(|fact| !readme.contains(fact)).collect();
    assert!(missing.is_empty(), "the README does not mention {missing:?}");
}
