//! What goes wrong before anything is done: a clear word, a remedy, a code for scripts.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use crate::program::Home;

const NO_JOB: &str = "019a9b3e-7c00-7000-8000-000000000000";

#[test]
fn exit_codes_tell_what_went_wrong() {
    let home = Home::new();
    let unreachable = home.run(&["stats"]);
    assert_eq!(unreachable.code, 5, "{}", unreachable.stderr);
    assert!(unreachable.stderr.contains("hint: name another with --db"), "{}", unreachable.stderr);
    home.enqueue(&["k"]);
    let cases: &[(i32, &[&str], &str)] = &[
        (2, &["enqeue"], "'enqueue'"),
        (2, &["jobs", "list", "--state", "pending"], "the states are suspended"),
        (2, &["jobs", "cancel"], "--all"),
        (2, &["enqueue", "two words"], "use 1 to 64 of the characters"),
        (2, &["enqueue", "k", "{"], "not valid JSON"),
        (2, &["enqueue", "k", "--priority", "11"], "priority 11 is out of range"),
        (2, &["enqueue", "k", "--delay", "1h", "--at", "2026-11-22T10:00:00Z"], "cannot be used with"),
        (2, &["enqueue", "two words", "--file", "-"], "`two words` is not a name"),
        (2, &["enqueue", "k", "--file", "."], "cannot read .: it is a folder"),
        (2, &["enqueue", "k", "--file", "no/such/file"], "cannot read no/such/file: "),
        (2, &["jobs", "list", "--limit", "0"], "a whole number from 1"),
        (2, &["stats", "--log", "debugg"], "hint: did you mean `debug`?"),
        (2, &["stats", "--db", ""], "unset GRISTMILL_DB"),
        (2, &["work", "--exec", "k="], "the command is empty"),
        (2, &["work", "--exec", "k='x"], "a quote is not closed in `'x`"),
        (2, &["work", "--exec", "k=/etc/passwd"], "hint: run `chmod +x /etc/passwd`"),
        (2, &["enqueue", "k", "--delay", "soon"], "`soon` is not a duration"),
        (2, &["work", "--drain"], "hint: add --exec KIND=CMD"),
        (2, &["work", "--exec", "k=no-such-program-at-all"], "there is no program"),
        (2, &["work", "--exec", "k=sh", "--lease", "1ms"], "lease"),
        (2, &["stats", "--db", "jobs.db"], "has no scheme"),
        (2, &["demo", "--db", "memory:"], "a store of its own"),
        (
            2,
            &["stats", "--config", "no.toml"],
            "cannot read no.toml: No such file or directory\nhint: name a file",
        ),
        (3, &["jobs", "list", "--queue", "nope"], "there is no queue `nope`"),
        (3, &["jobs", "show", NO_JOB], "there is no job"),
        (3, &["jobs", "cancel", NO_JOB], "1 job is not there"),
        (3, &["demo", "no/such/folder"], "cannot look into"),
        (4, &["jobs", "delete", "--all"], "hint: add --yes"),
    ];
    for (code, words, said) in cases {
        let ran = home.run(words);
        assert_eq!(ran.code, *code, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{words:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("no job matches"), "{words:?}: {}", ran.stderr);
        // A verdict on a job is data, also when it is a bad one.
        let verdict = words.starts_with(&["jobs", "cancel", NO_JOB]);
        assert!(
            ran.stderr.contains("error: ") && ran.stdout.is_empty() != verdict,
            "{words:?}: stdout is data"
        );
    }
}

#[test]
fn secrets_are_never_printed() {
    let home = Home::new();
    for (url, expected) in [
        ("postgres://me:hunter2@127.0.0.1:1/db", 5),
        ("postgres://me:hunter2@127.0.0.1:x/db", 2),
        ("mysql://me:hunter2@host/db", 2),
        ("redis://:hunter2@host", 2),
        ("nosuch://hunter2", 2),
        ("sqlite:x?key=hunter2", 2),
    ] {
        let flag = home.run(&["stats", "--db", url]);
        let environment = home.command(&["stats"]).env("GRISTMILL_DB", url).output().expect("it runs");
        for (code, stderr) in [
            (Some(flag.code), flag.stderr),
            (environment.status.code(), String::from_utf8_lossy(&environment.stderr).into_owned()),
        ] {
            assert_eq!(code, Some(expected), "{stderr}");
            assert!(!stderr.contains("hunter2") && stderr.contains("hint: "), "{stderr}");
        }
    }
    for words in
        [["--db", "postgres://me:a", "hunter2@host/db"], ["postgres://me:hunter2", "--db", "x@host/db"]]
    {
        let cut = home.run(&[&["stats"], &words[..]].concat());
        assert!(cut.code == 2 && !cut.stderr.contains("hunter2"), "{}", cut.stderr);
    }
    let help =
        home.command(&["--help"]).env("GRISTMILL_DB", "postgres://me:hunter2@h").output().expect("it runs");
    assert!(!String::from_utf8_lossy(&help.stdout).contains("hunter2"));
    home.write("gristmill.toml", "db = \"postgres://me:hunter2@127.0.0.1:1/db\"\n");
    assert!(!home.run(&["stats"]).stderr.contains("hunter2"));
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let home = Home::new();
    let lines = "{\"kind\":\"k\"}\n".repeat(2_000);
    assert_eq!(home.run_with(&["enqueue", "--file", "-"], lines.as_bytes()).code, 0);
    for words in [&["jobs", "list", "--limit", "2000", "--json"][..], &["--help"], &["completions", "bash"]] {
        let mut command = home.command(words);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panic") && output.status.signal().is_none(), "{words:?}: {stderr}");
        assert_eq!(output.status.code(), Some(0), "{words:?}: {stderr}");
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let home = Home::new();
    std::fs::create_dir(home.path("below")).expect("a folder");
    home.write("gristmill.toml", "db = \"sqlite:from-file.db\"\n");
    let migrate = |flag: Option<&str>, environment: Option<&str>| {
        let words: Vec<&str> =
            ["migrate"].into_iter().chain(flag.into_iter().flat_map(|url| ["--db", url])).collect();
        let mut command = home.command(&words);
        command.current_dir(home.path("below"));
        if let Some(url) = environment {
            command.env("GRISTMILL_DB", url);
        }
        assert!(command.status().expect("it runs").success());
    };
    migrate(None, None);
    assert!(home.path("from-file.db").exists(), "a path in the file is relative to the file");
    migrate(None, Some("sqlite:from-environment.db"));
    assert!(home.path("below/from-environment.db").exists());
    migrate(Some("sqlite:from-flag.db"), Some("sqlite:other.db"));
    assert!(home.path("below/from-flag.db").exists() && !home.path("below/other.db").exists());
}

#[test]
fn a_command_with_a_nul_is_refused_at_start() {
    let home = Home::new();
    for exec in ["[\"sh\", \"a\\u0000b\"]", "\"sh a\\u0000b\""] {
        home.write("gristmill.toml", format!("[work.handlers.k]\nexec = {exec}\n"));
        let ran = home.run(&["work", "--drain"]);
        assert_eq!(ran.code, 2, "{exec}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("the command of kind `k` holds a NUL character"),
            "{exec}: {}",
            ran.stderr
        );
    }
}

/// A log that cannot be written, or that has no reader, costs its lines and nothing else.
#[test]
fn a_log_that_cannot_be_written_costs_no_job() {
    let (reader, unread) = std::io::pipe().expect("a pipe");
    let (gone, closed) = std::io::pipe().expect("a pipe");
    drop(gone);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    for stderr in [full.into(), std::process::Stdio::from(closed), unread.into()] {
        let home = Home::new();
        home.enqueue(&["nobody"]);
        for _ in 0..3 {
            home.enqueue(&["x"]);
        }
        let words = ["work", "--exec", "x=true", "--slots", "1", "--log", "trace"];
        let mut worker = home.command(&words).stderr(stderr).spawn().expect("the program starts");
        let began = std::time::Instant::now();
        while home.count("completed") < 3 {
            assert!(began.elapsed() < std::time::Duration::from_secs(30), "the jobs do not complete");
        }
        worker.kill().expect("it runs");
        worker.wait().expect("it ends");
    }
    drop(reader);
}
