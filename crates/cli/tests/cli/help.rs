//! The help is read before anything else: it changes only on purpose.
//!
//! With `UPDATE_SNAPSHOTS=1` the texts in `help/` are written anew.

use std::path::{Path, PathBuf};

use crate::program::Home;

/// Every command, as its help is asked for.
const COMMANDS: [&str; 28] = [
    "",
    "demo",
    "enqueue",
    "work",
    "jobs",
    "jobs list",
    "jobs show",
    "jobs retry",
    "jobs cancel",
    "jobs delete",
    "queues",
    "queues list",
    "queues pause",
    "queues resume",
    "workers",
    "workers list",
    "stats",
    "registers",
    "registers list",
    "registers show",
    "registers delete",
    "migrate",
    "migrate status",
    "bench",
    "doctor",
    "schedules",
    "schedules next",
    "completions",
];

#[test]
fn help_says_what_it_said() {
    let home = Home::new();
    let mut differing = Vec::new();
    // Without the feature, neither the command nor its line in the list of all commands exists.
    let is_there = |command: &&str| cfg!(feature = "bench") || !matches!(*command, "" | "bench");
    for command in COMMANDS.into_iter().filter(is_there) {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = home.ok(&words).stdout;
        let path = snapshot(command);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &help).expect("the snapshot is written");
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != help {
            differing.push(format!("gristmill {command} --help:\n{help}"));
        }
    }
    assert!(differing.is_empty(), "look at it, then run with UPDATE_SNAPSHOTS=1:\n{}", differing.join("\n"));
}

#[test]
fn nothing_that_comes_later_is_listed() {
    let help = Home::new().ok(&["--help"]).stdout;
    for later in ["dashboard", "workflows", "top", "move"] {
        assert!(!help.contains(&format!("\n  {later} ")), "{later} is listed");
    }
}

fn snapshot(command: &str) -> PathBuf {
    let name = if command.is_empty() { "gristmill".to_owned() } else { command.replace(' ', "-") };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/help").join(format!("{name}.txt"))
}
