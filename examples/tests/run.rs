//! Every lesson runs, ends well, and prints what it promises.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use gristmill_testserver::Postgres as Server;

/// Runs a lesson, which must end well, and gives what it says.
fn said_by(lesson: &str, args: &[&str]) -> String {
    let output = Command::new(lesson).args(args).output().expect("the lesson starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{lesson} ended with {}\n{said}\n{complaints}", output.status);
    said
}

/// Runs a lesson; its output must hold these lines in this order.
fn runs(lesson: &str, lines: &[&str]) {
    said_in_order(&said_by(lesson, &[]), lines);
}

/// As [`runs`], with a PostgreSQL server of its own.
fn runs_on_postgres(lesson: &str, lines: &[&str]) {
    let server = Server::start();
    said_in_order(&said_by(lesson, &[server.url()]), lines);
}

fn said_in_order(said: &str, lines: &[&str]) {
    let mut rest = said.lines();
    for line in lines {
        assert!(rest.any(|said| said == *line), "`{line}` is missing, or out of its order, in:\n{said}");
    }
}

/// Its jobs run concurrently, in no promised order.
#[test]
fn hello_welcomes_all() {
    let said = said_by(env!("CARGO_BIN_EXE_01_hello"), &[]);
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["3 jobs completed", "welcome, Ada", "welcome, Grace", "welcome, Margaret"]);
}

/// The worker of the quick start runs until Ctrl-C.
#[test]
fn the_program_of_the_readme_is_run() {
    let readme = include_str!("../../README.md");
    let shown = readme.split("```rust,no_run\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown = shown.expect("the README shows a program");
    assert!(include_str!("../00_quickstart.rs").ends_with(shown), "the README shows another program");

    let folder = tempfile::tempdir().expect("a folder");
    let mut program = Command::new(env!("CARGO_BIN_EXE_00_quickstart"));
    program.current_dir(folder.path()).stdout(Stdio::piped());
    let mut child = program.spawn().expect("it starts");
    let mut said = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut said).expect("it says what it does");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success() && child.wait().expect("it ends").success());
    assert_eq!(said, "dear user 7\n");
    assert!(folder.path().join("jobs.db").exists());
}

#[test]
fn a_job_follows_the_transaction_it_is_enqueued_in() {
    let lines = ["the second Ada: db error", "welcome, Ada", "welcome, Grace", "2 jobs completed"];
    runs_on_postgres(env!("CARGO_BIN_EXE_12_outbox"), &lines);
}

#[test]
fn a_handler_writes_exactly_once() {
    let lines = [
        "run 1 books 100",
        "run 2 books 100",
        "the lease was lost",
        "run 3 books 100",
        "1 job completed",
        "booked: 100",
    ];
    runs_on_postgres(env!("CARGO_BIN_EXE_13_tx_handler"), &lines);
}

macro_rules! lessons {
    ($($rule:ident $bin:literal [$($line:literal),* $(,)?])*) => {
        $(#[test]
        fn $rule() {
            runs(env!(concat!("CARGO_BIN_EXE_", $bin)), &[$($line),*]);
        })*

        #[test]
        fn every_lesson_is_run() {
            let known = ["00_quickstart", "01_hello", "12_outbox", "13_tx_handler", $($bin),*];
            let folder = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the folder of the lessons");
            for entry in folder {
                let path = entry.expect("a file").path();
                if path.extension().is_some_and(|extension| extension == "rs") {
                    let lesson = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
                    assert!(known.contains(&&*lesson), "{lesson} is not run by any test");
                }
            }
        }
    };
}

lessons! {
    errors_say_what_becomes_of_a_job "02_retry_and_control_flow" [
        "good: completed at attempt 1 ",
        "flaky: completed at attempt 3 ",
        "down: discarded at attempt 5 exhausted",
        "busy: completed at attempt 2 ",
        "gone: cancelled at attempt 1 410",
        "port=x: discarded at attempt 1 invalid digit found in string",
    ]
    extractors_bring_what_a_handler_asks_for "03_state_and_extractors" [
        "hello, Ada of acme (attempt 1, trace 7f3a)", "sent: 1",
    ]
    jobs_run_by_priority_and_time "04_delay_priority_unique" [
        "1: first", "2: after", "3: the kind's own priority", "4: fifty milliseconds later", "5: only once",
    ]
    threads_and_raw_json "05_blocking_and_raw" ["primes.count: 1229", "sum: 42"]
    follow_ups_and_checkpoints "06_follow_ups" ["attempt 2 starts at row 5", "shipped: parcel 700", "completed: 3"]
    handlers_are_tested_without_waiting "07_testing" ["all assertions hold"]
    jobs_are_fetched_by_hand "08_fetch_by_hand" [
        "completed: 6", "snoozed: nothing to add up yet", "again: 40 at attempt 1",
    ]
    a_stop_gives_back_what_did_not_end "09_graceful_shutdown" [
        "clean: true", "completed: 2", "available: 1", "running: 0",
    ]
    middleware_and_hooks_see_every_attempt "10_middleware_and_hooks" [
        "before greet", "hello Ada of \"acme\"", "after: completed", "after: limited", "hello nobody of \"acme\"",
    ]
    jobs_outlive_the_process "11_operate_on_sqlite" [
        "found 6 jobs", "media: 4 completed, 1 cancelled, 1 discarded", "cancel by ada", "retried 1", "deleted 6",
    ]
}
